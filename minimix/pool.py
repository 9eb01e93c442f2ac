"""Read a source into a pool: every record ends as samples or as a drop with its reason.

Stands above files and formats, which know nothing of each other.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from minimix.errors import ConfigError, DataError, FormatError
from minimix.files import read_records
from minimix.formats import Parsed, read_row
from minimix.kinds import Record
from minimix.progress import Progress, silent
from minimix.records import Dropped, Place, Sample
from minimix.spool import sample_writer

UNSCALED = ("score", "rating", "quality")
COMPRESSED = "rating_detail.Overall_compressed"
OVERALL = "rating_detail.Overall"
OURS = "minimix_rating"
"""Where `minimix rate` puts ratings: 0..5, one for each exchange; the data's own go before them."""
HIGHEST = 5.0


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Which ratings in the data to use: `field` (dotted, None finds it), and its scale.

    Without `low` and `high` only fields whose scale is known are used; a scale is never guessed.
    """

    field: str | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Pool:
    """All samples of a run, their text on disk after reading, with what reading found out.

    `shapes` counts records by shape; `rating_field` is the field that ratings came from, "" for
    none; `unscaled` names one that looks like ratings of an unknown scale.
    """

    samples: Sequence[Sample]
    dropped: tuple[Dropped, ...]
    records: int
    shapes: Mapping[str, int]
    rating_field: str = ""
    unscaled: str = ""

    @property
    def shape(self) -> str:
        """The commonest row shape; the one seen first wins a tie."""
        return max(self.shapes, key=lambda name: self.shapes[name])


def read_pool(
    source: str,
    *,
    ratings: Ratings | None = None,
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
    records = progress(islice(read_records(source, folder=folder), limit), "Reading")
    return pool_of(records, source, ratings=ratings, max_bad=max_bad, folder=folder)


def pool_of(
    found: Iterable[Record],
    source: str,
    *,
    ratings: Ratings | None = None,
    max_bad: float = 0.05,
    folder: Path | None = None,
) -> Pool:
    """Return the pool of records as they come; raises errors as `read_pool` does."""
    ratings = ratings or Ratings()
    samples = sample_writer(folder)
    dropped: list[Dropped] = []
    bad: list[Dropped] = []
    shapes: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    unscaled: Counter[str] = Counter()
    records = 0
    for record in found:
        records += 1
        try:
            parsed, field = _parse(record, ratings)
        except FormatError as error:
            bad.append(Dropped(record.place, "read", str(error)))
            continue
        shapes[parsed.shape] += 1
        samples.extend(parsed.samples)
        dropped += parsed.dropped
        fields.update([field] if field else [])
        unscaled.update(_looks_rated(record.row or {}) if not field else [])
    _check_bad(source, bad, records, max_bad)
    if ratings.field and not fields:
        raise DataError(f"{source}: no record has a number in '{ratings.field}'")
    return Pool(
        samples=samples.spool(),
        dropped=(*bad, *dropped),
        records=records,
        shapes=shapes,
        rating_field=next(iter(fields), ""),
        unscaled=next(iter(unscaled), ""),
    )


def _parse(record: Record, ratings: Ratings) -> tuple[Parsed, str]:
    """Return a record's samples with their rating, and the field that it came from."""
    if record.row is None:
        raise FormatError(record.problem)
    parsed = read_row(record.row, record.place)
    field, rating = _rating(record.row, record.place, ratings)
    if rating is None and not ratings.field and OURS in record.row:
        ours = _ours(record.row[OURS], len(parsed.samples))
        rated = tuple(replace(s, rating=r) for s, r in zip(parsed.samples, ours, strict=True))
        return replace(parsed, samples=rated), OURS
    if rating is not None:
        rated = tuple(replace(sample, rating=rating) for sample in parsed.samples)
        parsed = replace(parsed, samples=rated)
    return parsed, field


def _ours(value: Any, count: int) -> list[float | None]:
    """Return the ratings that `minimix rate` wrote for a record of `count` exchanges."""
    ratings = value.get("ratings") if isinstance(value, Mapping) else None
    if not isinstance(ratings, list) or len(ratings) != count:
        raise FormatError(f"'{OURS}': expected {count} ratings, found {value!r:.60}")
    for rating in ratings:
        number = isinstance(rating, int | float) and not isinstance(rating, bool)
        if rating is not None and not (number and 0 <= rating <= HIGHEST):
            raise FormatError(f"'{OURS}': expected 0..{HIGHEST:g}, found {rating!r:.40}")
    return ratings


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


def _rating(row: Mapping[str, Any], place: Place, ratings: Ratings) -> tuple[str, float | None]:
    """Return the field a rating was found in and the rating, 0..5; ("", None) for none.

    Raises FormatError for a rating outside its scale, ConfigError for a field without one.
    """
    for field in [ratings.field] if ratings.field else (COMPRESSED, OVERALL, *UNSCALED):
        value = _number(row, field)
        if value is None:
            continue
        named = field == ratings.field or field in UNSCALED
        if named and ratings.low is not None and ratings.high is not None:
            return field, _scaled(value, field, ratings.low, ratings.high)
        if field == COMPRESSED:
            return field, _scaled(value, field, 0.0, HIGHEST)
        if field == OVERALL:
            _scaled(value, field, 1.0, 10.0)
            return field, min(max(value, 4.0), 9.0) - 4.0
        if ratings.field:
            raise ConfigError(
                f"{place}: the scale of '{field}' is not known (found {value:g}); "
                "say it with --rating-range LOW HIGH"
            )
    return "", None


def _scaled(value: float, field: str, low: float, high: float) -> float:
    if not low <= value <= high:
        raise FormatError(f"'{field}': expected {low:g}..{high:g}, found {value:g}")
    return HIGHEST * (value - low) / (high - low)


def _looks_rated(row: Mapping[str, Any]) -> list[str]:
    return [field for field in UNSCALED if _number(row, field) is not None][:1]


def _number(row: Mapping[str, Any], field: str) -> float | None:
    """Return the number at a dotted path, also one written as text (CSV); None for none."""
    value: Any = row.get(field)  # a column may hold the dotted name as it is
    if field not in row:
        value = row
        for name in field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None
    return None if math.isnan(number) else number
