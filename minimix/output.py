"""What a finished run leaves in its folder; each file whole, or not there."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minimix import __version__, prompt
from minimix.card import card
from minimix.config import DistillConfig
from minimix.disk import atomic, write_jsonl
from minimix.distill import Distilled
from minimix.extras import need
from minimix.formats import write_row
from minimix.ledger import drop, provenance
from minimix.pool import Pool
from minimix.records import Models
from minimix.report import mean_similarity, render

TRAIN = "train.jsonl"
PROVENANCE = "provenance.jsonl"
DROPPED = "dropped.jsonl"
REPORT = "report.html"
CARD = "README.md"
RUN = "run.yaml"
DEFAULTS = DistillConfig().flat()
PACKAGES = ("llama-cpp-python", "sentence-transformers", "torch", "hnswlib", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of what can change a run's output."""
    found = {"minimix": __version__, "python": platform.python_version()}
    return {**found, **{package: version(package) for package in PACKAGES}}


def write_output(
    result: Distilled,
    folder: Path,
    *,
    pool: Pool,
    config: DistillConfig,
    models: Models,
) -> None:
    """Write the final set, both ledgers, the card, run.yaml and the report, in that order.

    Raises OutputError where the disk does not take them.
    """
    shape = config.format or pool.shape
    entries, engine = result.entries, models.engine
    write_jsonl(folder / TRAIN, (write_row(entry.sample, shape) for entry in entries))
    lines = (provenance(entry, engine=engine, seed=config.seed) for entry in entries)
    write_jsonl(folder / PROVENANCE, lines)
    write_jsonl(folder / DROPPED, map(drop, result.dropped))
    settings = {**config.flat(), "format": shape}
    name = f"{folder.resolve().name.removesuffix('.distilled')}, distilled"
    field = pool.rating_field
    rater = f"'{field}' in the data, the rest from {models.rater}" if field else models.rater
    made_by = {"version": __version__, "model": engine.name, "rater": rater}
    told = {key: value for key, value in settings.items() if _worth_telling(key, value)}
    text = card(result.counts, name=name, made_by=made_by, notes=result.notes, settings=told)
    with atomic(folder / CARD) as file:
        file.write(text)
    run: dict[str, Any] = {
        "settings": settings,
        "engine": dict(engine.settings),
        "model": {"name": engine.name, "sha256": engine.sha256},
        "embedder": models.embedder,
        "rater": rater,
        "prompt_version": prompt.VERSION,
        "versions": versions(),
    }
    with atomic(folder / RUN) as file:
        need("yaml").safe_dump(run, file, sort_keys=False, allow_unicode=True)
    with atomic(folder / REPORT) as file:
        file.write(_report(result, name, settings, _facts(result, run)))


def _worth_telling(name: str, value: Any) -> bool:
    """Whether a card names a setting: those of the set itself, and what is not the default."""
    if name in ("model", "adapter", "base_url", "embedder"):
        return False  # named in words above, where they hold no path of this machine
    return name in ("seed", "budget", "mix") or value != DEFAULTS.get(name)


def _report(
    result: Distilled, name: str, settings: Mapping[str, Any], facts: Mapping[str, str]
) -> str:
    prepared = result.prepared
    fusions = [
        (entry, prepared.sources(prepared.clusters[entry.fusion.cluster]))
        for entry in result.entries
        if entry.fusion
    ]
    return render(
        title=name,
        counts=result.counts,
        notes=result.notes,
        fusions=fusions,
        dropped=result.dropped,
        settings={**settings, **facts},
    )


def _facts(result: Distilled, run: Mapping[str, Any]) -> dict[str, str]:
    prepared = result.prepared
    similarity = mean_similarity(prepared.clusters)
    return {
        "model": str(run["model"]["name"]),
        "embedder": str(run["embedder"]),
        "rater": str(run["rater"]),
        "similarity floor": f"{prepared.floor:.3f}",
        "mean similarity in clusters": f"{similarity:.3f}",
        "seconds": ", ".join(f"{stage} {spent:.1f}" for stage, spent in result.seconds.items()),
        **{f"engine: {name}": str(value) for name, value in run["engine"].items()},
        **{name: str(value) for name, value in run["versions"].items()},
    }
