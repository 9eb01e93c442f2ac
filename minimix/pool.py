"""Read a source into a pool: every record ends as samples or as a drop with its reason.

Stands above files and formats, which know nothing of each other.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from minimix.columns import OURS, Columns, license_in, names_in, our_ratings, rating_in, unscaled_in
from minimix.errors import DataError, FormatError
from minimix.files import read_records
from minimix.formats import Parsed, read_row
from minimix.kinds import Record
from minimix.progress import Progress, silent
from minimix.records import Dropped, Place, Sample
from minimix.rows import Rows
from minimix.sources import MOST, Sources
from minimix.spool import sample_writer


@dataclass(frozen=True, kw_only=True)
class Pool:
    """All samples of a run, their text on disk after reading, with what reading found out.

    `shapes` counts records by shape; `rating_field` is the field that ratings came from, "" for
    none; `unscaled` names one that looks like ratings of an unknown scale. `sources` counts samples
    by the name of their source, "" for none, and is empty where no field names any; `source_field`
    is where names came from, `free_field` one of short text with too many forms to be names.
    `name` is that of what was read; `licenses` counts records by what they call their licence, ""
    for nothing.
    """

    samples: Sequence[Sample]
    dropped: tuple[Dropped, ...]
    records: int
    shapes: Mapping[str, int]
    rating_field: str = ""
    unscaled: str = ""
    sources: Mapping[str, int] = field(default_factory=dict)
    source_field: str = ""
    free_field: str = ""
    name: str = ""
    licenses: Mapping[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> str:
        """The commonest row shape; the one seen first wins a tie."""
        return max(self.shapes, key=lambda name: self.shapes[name])

    def sha256(self) -> str:
        """Return sixteen digits that change with any of the records, or their order."""
        samples, drops = (one.place for one in self.samples), (one.place for one in self.dropped)
        return places_sha256(chain(samples, drops))


@dataclass(frozen=True, slots=True)
class Found:
    """What one record gave: samples and drops, or the `problem` that kept it from being read.

    `rated` is where its rating was found, `unscaled` what looks like one of an unknown scale;
    `names` are those of its source, as `minimix.columns.names_in` has them; `license` what it calls
    its own.
    """

    place: Place
    parsed: Parsed | None
    problem: str = ""
    rated: str = ""
    unscaled: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    license: str = ""


def places_sha256(places: Iterable[Place]) -> str:
    """Return sixteen digits that change with any of the records at `places`, or their order."""
    digest = hashlib.sha256()
    for place in places:
        line = f"{place.file}\0{place.line}\0{place.part}\0{place.sha256}\n"
        digest.update(line.encode("utf-8", "replace"))
    return digest.hexdigest()[:16]


Read = Callable[[str | Rows, Columns, Path | None], Iterator[Found]]
"""A source, which columns of it count, and a folder as for `read_pool`: what its records gave."""


def read_pool(
    source: str,
    *,
    columns: Columns | None = None,
    max_bad: float = 0.05,
    limit: int | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Pool:
    """Return the pool in `source` (file, folder, "-", hub id), at most `limit` records of it.

    Its text goes to the disk of `folder`, or where the system keeps temporary files, under no name.
    Raises OutputError where that does not take it, FormatError where more than the share `max_bad`
    of the records, or all, are unreadable.
    """
    columns = columns or Columns()
    found = progress(islice(read_found(source, columns, folder), limit), "Reading")
    return pool_of(found, source, columns=columns, max_bad=max_bad, folder=folder)


def read_found(source: str | Rows, columns: Columns, folder: Path | None = None) -> Iterator[Found]:
    """Yield what each record of `source` gave; raises errors as `read_records` does."""
    return (find(record, columns) for record in read_records(source, folder=folder))


def find(record: Record, columns: Columns) -> Found:
    """Return what a record gives; raises ConfigError for a rating whose scale is not known."""
    try:
        parsed, rated = _parse(record, columns)
    except FormatError as error:
        return Found(record.place, None, str(error))
    row = record.row or {}
    return Found(
        record.place,
        parsed,
        rated=rated,
        unscaled=() if rated else unscaled_in(row),
        names=names_in(row, columns),
        license=license_in(row),
    )


def pool_of(
    found: Iterable[Found],
    source: str,
    *,
    columns: Columns,
    max_bad: float = 0.05,
    folder: Path | None = None,
) -> Pool:
    """Return the pool of what records gave, as they come; raises errors as `read_pool` does."""
    sources = Sources(columns)
    samples = sample_writer(folder, called=sources.called)
    dropped: list[Dropped] = []
    bad: list[Dropped] = []
    shapes: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    unscaled: Counter[str] = Counter()
    licenses: Counter[str] = Counter()
    records = 0
    for one in found:
        records += 1
        if one.parsed is None:
            bad.append(Dropped(one.place, "read", one.problem))
            continue
        shapes[one.parsed.shape] += 1
        key = sources.add(one.names, len(one.parsed.samples))
        samples.extend(replace(s, source=key) if key else s for s in one.parsed.samples)
        dropped += one.parsed.dropped
        fields.update([one.rated] if one.rated else [])
        unscaled.update(one.unscaled)
        licenses[one.license if one.license in licenses or len(licenses) < MOST else ""] += 1
    _check_bad(source, bad, records, max_bad)
    if columns.rating and not fields:
        raise DataError(f"{source}: no record has a number in '{columns.rating}'")
    if columns.source and columns.sources and not sources.fields:
        raise DataError(f"{source}: no record has a name in '{columns.source}'")
    return Pool(
        samples=samples.spool(),
        dropped=(*bad, *dropped),
        records=records,
        shapes=shapes,
        rating_field=next(iter(fields), ""),
        unscaled=next(iter(unscaled), ""),
        sources=sources.counts(),
        source_field=", ".join(sources.fields),
        free_field=next(iter(sources.free), ""),
        name=source,
        licenses=licenses,
    )


def _parse(record: Record, columns: Columns) -> tuple[Parsed, str]:
    """Return a record's samples with their rating, and the field that it came from."""
    if record.row is None:
        raise FormatError(record.problem)
    parsed = read_row(record.row, record.place)
    field, rating = rating_in(record.row, record.place, columns)
    if rating is None and not columns.rating and OURS in record.row:
        ours = our_ratings(record.row, len(parsed.samples))
        rated = tuple(replace(s, rating=r) for s, r in zip(parsed.samples, ours, strict=True))
        return replace(parsed, samples=rated), OURS
    if rating is not None:
        rated = tuple(replace(sample, rating=rating) for sample in parsed.samples)
        parsed = replace(parsed, samples=rated)
    return parsed, field


def _check_bad(source: str, bad: list[Dropped], records: int, max_bad: float) -> None:
    if not records:
        raise FormatError(f"{source}: no records")
    if len(bad) == records or len(bad) / records > max_bad:
        share = "none" if len(bad) == records else f"only {records - len(bad):,}"
        raise FormatError(
            f"{source}: {share} of {records:,} records can be read "
            f"(first: {bad[0].place}: {bad[0].reason}); "
            f"more than {max_bad:.0%} bad ends the run, --max-bad raises the share"
        )
