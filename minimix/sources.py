"""Which columns name the sources of a mixed pool, and what each source is called.

That shows only when all rows are read: a column names sources where its values repeat, and not
where each row has an address or a title of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from minimix.columns import Columns

ROWS_EACH = 5
"""Rows to a name, on average, from which names are sources: as many as the largest cluster has."""
MOST = 1_000
"""Names in a field that nobody named; one that has more is free text, and takes no more memory."""
SHOWN = 20
"""Sources that a table shows; the others are summed up."""


class Sources:
    """Takes the names in the rows of a pool (`minimix.columns.names_in`), row by row.

    Knows in the end which fields count: one that was named, or each that has few names. The first
    of these in which a row has a name says its source.
    """

    def __init__(self, columns: Columns) -> None:
        """Take names of the fields that `columns` has for sources."""
        self._named = columns.source is not None
        self._rows: dict[str, Counter[str]] = {field: Counter() for field in columns.sources}
        self._overfull: set[str] = set()
        self._samples: Counter[str] = Counter()
        self._called: dict[str, str] = {}

    def add(self, names: Sequence[str], samples: int) -> str:
        """Return what to keep with the samples of a row, of which it has so many."""
        key = "\n".join(map(self._take, self._rows, names)) if any(names) else ""
        self._samples[key] += samples
        return key

    def _take(self, field: str, name: str) -> str:
        rows = self._rows[field]
        if name and name not in rows and len(rows) == MOST and not self._named:
            self._overfull.add(field)
            return ""
        if name:
            rows[name] += 1
        return name

    @property
    def fields(self) -> list[str]:
        """The fields that name sources."""
        return [field for field in self._rows if self._rows[field] and not self._is_free(field)]

    @property
    def free(self) -> list[str]:
        """Fields with short text that has too many forms to be names of sources."""
        return [field for field in self._rows if self._is_free(field)]

    def _is_free(self, field: str) -> bool:
        rows = self._rows[field]
        few = field not in self._overfull and ROWS_EACH * len(rows) <= rows.total()
        return not (self._named or few)

    def called(self, key: str) -> str:
        """Return the source of samples that were kept with `key`, "" for none; when all are."""
        if key not in self._called:
            fields = self.fields
            names = zip(self._rows, key.split("\n"), strict=True) if key else ()
            found = (name for field, name in names if name and field in fields)
            self._called[key] = next(found, "")
        return self._called[key]

    def counts(self) -> dict[str, int]:
        """Return the samples of each source, the largest first; empty where none has a name."""
        found: Counter[str] = Counter()
        for key, number in self._samples.items():
            found[self.called(key)] += number
        return dict(found.most_common()) if self.fields else {}


def table(counts: Mapping[str, Sequence[int]]) -> list[tuple[str, list[int]]]:
    """Return figures by source, in the order given, those beyond SHOWN summed up on a last line."""
    named = [(name or "(none named)", list(figures)) for name, figures in counts.items()]
    rest = [figures for _, figures in named[SHOWN:]]
    others = [(f"({len(rest):,} others)", [sum(column) for column in zip(*rest, strict=True)])]
    return named[:SHOWN] + (others if rest else [])
