"""One student: a LoRA trained on one set as `minimix train sft` does, and its held-out losses."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minimix.compare.meter import Spent, metered, spent
from minimix.disk import atomic
from minimix.errors import DataError
from minimix.extras import need
from minimix.progress import Say, unheard
from minimix.records import Message, Sample
from minimix.train import backends
from minimix.train.base import base_folder
from minimix.train.batches import IGNORED
from minimix.train.folder import remove_checkpoints
from minimix.train.settings import SftConfig
from minimix.train.sft import Course, Lesson, fit, wanted
from minimix.train.tokens import Encoded, chat_ids, end_of_turn, tokenize_with

RESULT, COST = "student.json", "spent.json"
BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Student:
    """What came of one training: rows of the set, how often they were passed, and what it took.

    `tokens` were trained on, prompts and answers together. `losses` go sample by sample with the
    held-out set, in nats per answer token.
    """

    rows: int
    passes: float
    steps: int
    tokens: int
    spent: Spent
    losses: tuple[float, ...]


def open_tokenizer(base: str) -> Any:
    """Return the tokenizer of a base."""
    transformers = need("transformers", extra="train")
    return transformers.AutoTokenizer.from_pretrained(base_folder(base), trust_remote_code=False)


def encoder(tokenizer: Any) -> Any:
    """Return the function from a sample to ids: its text as a chat, the answer to be learnt."""
    end, tokenize = end_of_turn(tokenizer), tokenize_with(tokenizer)

    @lru_cache(maxsize=100_000)
    def encoded(sample: Sample) -> Encoded:
        turns: list[Message] = [{"role": "user", "content": sample.prompt}]
        if sample.system:
            turns.insert(0, {"role": "system", "content": sample.system})
        return Encoded(chat_ids(tokenizer, turns), [*tokenize(sample.response, False), end])

    return encoded


def beginning(
    samples: Sequence[Sample], encode: Any, *, rows: int = 0, tokens: int = 0, max_length: int
) -> list[Encoded]:
    """Return the first `rows` of a set that fit, or as many as hold `tokens`; all if it has fewer.

    A sample longer than `max_length` tokens is passed over: cut, it would teach answers without
    an end.
    """
    fitting = (one for one in map(encode, samples) if len(one) <= max_length)
    if rows:
        return list(islice(fitting, rows))
    taken, found = 0, []
    for one in fitting:
        if taken >= tokens:
            break
        taken += len(one)
        found.append(one)
    return found


def study(
    rows: Sequence[Encoded],
    held: Sequence[Encoded],
    folder: Path,
    config: SftConfig,
    *,
    say: Say = unheard,
) -> Student:
    """Return the student of `rows`, trained for `config.max_steps` and asked about `held`.

    One that is finished in `folder` is not trained again, one that was stopped goes on. Raises
    DataError where there are no rows.
    """
    if not rows:
        raise DataError(f"{folder.name}: expected rows that fit {config.max_length} tokens")
    made_from = {"rows": digest(rows), "held out": digest(held)}
    done = _read(folder / RESULT, made_from)
    if done:
        return done
    with metered(folder / COST):
        course = Course(lambda _: Lesson(rows, 0), made_from)
        trained = fit(course, folder, config, say=say)
        losses = answer_losses(config.base, trained.adapter, held, config)
    student = Student(
        rows=len(rows),
        passes=trained.steps * config.per_step / len(rows),
        steps=trained.steps,
        tokens=trained.tokens,
        spent=spent(folder / COST),
        losses=tuple(losses),
    )
    with atomic(folder / RESULT) as file:
        json.dump({"made_from": made_from, "student": asdict(student)}, file)
    remove_checkpoints(folder)
    return student


def digest(rows: Sequence[Encoded], settings: Mapping[str, Any] | None = None) -> str:
    """Return sixteen digits that change with any of the rows, their order, or the settings."""
    ids = [[one.prompt, one.answer] for one in rows]
    text = json.dumps([ids, dict(settings or {})]).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def answer_losses(
    base: str, adapter: Path | None, held: Sequence[Encoded], config: SftConfig
) -> list[float]:
    """Return the mean loss per answer token of each sample, in nats, with or without an adapter."""
    torch = need("torch")
    model, _ = backends.open_model(wanted(replace(config, base=base)), backends.prepare("plain"))
    if adapter:
        backends.load_weights(model, adapter)
    model.eval()
    coarse = backends.precision() == torch.bfloat16  # as in training
    found = [0.0] * len(held)
    order = sorted(range(len(held)), key=lambda row: len(held[row]))
    with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=coarse):
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            losses = _batch_losses(torch, model, [held[row] for row in batch])
            for row, loss in zip(batch, losses, strict=True):
                found[row] = loss
    return found


def _batch_losses(torch: Any, model: Any, rows: Sequence[Encoded]) -> list[float]:
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    labels = np.full((len(rows), longest), IGNORED, dtype=np.int64)
    for at, one in enumerate(rows):
        ids[at, : len(one)] = [*one.prompt, *one.answer]
        labels[at, len(one.prompt) : len(one)] = one.answer
    given = torch.from_numpy(ids).to(model.device)
    asked = torch.from_numpy(labels).to(model.device)[:, 1:]
    causal = model.get_base_model()
    hidden = causal.base_model(input_ids=given, use_cache=False).last_hidden_state[:, :-1]
    told = asked != IGNORED  # padding comes after every answer, so nothing sees it
    logits = causal.get_output_embeddings()(hidden[told]).float()
    each = torch.nn.functional.cross_entropy(logits, asked[told], reduction="none")
    parts = each.split(told.sum(dim=1).tolist())
    return [float(part.mean()) for part in parts]


def _read(path: Path, made_from: dict[str, str]) -> Student | None:
    """Return a finished student of the same rows and held-out samples, None for none."""
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["made_from"] != made_from:
        return None
    found = kept["student"]
    return Student(**{**found, "spent": Spent(**found["spent"]), "losses": tuple(found["losses"])})
