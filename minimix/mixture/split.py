"""Training and held-out examples kept apart, so that no held-out answer can have been learnt."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set

import numpy as np

from minimix.errors import DataError
from minimix.mixture.likeness import alike, index
from minimix.mixture.tasks import Example

Key = Hashable
"""Something that two examples may share: a source record, or that their targets are alike."""
Stratum = tuple[str, str]


def apart(
    examples: Sequence[Example], *, share: float, rng: np.random.Generator
) -> tuple[list[Example], list[Example], int]:
    """Return training and held-out examples, each in order, and how many were left out for a leak.

    `share` (0..1, below 1) of each kind, and of each way of making, is to be held out. Examples
    that share a source record, or whose targets are alike, stand on one side. Where too many hang
    together, those between the sides are left out: at most as many as are to be held out, and of
    these there are at most twice as many. A smaller held-out part says that more could not be had.
    Whatever is then still like something held out, of very common words, is left out besides.
    Raises DataError for another share.
    """
    if not 0 <= share < 1:
        raise DataError(f"share held out: expected 0 or more and less than 1, found {share}")
    strata: list[Stratum] = [(example.task.kind, example.made) for example in examples]
    wanted = {name: max(1, round(share * size)) for name, size in Counter(strata).items() if share}
    order = [int(n) for n in rng.permutation(len(examples))]
    held, lost = _drawn(order, _keys(examples), strata, wanted)
    held_out = [one for n, one in enumerate(examples) if n in held]
    texts = [one.reference for one in held_out]
    known = index(texts, most_holders=len(texts))
    rest = [one for n, one in enumerate(examples) if n not in held and n not in lost]
    train = [one for one in rest if not alike(one.reference, known)]
    return train, held_out, len(examples) - len(held_out) - len(train)


def _drawn(
    order: Sequence[int],
    keys: Sequence[Set[Key]],
    strata: Sequence[Stratum],
    wanted: Mapping[Stratum, int],
) -> tuple[set[int], set[int]]:
    """Return what is held out, drawn in `order`, and what is lost between the sides."""
    group_of, holders = _groups(keys), _holders(keys)
    room, most = Counter(wanted), sum(wanted.values())
    held, lost, ours = set[int](), set[int](), set[Key]()
    for n in sorted(order, key=lambda n: len(group_of[n]) > most):  # what must be cut comes last
        if n in held or n in lost or not room[strata[n]]:
            continue
        inside, between = group_of[n] - held - lost, set[int]()
        if not _fits(Counter(strata[m] for m in inside), room):
            touched = set[int]().union(*(holders[key] for key in keys[n])) - held - lost
            own = ours | keys[n]
            inside = {m for m in touched if keys[m] <= own}
            between = touched - inside
        gone, out = len(lost) + len(between), len(held) + len(inside)
        if gone <= most and out <= 2 * most and gone + out < len(keys):  # some are left to train on
            ours = ours.union(*(keys[m] for m in inside))
            held |= inside
            lost |= between
            room = room - Counter(strata[m] for m in inside)
    return held, lost


def _fits(sizes: Counter[Stratum], room: Counter[Stratum]) -> bool:
    """Return whether a group fills more of the room than it overfills; 0 is the least room."""
    return 2 * sum(min(size, room[name]) for name, size in sizes.items()) > sizes.total()


def _keys(examples: Sequence[Example]) -> list[set[Key]]:
    """Return what each example may share with others: its records, and pairs of alike targets.

    A pair, and not all that hang together: a chain of pairs can still be cut.
    """
    known = index([example.reference for example in examples])
    keys: list[set[Key]] = [{(one.file, one.line) for one in e.sources} for e in examples]
    pairs = [(n, m) for n, one in enumerate(examples) for m in alike(one.reference, known)]
    for one, other in pairs:
        if one != other and not keys[one] & keys[other]:
            pair = (min(one, other), max(one, other))
            keys[one].add(pair)
            keys[other].add(pair)
    return keys


def _holders(keys: Sequence[Set[Key]]) -> dict[Key, set[int]]:
    """Return who has each key."""
    holders = defaultdict(set)
    for n, own in enumerate(keys):
        for key in own:
            holders[key].add(n)
    return holders


def _groups(keys: Sequence[Set[Key]]) -> list[set[int]]:
    """Return the group of each position: all that shares a key with it, or a chain of keys."""
    holders, found = _holders(keys), dict[int, set[int]]()
    for n in range(len(keys)):
        if n in found:
            continue
        group, new = {n}, [n]
        while new:
            near = set[int]().union(*(holders.pop(key, set()) for key in keys[new.pop()]))
            new += near - group
            group |= near
        found |= dict.fromkeys(group, group)
    return [found[n] for n in range(len(keys))]
