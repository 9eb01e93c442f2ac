"""The main arrow, whole: a pool in, the final set out, every sample in exactly one ledger."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minimix.config import HIGH, DistillConfig
from minimix.contamination import NONE, Match, Questions, matches, verdict
from minimix.errors import AccountingError
from minimix.fuse import fuse
from minimix.journal import Journal
from minimix.pool import Pool
from minimix.prepare import Prepared, prepare
from minimix.progress import Progress, silent
from minimix.rarity import rarity, scaled
from minimix.records import Dropped, Embed, Entry, Models, Origin, Place, Sample, Stage, Vectors
from minimix.select import Selection, select
from minimix.turns import Written

NEIGHBOURS = 15
SHUFFLE = 1


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """A finished run: the final set in the order it is written, the drops, and what was counted.

    `matches` are the rows that hold an evaluation question, in the order of their sources.
    `seconds` are wall times by stage; they stand in the report and nowhere else.
    """

    entries: tuple[Entry, ...]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    matches: tuple[Match, ...]
    prepared: Prepared
    written: Written
    counts: Mapping[str, int]
    seconds: Mapping[str, float]


def distill(
    pool: Pool,
    *,
    config: DistillConfig,
    models: Models,
    journal: Journal,
    questions: Questions = NONE,
    progress: Progress = silent,
) -> Distilled:
    """Return the final set for `pool`, checked against evaluation `questions`.

    Raises AccountingError where a sample would be in no ledger or in two.
    """
    start = time.monotonic()

    def embed_all(texts: Sequence[str]) -> Vectors:
        return journal.embeddings(texts, models.embed, models.embedder)

    prepared = prepare(pool, config=config, embed=embed_all, rate=models.rater.rate)
    ready = time.monotonic()
    written = fuse(prepared, config=config, models=models, journal=journal, progress=progress)
    prepared = replace(prepared, clusters=written.clusters)
    fused = time.monotonic()
    remove = config.drop_contaminated
    removed = matches(candidates(prepared, written), questions) if remove else ()
    selection = choose(prepared, written, removed, config=config, embed=models.embed)
    found = removed or matches((entry.sample for entry in selection.entries), questions)
    unused = _unused(prepared, written, selection.entries, removed)
    dropped = [*pool.dropped, *prepared.dropped, *unused]
    order = np.random.default_rng([config.seed, SHUFFLE]).permutation(len(selection.entries))
    entries = tuple(selection.entries[row] for row in order)
    account(pool, entries, dropped)
    notes = [verdict(found, questions, removed=remove)] if questions.places else []
    end = time.monotonic()
    seconds = {"prepare": ready - start, "fuse": fused - ready, "select": end - fused}
    return Distilled(
        entries=entries,
        dropped=tuple(sorted(dropped, key=lambda drop: _order(drop.place))),
        notes=(*selection.notes, *_too_long(written), *notes),
        matches=tuple(sorted(found, key=lambda match: _order(match.sample.place))),
        prepared=prepared,
        written=written,
        counts={
            **count(pool, prepared, written, entries, dropped),
            "questions": len(questions.places),
            "contaminated": len(found),
        },
        seconds=seconds,
    )


def _too_long(written: Written) -> Iterable[str]:
    """Yield what is to be said of clusters that were too long for the model, if there were any."""
    if written.split:
        yield f"clusters: {written.split:,} too long for the model were split"


def candidates(prepared: Prepared, written: Written) -> list[Sample]:
    """Return what the final set is chosen from: high originals, possible stand-ins, fusions."""
    rows = [*prepared.high]
    for position in (*written.rejected, *written.refused):
        rows += prepared.clusters[position].rows
    fusions = [fusion.sample for fusion in written.fusions]
    return [*(prepared.samples[row] for row in rows), *fusions]


def choose(
    prepared: Prepared,
    written: Written,
    removed: Sequence[Match],
    *,
    config: DistillConfig,
    embed: Embed,
) -> Selection:
    """Return the final set without what was `removed`.

    Rarity is measured among all samples and fusions together.
    """
    gone = {match.sample.sources for match in removed}

    fresh = embed([fusion.sample.text for fusion in written.fusions])
    everything = np.concatenate([prepared.embeddings, fresh])
    count = min(NEIGHBOURS, len(everything) - 1)
    rare = np.zeros(len(everything), dtype=np.float32)
    if count:
        rare = scaled(rarity(everything, neighbours=count, seed=config.seed))

    def entry(row: int, origin: Origin) -> Entry:
        return Entry(prepared.samples[row], origin, float(prepared.ratings[row]), float(rare[row]))

    def clean(rows: Iterable[int]) -> list[int]:
        return [row for row in rows if prepared.samples[row].sources not in gone]

    stand_ins = [
        max(rows, key=lambda row: (prepared.ratings[row], -row))
        for position in (*written.rejected, *written.refused)
        if (rows := clean(prepared.clusters[position].rows))
    ]
    fusions = [
        Entry(fusion.sample, "fusion", fusion.rating, float(rare[row]), fusion)
        for row, fusion in enumerate(written.fusions, len(prepared.samples))
        if fusion.sample.sources not in gone
    ]
    return select(
        [entry(row, "original") for row in clean(prepared.high)],
        fusions,
        [entry(row, "best_source") for row in stand_ins],
        budget=prepared.budget,
        wanted=prepared.wanted,
    )


def account(pool: Pool, entries: Iterable[Entry], dropped: Iterable[Dropped]) -> None:
    """Check that every sample is a source of one entry, or dropped once.

    Raises AccountingError for one that is nowhere, or twice.
    """
    found = Counter(place for entry in entries for place in entry.sample.sources)
    found.update(drop.place for drop in dropped)
    expected = Counter([sample.place for sample in pool.samples])
    expected.update(drop.place for drop in pool.dropped)
    if found != expected:
        wrong = sorted((found - expected) + (expected - found), key=_order)
        raise AccountingError(f"{len(wrong)} samples are in no ledger or in two, first {wrong[0]}")


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


def _unused(
    prepared: Prepared, written: Written, entries: Sequence[Entry], removed: Sequence[Match]
) -> Iterable[Dropped]:
    """Yield a drop for every sample that came through preparation and is in no entry."""
    chosen = {place for entry in entries for place in entry.sample.sources}
    reasons: dict[int, tuple[Stage, str]] = {}
    for row in prepared.leftovers:
        reasons[row] = ("cluster", f"low, and no group at a similarity of {prepared.floor:.2f}")
    reasons.update({row: ("write", why) for row, why in written.left_out.items()})
    for row in prepared.high:
        reasons[row] = ("select", "high, but the budget was full")

    def give(positions: Iterable[int], stage: Stage, reason: Mapping[int, str] | str) -> None:
        for position in positions:
            text = reason if isinstance(reason, str) else reason[position]
            reasons.update(dict.fromkeys(prepared.clusters[position].rows, (stage, text)))

    accepted = [fusion.cluster for fusion in written.fusions]
    give(accepted, "select", "its fusion was accepted, but the budget was full")
    give(written.unreached, "plan", f"its cluster was not written: {written.stopped}")
    give(written.refused, "write", written.refused)
    give(written.rejected, "judge", written.rejected)
    held = {place: match.reason for match in removed for place in match.sample.sources}
    for row, (stage, reason) in reasons.items():
        place = prepared.samples[row].place
        if place in held:
            yield Dropped(place, "contamination", held[place])
        elif place not in chosen:
            yield Dropped(place, stage, reason)


def _order(place: Place) -> tuple[str, int, int]:
    return place.file, place.line, place.part
