"""The main arrow, whole: a pool in, the final set out, every sample in exactly one ledger."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from minimix.accounting import account, by_place, count
from minimix.addressed import addressed
from minimix.config import DistillConfig
from minimix.contamination import NONE, Match, Questions, matches, verdict
from minimix.fuse import fuse
from minimix.journal import Journal
from minimix.pool import Pool
from minimix.prepare import Prepared, prepare
from minimix.progress import Progress, silent
from minimix.rarity import rarity_among, scaled
from minimix.records import (
    Dropped,
    Embed,
    Entry,
    Models,
    Origin,
    Sample,
    Stage,
)  # fmt: skip
from minimix.select import Selection, select
from minimix.spool import subset
from minimix.turns import Written

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
    prepared = prepare(pool, config=config, embed=models.embed, rate=models.rater.rate)
    ready = time.monotonic()
    written = fuse(prepared, config=config, models=models, journal=journal, progress=progress)
    prepared = replace(prepared, clusters=written.clusters)
    fused = time.monotonic()
    remove = config.drop_contaminated
    removed = matches(candidates(prepared, written), questions) if remove else ()
    selection = choose(prepared, written, removed, embed=models.embed)
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
        dropped=tuple(sorted(dropped, key=lambda drop: by_place(drop.place))),
        notes=(*selection.notes, *_on_writing(written), *_spoken(entries), *notes),
        matches=tuple(sorted(found, key=lambda match: by_place(match.sample.place))),
        prepared=prepared,
        written=written,
        counts={
            **count(pool, prepared, written, entries, dropped),
            "questions": len(questions.places),
            "contaminated": len(found),
        },
        seconds=seconds,
    )


def _on_writing(written: Written) -> Iterable[str]:
    """Yield what is to be said of clusters too long for the model, of mending, and of tokens."""
    if written.split:
        yield f"clusters: {written.split:,} too long for the model were split"
    mended = sum(fusion.mended for fusion in written.fusions)
    if mended:
        yield f"accepted fusions: {mended:,} of {len(written.fusions):,} put right by rule"
    if written.escaped:
        yield f"control tokens in the data, broken up for the server: {written.escaped:,}"


def _spoken(entries: Sequence[Entry]) -> Iterable[str]:
    """Yield what is to be said of originals that speak to a model, which no fusion may."""
    found = [
        f"{entry.sample.place} ({what})"
        for entry in entries
        if not entry.fusion and (what := addressed(entry.sample.prompt, entry.sample.response))
    ]
    if found:
        yield f"originals that speak to a model: {len(found):,}, first {found[0]}"


def candidates(prepared: Prepared, written: Written) -> Iterator[Sample]:
    """Yield what the final set is chosen from: high originals, possible stand-ins, fusions."""
    rows = [*prepared.high]
    for position in (*written.rejected, *written.refused):
        rows += prepared.clusters[position].rows
    yield from subset(prepared.samples, rows)
    yield from (fusion.sample for fusion in written.fusions)


def choose(
    prepared: Prepared,
    written: Written,
    removed: Sequence[Match],
    *,
    embed: Embed,
) -> Selection:
    """Return the final set without what was `removed`.

    The rarity of a fusion is measured among the samples, as theirs is among each other.
    """
    gone = {match.sample.sources for match in removed}
    fresh = embed([fusion.sample.text for fusion in written.fusions])
    rare = scaled(np.concatenate([prepared.rarity, rarity_among(fresh, prepared.embeddings)]))

    def entry(row: int, origin: Origin) -> Entry:
        return Entry(prepared.samples[row], origin, float(prepared.ratings[row]), float(rare[row]))

    def clean(rows: Sequence[int]) -> Sequence[int]:
        found = zip(rows, subset(prepared.samples, rows), strict=True)
        return [row for row, sample in found if sample.sources not in gone] if gone else rows

    def best(rows: Sequence[int]) -> Iterator[int]:
        order = sorted(rows, key=lambda row: (-prepared.ratings[row], row))
        found = zip(order, subset(prepared.samples, order), strict=True)
        return (row for row, one in found if not addressed(one.prompt, one.response))

    stand_ins = [
        row
        for position in (*written.rejected, *written.refused)
        for row in islice(best(clean(prepared.clusters[position].rows)), 1)
    ]
    fusions = [
        Entry(fusion.sample, "fusion", fusion.rating, float(rare[row]), fusion)
        for row, fusion in enumerate(written.fusions, len(prepared.samples))
        if fusion.sample.sources not in gone
    ]
    return select(
        [entry(row, "original") for row in clean(prepared.high)[: prepared.budget]],
        fusions,
        [entry(row, "best_source") for row in stand_ins],
        budget=prepared.budget,
        wanted=prepared.wanted,
    )


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
