"""What a finished run leaves in its folder; each file whole, or not there."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minimix import __version__, prompt, report
from minimix.arrow import Distilled
from minimix.card import About, card
from minimix.config import DistillConfig
from minimix.disk import atomic, write_jsonl
from minimix.extras import need
from minimix.files import hub_commit
from minimix.formats import write_row
from minimix.ledger import contamination, drop, provenance
from minimix.pool import Pool
from minimix.rating.trust import compare, in_words
from minimix.records import Entry, Models, Rater
from minimix.report import PAGE
from minimix.shown import shown
from minimix.sources import table
from minimix.trainers import FOLDER as USE
from minimix.trainers import uses

TRAIN = "train.jsonl"
PROVENANCE = "provenance.jsonl"
DROPPED = "dropped.jsonl"
CONTAMINATION = "contamination.jsonl"
REPORT = PAGE
CARD = "README.md"
RUN = "run.yaml"
GROUPS, SKIPPED = 5, 20
"""Groups of the plan, and skipped clusters, that the report shows."""
PACKAGES = ("llama-cpp-python", "sentence-transformers", "torch", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of what can change a run's output."""
    found = {"minimix": __version__, "python": platform.python_version()}
    return {**found, **{package: version(package) for package in PACKAGES}}


def final_rows(entries: Sequence[Entry], shape: str) -> list[dict[str, Any]]:
    """Return the rows of train.jsonl, all with the same fields: where some have a system, all do.

    What loads the rows as a table takes its columns from the first of them.
    """
    rows = [write_row(entry.sample, shape) for entry in entries]
    blank = {"system": ""} if any("system" in row for row in rows) else {}
    return [{**blank, **row} for row in rows]


def write_output(
    result: Distilled,
    folder: Path,
    *,
    pool: Pool,
    config: DistillConfig,
    models: Models,
) -> None:
    """Write the final set, its ledgers, the card with what trainers read, run.yaml and the report.

    Raises OutputError where the disk does not take them.
    """
    shape = config.format or pool.shape
    entries, engine = result.entries, models.engine
    write_jsonl(folder / TRAIN, iter(final_rows(entries, shape)))
    lines = (provenance(entry, engine=engine, seed=config.seed) for entry in entries)
    write_jsonl(folder / PROVENANCE, lines)
    write_jsonl(folder / DROPPED, map(drop, result.dropped))
    _write_matches(result, folder / CONTAMINATION, removed=config.drop_contaminated)
    settings = {**config.flat(), "format": shape}
    title = folder.resolve().name
    field = pool.rating_field
    rater = models.rater.name
    rater = f"'{field}' in the data, the rest from {rater}" if field else rater
    about = About(
        folder=title,
        train=TRAIN,
        pool=pool,
        config=config,
        model=engine.name,
        rater=rater,
        counts=result.counts,
        entries=entries,
        notes=result.notes,
    )
    _write_text(folder / CARD, card(about))
    system = any(entry.sample.system for entry in entries)
    for use, text in uses(shape, folder=title, train=TRAIN, system=system).items():
        _write_text(folder / USE / use, text)
    run: dict[str, Any] = {
        "settings": settings,
        "input": {
            "name": pool.name,
            "revision": hub_commit(pool.name) or None,
            "records": pool.records,
            "sha256": pool.sha256(),
        },
        "engine": dict(engine.settings),
        "model": {"name": engine.name, "sha256": engine.sha256},
        "embedder": models.embedder,
        "rater": rater,
        **({"control_tokens_escaped": result.written.escaped} if engine.escapes else {}),
        "prompt_version": prompt.VERSION,
        "versions": versions(),
    }
    with atomic(folder / RUN) as file:
        need("yaml").safe_dump(run, file, sort_keys=False, allow_unicode=True)
    trust = _trust(result, pool, models.rater)
    facts = {**_facts(result, run), **_source_facts(result, pool)}
    page = shown(result, title=title, trust=trust, settings={**settings, **facts})
    report.write(folder, page)


def _by_source(result: Distilled, pool: Pool) -> list[tuple[str, list[int]]]:
    """Return samples read and rows of the final set by source; nothing where the data name none."""
    rows = Counter(entry.sample.source for entry in result.entries)
    return table({name: (read, rows[name]) for name, read in pool.sources.items()})


def _source_facts(result: Distilled, pool: Pool) -> dict[str, str]:
    lines = [f"{name}: {read:,}, {rows:,}" for name, (read, rows) in _by_source(result, pool)]
    title = f"samples and rows by '{pool.source_field}'"
    return {title: "; ".join(lines)} if lines else {}


def _write_matches(result: Distilled, path: Path, *, removed: bool) -> None:
    """Write the rows that hold a question; without a check, take away an earlier run's list."""
    if result.counts["questions"]:
        write_jsonl(path, (contamination(match, removed=removed) for match in result.matches))
    else:
        path.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    with atomic(path) as file:
        file.write(text)


def _trust(result: Distilled, pool: Pool, rater: Rater) -> list[str]:
    """Return how far the ratings can be trusted: the rater's own figures, and those of the data."""
    prepared = result.prepared
    kinds = dict.fromkeys(sample.kind for sample in prepared.samples)
    lines = [f"rated by {rater.name}"]
    lines += [f"{kind}: {rater.trust.get(kind, 'not measured')}" for kind in kinds]
    compared = compare(prepared.samples, prepared.rated) if pool.rating_field else None
    if compared:
        lines += [f"'{pool.rating_field}': {line}" for line in in_words(*compared)]
    return lines


def _facts(result: Distilled, run: Mapping[str, Any]) -> dict[str, str]:
    prepared = result.prepared
    near = [cluster.similarity for cluster in prepared.clusters]
    return {
        "model": str(run["model"]["name"]),
        "embedder": str(run["embedder"]),
        "rater": str(run["rater"]),
        "similarity floor": f"{prepared.floor:.3f}",
        "mean similarity in clusters": f"{sum(near) / max(1, len(near)):.3f}",
        "seconds": ", ".join(f"{stage} {spent:.1f}" for stage, spent in result.seconds.items()),
        "tokens": _tokens(result),
        **{name: str(run[name]) for name in ("control_tokens_escaped",) if name in run},
        **{f"engine: {name}": str(value) for name, value in run["engine"].items()},
        **{name: str(value) for name, value in run["versions"].items()},
    }


def _tokens(result: Distilled) -> str:
    tokens = result.written.tokens
    if tokens is None:
        return "fuse: not known here"
    return f"fuse: {tokens[0]:,} of prompts, {tokens[1]:,} written"
