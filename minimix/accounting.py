"""Every sample in exactly one ledger, and the figures of a run."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from minimix.config import HIGH
from minimix.errors import AccountingError
from minimix.pool import Pool
from minimix.prepare import Prepared
from minimix.records import Dropped, Entry, Place
from minimix.turns import Written


def account(pool: Pool, entries: Sequence[Entry], dropped: Sequence[Dropped]) -> None:
    """Check that every sample is a source of one entry, or dropped once.

    Raises AccountingError for one that is nowhere, or twice.
    """

    def found() -> Iterator[Place]:
        yield from (place for entry in entries for place in entry.sample.sources)
        yield from (drop.place for drop in dropped)

    def expected() -> Iterator[Place]:
        yield from (sample.place for sample in pool.samples)
        yield from (drop.place for drop in pool.dropped)

    if np.array_equal(_hashes(found()), _hashes(expected())):
        return
    one, other = Counter(found()), Counter(expected())  # they take memory, but only now
    wrong = sorted((one - other) + (other - one), key=by_place)
    raise AccountingError(f"{len(wrong)} samples are in no ledger or in two, first {wrong[0]}")


def _hashes(places: Iterable[Place]) -> np.ndarray:
    """Return eight bytes of a hash of each place, sorted: equal for equal places in any order."""
    texts = (f"{place.file}\0{place.line}\0{place.part}\0{place.sha256}" for place in places)
    digests = (hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest() for text in texts)
    return np.sort(np.fromiter(digests, dtype="S8"))


def count(
    pool: Pool,
    prepared: Prepared,
    written: Written,
    entries: Sequence[Entry],
    dropped: Sequence[Dropped],
) -> dict[str, int]:
    """Return the figures of the run, by name, in the order of the arrow."""
    stages = Counter(drop.stage for drop in dropped)
    origins = Counter(entry.origin for entry in entries)
    fused = [entry for entry in entries if entry.origin == "fusion"]
    return {
        "records": pool.records,
        "samples": len(pool.samples),
        "dropped_read": stages["read"],
        "dropped_copy": stages["copy"],
        "dropped_near_copy": stages["near copy"],
        "dropped_rate": stages["rate"],
        "high": len(prepared.high),
        "low": len(prepared.samples) - len(prepared.high),
        "clusters": len(prepared.clusters),
        "clustered": sum(len(cluster.rows) for cluster in prepared.clusters),
        "split": written.split,
        "tried": written.tried,
        "candidates": written.candidates,
        "accepted": len(written.fusions),
        "dropped_cluster": stages["cluster"],
        "dropped_plan": stages["plan"],
        "dropped_write": stages["write"],
        "dropped_judge": stages["judge"],
        "dropped_contamination": stages["contamination"],
        "dropped_select": stages["select"],
        "dropped": len(dropped),
        "kept": origins["original"] + origins["best_source"],
        "fused": sum(len(entry.sample.sources) for entry in fused),
        "budget": prepared.budget,
        "final": len(entries),
        "originals": origins["original"],
        "fusions": origins["fusion"],
        "high_fusions": sum(entry.rating >= HIGH for entry in fused),
        "best_sources": origins["best_source"],
    }


def by_place(place: Place) -> tuple[str, int, int]:
    """Return what puts places in the order of the input."""
    return place.file, place.line, place.part
