"""Batches of like length in few shapes: padding is waste, and each shape costs memory for good."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minimix.extras import need
from minimix.train.tokens import Encoded

IGNORED = -100
"""Label of a token that the loss leaves out."""


@dataclass
class LikeLengths:
    """A sampler: every row once an epoch, in batches whose rows are padded to one length.

    The order is a function of seed and epoch alone, so a resumed run goes on where it was.
    """

    lengths: Sequence[int]
    batch: int
    multiple: int
    seed: int
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Return the rows of the epoch, batch after batch; what fills no batch comes last."""
        rng = np.random.default_rng([self.seed, self.epoch])
        padded = -(-np.asarray(self.lengths) // self.multiple)
        rows = np.lexsort((rng.random(len(padded)), padded))
        full = len(rows) // self.batch * self.batch
        left = rng.permutation(len(rows))[: len(rows) - full]  # not always the longest
        kept = np.delete(rows, left)
        batches = rng.permutation(kept.reshape(-1, self.batch))
        return iter([*batches.ravel().tolist(), *rows[left].tolist()])


@dataclass
class Groups:
    """A sampler: tasks in batches, each task as often in a row as it gets candidates.

    A batch comes `repeats` times, once for each pass that is made of its candidates; tasks that
    fill no batch are left out of the epoch. The order is a function of seed and epoch alone.
    """

    tasks: int
    candidates: int
    batch: int
    repeats: int
    seed: int
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.tasks // self.batch * self.batch * self.repeats * self.candidates

    def __iter__(self) -> Iterator[int]:
        """Return the task of each row of the epoch."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.tasks)
        batches = order[: self.tasks // self.batch * self.batch].reshape(-1, self.batch)
        rows = np.repeat(np.repeat(batches, self.repeats, axis=0), self.candidates, axis=1)
        return iter(rows.ravel().tolist())


def groups_of(tasks: int, arguments: Any) -> Groups:
    """Return the sampler of so many tasks by trl's settings of GRPO."""
    return Groups(
        tasks=tasks,
        candidates=arguments.num_generations,
        batch=arguments.generation_batch_size // arguments.num_generations,
        repeats=arguments.num_iterations * arguments.steps_per_generation,
        seed=arguments.seed,
    )


def answer_loss(model: Any, ids: Any, labels: Any, count: Any = None) -> Any:
    """Return the loss on the answers of a batch padded on the right; logits are made for no others.

    Its mean, or its sum over `count` where a step has several batches. No mask is needed: what
    comes after an answer cannot be seen from it.
    """
    causal = model.get_base_model()
    hidden = causal.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    told = wanted != IGNORED
    logits = causal.get_output_embeddings()(hidden[told]).float()
    loss = need("torch").nn.functional.cross_entropy(logits, wanted[told], reduction="sum")
    return loss / (told.sum() if count is None else count)


def dataset(encoded: Sequence[Encoded]) -> Any:
    """Return the rows that a trainer takes: ids, and labels on the answers alone."""
    return need("datasets").Dataset.from_list(
        [
            {
                "input_ids": [*one.prompt, *one.answer],
                "labels": [*[IGNORED] * len(one.prompt), *one.answer],
            }
            for one in encoded
        ]
    )
