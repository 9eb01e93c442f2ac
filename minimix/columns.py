"""What a row says beside its text: its rating, and the name of the data set that it came from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minimix.errors import ConfigError, FormatError
from minimix.records import Place

Row = Mapping[str, Any]

UNSCALED = ("score", "rating", "quality")
COMPRESSED = "rating_detail.Overall_compressed"
OVERALL = "rating_detail.Overall"
OURS = "minimix_rating"
"""Where `minimix rate` puts ratings: 0..5, one for each exchange; the data's own go before them."""
HIGHEST = 5.0
SOURCES = ("source", "dataset")
"""Where mixed data sets name the set that a row came from."""
LICENSES = ("license", "licence")
OFF = ("none", "")
LONGEST = 100
"""Characters of a source's name in a field that nobody named."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of the data count beside the text; each is dotted, None finds it.

    `rating` holds ratings of the scale `low` to `high`: without these only fields whose scale is
    known are used, a scale is never guessed. `source` names the data set of a row; "none" for no
    such field.
    """

    rating: str | None = None
    low: float | None = None
    high: float | None = None
    source: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The fields in which names of sources are looked for."""
        if self.source is None:
            return SOURCES
        return () if self.source in OFF else (self.source,)


def rating_in(row: Row, place: Place, columns: Columns) -> tuple[str, float | None]:
    """Return the field a rating was found in and the rating, 0..5; ("", None) for none.

    Raises FormatError for a rating outside its scale, ConfigError for a field without one.
    """
    for field in [columns.rating] if columns.rating else (COMPRESSED, OVERALL, *UNSCALED):
        value = _number(row, field)
        if value is None:
            continue
        named = field == columns.rating or field in UNSCALED
        if named and columns.low is not None and columns.high is not None:
            return field, _scaled(value, field, columns.low, columns.high)
        if field == COMPRESSED:
            return field, _scaled(value, field, 0.0, HIGHEST)
        if field == OVERALL:
            _scaled(value, field, 1.0, 10.0)
            return field, min(max(value, 4.0), 9.0) - 4.0
        if columns.rating:
            raise ConfigError(
                f"{place}: the scale of '{field}' is not known (found {value:g}); "
                "say it with --rating-range LOW HIGH"
            )
    return "", None


def our_ratings(row: Row, count: int) -> list[float | None]:
    """Return the ratings that `minimix rate` wrote for a record of `count` exchanges.

    Raises FormatError where they are not as it writes them.
    """
    value = row[OURS]
    ratings = value.get("ratings") if isinstance(value, Mapping) else None
    if not isinstance(ratings, list) or len(ratings) != count:
        raise FormatError(f"'{OURS}': expected {count} ratings, found {value!r:.60}")
    for rating in ratings:
        number = isinstance(rating, int | float) and not isinstance(rating, bool)
        if rating is not None and not (number and 0 <= rating <= HIGHEST):
            raise FormatError(f"'{OURS}': expected 0..{HIGHEST:g}, found {rating!r:.40}")
    return ratings


def unscaled_in(row: Row) -> tuple[str, ...]:
    """Return the name of a field that looks like a rating of an unknown scale, if there is one."""
    return tuple(field for field in UNSCALED if _number(row, field) is not None)[:1]


def names_in(row: Row, columns: Columns) -> tuple[str, ...]:
    """Return the name that a row has in each of `columns.sources`, "" for none.

    Names are on one line, and without control characters. Where no field was named, only short
    text on one line may be one.
    """
    name = _short_name if columns.source is None else _name
    return tuple([name(_at(row, field)) for field in columns.sources])


def license_in(row: Row) -> str:
    """Return what a row calls its licence, "" for nothing; a licence's whole text is no name."""
    return next(filter(None, (_short_name(row.get(field)) for field in LICENSES)), "")


def _short_name(value: Any) -> str:
    """Return short text on one line as a name."""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    return _name(text) if len(text) <= LONGEST and text.isprintable() else ""


def _name(value: Any) -> str:
    """Return text or a whole number as a name."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    words = " ".join(str(value).split())
    return words if words.isprintable() else ascii(words)[1:-1]


def _scaled(value: float, field: str, low: float, high: float) -> float:
    if not low <= value <= high:
        raise FormatError(f"'{field}': expected {low:g}..{high:g}, found {value:g}")
    return HIGHEST * (value - low) / (high - low)


def _number(row: Row, field: str) -> float | None:
    """Return the number at a dotted path, also one written as text (CSV); None for none."""
    value = _at(row, field)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _at(row: Row, field: str) -> Any:
    """Return what a row has at a dotted path, or in a column of that very name; None for none."""
    if field in row or "." not in field:
        return row.get(field)
    value: Any = row
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
