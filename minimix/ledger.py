"""The two ledgers in their fixed form (docs/ledgers.md), and reading them back."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minimix import audit, prompt
from minimix.errors import OutputError
from minimix.records import Dropped, Engine, Entry, Place

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
        "seed": seed,
    }
    if fused:
        marks_of = fused.audit
        line["audit"] = {
            "version": audit.VERSION,
            "kept": round(marks_of.kept, DIGITS),
            "supported": round(marks_of.supported, DIGITS),
            "asked": round(marks_of.asked, DIGITS),
            "distinct": round(marks_of.distinct, DIGITS),
            "copied": round(marks_of.copied, DIGITS),
            "lost": list(marks_of.lost),
            "unsupported": list(marks_of.unsupported),
        }
    return line


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


def read_ledger(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a ledger, or of train.jsonl.

    Raises OutputError where it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise OutputError(f"{path}:{number}: expected an object")
                yield row
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be read ({error}); is it an output of minimix?"
        ) from error
