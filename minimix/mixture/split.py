"""Training and held-out examples kept apart, so that no held-out answer can have been learnt."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence, Set

import numpy as np

from minimix.errors import DataError
from minimix.mixture.likeness import alike, index
from minimix.mixture.tasks import Example

Key = Hashable
"""Something that two examples may share: a source record, or that their targets are alike."""
Groups = list[list[int]]


def apart(
    examples: Sequence[Example], *, share: float, rng: np.random.Generator
) -> tuple[list[Example], list[Example], int]:
    """Return training and held-out examples, each in order, and how many were left out for a leak.

    `share` (0..1, below 1) of each kind, and of each way of making, is to be held out. Examples
    that share a source record, or whose targets are alike, stand on one side. Where all hang
    together, those between the sides are left out, at most as many as are wanted for the test: a
    held-out part smaller than `share` says that it could not be had. Raises DataError for another
    share.
    """
    if not 0 <= share < 1:
        raise DataError(f"share held out: expected 0 up to, not with, 1, found {share}")
    keys = _keys(examples)
    strata: list[Key] = [(example.task.kind, example.made) for example in examples]
    sizes = Counter(strata)
    room = Counter({name: max(1, round(share * sizes[name])) for name in sizes if share})
    held = _whole_groups(_joined(keys), strata, room, rng)
    more, lost = _cut_out(keys, strata, room - Counter(strata[n] for n in held), held, rng)
    held |= more
    train = [one for n, one in enumerate(examples) if n not in held and n not in lost]
    return train, [one for n, one in enumerate(examples) if n in held], len(lost)


def _keys(examples: Sequence[Example]) -> list[set[Key]]:
    """Return what each example may share with others: its records, and pairs of alike targets.

    A pair, and not all that hang together: a chain of pairs could then still be cut.
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


def _joined(keys: Sequence[Set[Key]]) -> Groups:
    """Return positions grouped so that whatever shares a key, or a chain of them, is together."""
    parent = list(range(len(keys)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = n = parent[parent[n]]
        return n

    first: dict[Key, int] = {}
    for n, own in enumerate(keys):
        for key in own:
            one, other = sorted((root(first.setdefault(key, n)), root(n)))
            parent[other] = one
    groups = defaultdict(list)
    for n in range(len(keys)):
        groups[root(n)].append(n)
    return list(groups.values())


def _whole_groups(
    groups: Groups, strata: Sequence[Key], room: Counter[Key], rng: np.random.Generator
) -> set[int]:
    """Return groups drawn by chance, each of which fills more of the room than it overfills."""
    left, held = Counter(room), set[int]()
    for number in rng.permutation(len(groups)):
        sizes = Counter(strata[n] for n in groups[number])
        wanted = sum(min(size, left[name]) for name, size in sizes.items())
        if 2 * wanted > sizes.total():
            held |= set(groups[number])
            left = left - sizes  # Counter's minus keeps no less than nothing
    return held


def _cut_out(
    keys: Sequence[Set[Key]],
    strata: Sequence[Key],
    room: Counter[Key],
    held: set[int],
    rng: np.random.Generator,
) -> tuple[set[int], set[int]]:
    """Return more to hold out, from groups too large to go whole, and what is lost between."""
    holders = defaultdict(set)
    for n, own in enumerate(keys):
        for key in own:
            holders[key].add(n)
    more, lost, ours = set[int](), set[int](), set[Key]()
    most = room.total()
    for drawn in rng.permutation(len(keys)) if most else ():
        n = int(drawn)
        if n in held or n in more or n in lost or not room[strata[n]]:
            continue
        touched = set[int]().union(*(holders[key] for key in keys[n])) - more - lost
        both = ours | keys[n]
        inside = {other for other in touched if keys[other] <= both}
        if len(lost) + len(touched - inside) > most:
            continue
        ours = both
        more |= inside
        lost |= touched - inside
        room = room - Counter(strata[other] for other in inside)
    return more, lost
