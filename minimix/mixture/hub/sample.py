"""A seeded sample of MIXTURE: so many rows of each kind to train on, and others held out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minimix.contamination import normal
from minimix.errors import ConfigError, DataError
from minimix.kinds import Record
from minimix.mixture.hub.layout import PARTS, Layout, Part
from minimix.mixture.hub.rows import to_example
from minimix.mixture.likeness import alike, index
from minimix.mixture.statistics import CountTokens
from minimix.mixture.tasks import Example
from minimix.progress import Progress, silent
from minimix.records import KINDS, Kind

TOO_LONG, COPY, LEAK = "too long", "target taken already", "like a held-out target"
Counts = Mapping[Kind, int]
Unfit = Callable[[Example], str]
"""Why an example is not taken, "" where it is."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a sample is drawn: examples of each kind for both parts.

    `max_tokens` bounds prompt and target together; not `think`, reasoning in the rows is left out.
    """

    train: Counts
    held_out: Counts
    max_tokens: int
    think: bool = False
    seed: int = 42


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn of one kind.

    Of the rows `read` so many were `looked` at, in random order, until as many as `wanted` were
    good; `left_out` counts the others by reason. `part` is where they come from.
    """

    kind: Kind
    part: Part
    read: int
    looked: int
    wanted: int
    examples: tuple[Example, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Both parts of a sample, kind by kind; `nameless` are training rows that say no kind."""

    train: tuple[Drawn, ...]
    held_out: tuple[Drawn, ...]
    nameless: int = 0


def counts(given: Sequence[str], default: int) -> dict[Kind, int]:
    """Return how many of each kind are meant by "500" or "qa=500", several perhaps, by commas.

    A kind without a number of its own gets the plain one: where there is none the default, or 0
    where other kinds are named. Raises ConfigError for anything else.
    """
    plain: int | None = None
    own: dict[str, int] = {}
    for text in (one.strip().lower() for item in given for one in item.split(",")):
        name, named, number = text.rpartition("=")
        if not number.isdecimal() or (named and name not in KINDS):
            expected = f"expected a number, or KIND=NUMBER with {', '.join(KINDS)}"
            raise ConfigError(f"examples per kind: {expected}; found {text!r}")
        if named:
            own[name] = int(number)
        else:
            plain = int(number)
    rest = plain if plain is not None else 0 if own else default
    return {kind: own.get(kind, rest) for kind in KINDS}


def sample(
    layout: Layout, settings: Sampling, count_tokens: CountTokens, *, progress: Progress = silent
) -> Sampled:
    """Return a sample: the same for the same files and settings.

    What is held out comes from the test rows, for a kind without any from the training rows. No
    target is the same, or nearly, on both sides, nor the same twice on one. Raises DataError where
    there is no good row to train on.
    """

    def too_long(example: Example) -> str:
        return TOO_LONG if sum(count_tokens(example)) > settings.max_tokens else ""

    held = _held_out(layout, settings, too_long, progress)
    texts = [example.reference for one in held for example in one.examples]
    known = index(texts, most_holders=len(texts))

    def unfit(example: Example) -> str:
        return LEAK if alike(example.reference, known) else too_long(example)

    skip = {one.kind: one.looked for one in held if one.part == "train"}
    train, nameless = dict[Kind, Drawn](), 0
    groups = layout.rows("train", _kinds(settings.train))
    for kind, records in progress(groups, "Reading training rows"):
        if kind is None:
            nameless += len(records)
        else:
            take = _taker(kind, "train", settings.train[kind], settings)
            train[kind] = take(records, unfit, skip.get(kind, 0))
    if not any(one.examples for one in train.values()):
        reasons = Counter(reason for one in train.values() for reason in one.left_out)
        why = "; ".join(reason for reason, _ in reasons.most_common(3)) or "no rows of these kinds"
        raise DataError(f"{layout.source}: no row that could be trained on ({why})")
    wanted = settings.train
    drawn = tuple(train.get(kind, _none(kind, wanted[kind])) for kind in _kinds(wanted))
    return Sampled(train=drawn, held_out=tuple(held), nameless=nameless)


def _held_out(layout: Layout, settings: Sampling, unfit: Unfit, progress: Progress) -> list[Drawn]:
    """Return what is held out, in the order of kinds."""
    held: dict[Kind, Drawn] = {}
    for part in reversed(PARTS):
        missing = [kind for kind in _kinds(settings.held_out) if kind not in held]
        groups = layout.rows(part, missing) if missing else iter(())
        for kind, records in progress(groups, f"Reading {part} rows to hold out"):
            if kind in missing:
                take = _taker(kind, part, settings.held_out[kind], settings)
                held[kind] = take(records, unfit, 0)
    return [
        held.get(kind, _none(kind, count)) for kind, count in settings.held_out.items() if count
    ]


def _taker(
    kind: Kind, part: Part, wanted: int, settings: Sampling
) -> Callable[[Sequence[Record], Unfit, int], Drawn]:
    """Return what takes the first good rows of a kind, shuffled, after so many."""

    def take(records: Sequence[Record], unfit: Unfit, skip: int) -> Drawn:
        rng = np.random.default_rng([settings.seed, KINDS.index(kind), PARTS.index(part)])
        order = rng.permutation(len(records))[skip:]
        taken: dict[str, Example] = {}
        left_out, looked = Counter[str](), 0
        for number in order:
            if len(taken) == wanted:
                break
            looked += 1
            example = to_example(records[number], kind, think=settings.think)
            if isinstance(example, str):
                left_out[example] += 1
                continue
            words = normal(example.reference)
            reason = COPY if words in taken else unfit(example)
            if reason:
                left_out[reason] += 1
            else:
                taken[words] = example
        return Drawn(
            kind=kind,
            part=part,
            read=len(records),
            looked=looked,
            wanted=wanted,
            examples=tuple(taken.values()),
            left_out=left_out,
        )

    return take


def _none(kind: Kind, wanted: int) -> Drawn:
    """Return what is drawn of a kind that there are no rows of."""
    return Drawn(kind=kind, part="train", read=0, looked=0, wanted=wanted, examples=(), left_out={})


def _kinds(counts: Counts) -> list[Kind]:
    return [kind for kind, count in counts.items() if count]
