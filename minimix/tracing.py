"""From an output row back to the records it was made of, each held against its hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.disk import is_there
from minimix.errors import DataError, OutputError
from minimix.files import HUB_ID, STDIN, read_records
from minimix.ledger import read_ledger
from minimix.output import PROVENANCE, TRAIN
from minimix.records import Place
from minimix.rows import NAME

SAME = "hash matches"
PLACE = {"file": str, "line": int, "part": int, "sha256": str}
"""What a ledger says of a source, and the type of each."""
CHANGED = "changed since the run: the hash differs"


@dataclass(frozen=True, slots=True)
class Source:
    """A source record as it stands now, and whether it is still the one that was used."""

    place: Place
    row: Mapping[str, Any] | None
    state: str


@dataclass(frozen=True, slots=True)
class Traced:
    """An output row, its ledger line, and its sources."""

    row: Mapping[str, Any]
    line: Mapping[str, Any]
    sources: tuple[Source, ...]


def only_output(folder: Path) -> Path:
    """Return the one output folder in `folder`; raises OutputError for none or several."""
    found = sorted(path for path in folder.glob("*.distilled") if path.is_dir())
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise OutputError(f"expected one *.distilled here, found {names}; give --output")
    return found[0]


def trace(row_id: str, output: Path) -> Traced:
    """Return the row whose id begins with `row_id`, with its sources read again.

    Raises DataError where no id, or more than one, begins so, and OutputError where the ledger does
    not say what it should of it.
    """
    ledger, rows = [list(read_ledger(output / name)) for name in (PROVENANCE, TRAIN)]
    if len(ledger) != len(rows):
        raise OutputError(
            f"{output}: {len(rows)} rows but {len(ledger)} lines of provenance; the run was "
            "stopped while it wrote them: start the same command again"
        )
    both = zip(ledger, rows, strict=True)
    found = [(line, row) for line, row in both if str(line.get("id", "")).startswith(row_id)]
    if len(found) != 1:
        raise DataError(f"{output}: {len(found)} rows have an id that begins '{row_id}'")
    line, row = found[0]
    return Traced(row, line, tuple(map(find, _sources(line, output / PROVENANCE))))


def _sources(line: Mapping[str, Any], ledger: Path) -> list[Place]:
    """Return the places in a ledger line; raises OutputError where the line is damaged."""
    try:
        forms = [{name: type(value) for name, value in one.items()} for one in line["sources"]]
        texts = isinstance(line["id"], str) and isinstance(line["origin"], str)
        whole = texts and 0 <= line["rating"] <= 5 and all(form == PLACE for form in forms)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise OutputError(
            f"{ledger}: expected id, origin, rating and sources of row {line.get('id')!r}, "
            "found others; start minimix distill again: it writes them anew"
        )
    return [Place(**source) for source in line["sources"]]


def find(place: Place) -> Source:
    """Return the record at a place as it stands now."""
    if place.file in (STDIN, NAME):
        return Source(place, None, "came from stdin or a Python call: not to be read again")
    if not is_there(Path(place.file)) and not HUB_ID.fullmatch(place.file):
        return Source(place, None, "the file is not here; go to where the run was started")
    for record in read_records(place.file):
        if record.place.line == place.line:
            state = SAME if record.place.sha256 == place.sha256 else CHANGED
            return Source(place, record.row, state)
    return Source(place, None, "no such record any more")
