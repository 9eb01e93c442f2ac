"""The two ledgers in their fixed form (docs/ledgers.md), and reading them back."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minimix import audit, prompt, rating
from minimix.contamination import Match
from minimix.disk import parse_json
from minimix.errors import OutputError
from minimix.records import Audit, Dropped, Engine, Entry, Place

DIGITS = 4


def provenance(entry: Entry, *, engine: Engine, seed: int) -> dict[str, Any]:
    """Return the ledger line of an output row."""
    fused = entry.fusion
    reward = None
    if fused:
        marks = fused.reward
        reward = {
            "quality": marks.quality,
            "alignment": marks.alignment,
            "format": marks.format,
        }
    line: dict[str, Any] = {
        "id": entry.sample.id,
        "origin": entry.origin,
        "sources": [place(source) for source in entry.sample.sources],
        "rating": round(entry.rating, DIGITS),
        "rarity": round(entry.rarity, DIGITS),
        "reward": reward,
        "model": {"name": engine.name, "sha256": engine.sha256} if fused else None,
        "prompt_version": prompt.VERSION,
        "rater_version": rating.VERSION,
        "seed": seed,
    }
    if fused:
        line["audit"] = {"version": audit.VERSION, **_marks(fused.audit)}
        line["mended"] = fused.mended
    return line


def _marks(marks: Audit) -> dict[str, Any]:
    """Return an audit's shares, rounded, and its findings, by the names of its fields."""
    return {
        name: round(value, DIGITS) if isinstance(value, float) else list(value)
        for name, value in asdict(marks).items()
    }


def place(where: Place) -> dict[str, Any]:
    """Return a place as both ledgers write it."""
    return {
        "file": where.file,
        "line": where.line,
        "part": where.part,
        "sha256": where.sha256,
    }


def drop(dropped: Dropped) -> dict[str, Any]:
    """Return the ledger line of a dropped sample or record."""
    return {**place(dropped.place), "stage": dropped.stage, "reason": dropped.reason}


def contamination(match: Match, *, removed: bool) -> dict[str, Any]:
    """Return the line of a row that holds an evaluation question."""
    return {
        "id": match.sample.id,
        "sources": [place(source) for source in match.sample.sources],
        "question": place(match.question),
        "how": match.how,
        "score": round(match.score, DIGITS),
        "removed": removed,
    }


def read_ledger(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a ledger, or of train.jsonl.

    Raises OutputError where it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row = parse_json(line)
                if not isinstance(row, dict):
                    raise OutputError(f"{path}:{number}: expected an object")
                yield row
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be read ({error}); is it an output of minimix?"
        ) from error
