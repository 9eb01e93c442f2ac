"""`minimix.distill`, for notebooks and programs: data at hand in, a result at hand out."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from minimix.arrow import Distilled
from minimix.config import DistillConfig
from minimix.extras import need
from minimix.glance import SHOWN, glance
from minimix.output import final_rows
from minimix.pool import Pool
from minimix.progress import Progress, silent
from minimix.records import Dropped, Entry, Sample
from minimix.rows import NAME, rows_of
from minimix.run import distill_file

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset
    from pandas import DataFrame

    Rows = Iterable[Mapping[str, Any]]
    Data: TypeAlias = str | Path | Rows | DataFrame | Dataset | IterableDataset

tell = logging.getLogger("minimix").info
"""Hears what the command line says beside its bar, such as which embedder was chosen."""


class Settings(TypedDict, total=False):
    """The settings of `minimix.DistillConfig` and of its engine, flat, as its options are.

    A Path does where a file or folder is named; `budget` may be a number of rows.
    """

    seed: int
    budget: str | int
    mix: float
    candidates: int
    rating_field: str | None
    rating_range: tuple[float, float] | None
    source_field: str | None
    max_bad: float
    limit: int | None
    rater: str | Path
    length_neutral: bool
    embedder: str | Path
    near_copy: float
    min_similarity: float | None
    tries: int
    exhaustive: bool
    cohort: int
    format: str | None
    check_against: str | Path | Sequence[str | Path]
    drop_contaminated: bool
    license: str | Sequence[str]
    language: str | Sequence[str]
    executor: str
    model: str | Path
    adapter: str | Path
    base_url: str | Sequence[str]
    threads: int
    gpu_layers: int
    parallel: int
    context: int
    batch: int
    flash_attention: str
    cache_type: str
    exact: bool
    max_new_tokens: int
    temperature: float
    top_p: float
    min_p: float
    repetition_penalty: float
    grammar: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class Distillation:
    """A finished run. A notebook shows its counts and a few of its fusions.

    `rows` are the final set as they stand in train.jsonl, `entries` the same rows with origin,
    rating, rarity and sources; `dropped` is every other sample, and every record that gave none,
    with stage and reason. `counts` are the figures of the report by name, `notes` what is to be
    said of them. `folder` holds the files that the command line writes; None where none was asked.
    `shown` are the fusions that a notebook shows, each with the samples it was made of.
    """

    rows: list[dict[str, Any]]
    entries: tuple[Entry, ...]
    dropped: tuple[Dropped, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    folder: Path | None
    shown: tuple[tuple[Entry, tuple[Sample, ...]], ...] = field(compare=False)

    def to_dataset(self) -> "Dataset":
        """Return the rows as a `datasets.Dataset`; a field that a row lacks is None there."""
        columns = dict.fromkeys(name for row in self.rows for name in row)
        table = {name: [row.get(name) for row in self.rows] for name in columns}
        return need("datasets").Dataset.from_dict(table)

    def to_pandas(self) -> "DataFrame":
        """Return the rows as a `pandas.DataFrame`."""
        return need("pandas").DataFrame(self.rows)

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"Distillation({counts['final']:,} rows of {counts['samples']:,} samples: "
            f"{counts['originals']:,} originals, {counts['fusions']:,} fusions, "
            f"{counts['best_sources']:,} best sources)"
        )

    def _repr_html_(self) -> str:
        return glance(self.counts, self.notes, self.shown)


def distill(
    source: "Data",
    *,
    output: str | Path | None = None,
    restart: bool = False,
    config: DistillConfig | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Distillation:
    """Return the small set that `source` is distilled into, with where each row came from.

    `source` is a path or a hub id as on the command line, rows as dicts, a DataFrame or a Dataset.
    With `output` the files of the command line lie there, and a run that was stopped goes on when
    the same call is made again; without, nothing is kept on disk. `settings` go over `config`.

    Raises a MinimixError in one line for anything that keeps it from finishing.
    """
    chosen = (config or DistillConfig()).with_settings(settings)
    given = str(source) if isinstance(source, str | Path) else rows_of(source)
    with _folder(output) as folder:
        result, pool = distill_file(
            given, chosen, output=folder, restart=restart, progress=progress, say=tell
        )
    return _distillation(result, pool, chosen, folder if output is not None else None)


@contextmanager
def _folder(output: str | Path | None) -> Iterator[Path]:
    """Yield the output folder, or one that is gone afterwards."""
    if output is not None:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="minimix-") as folder:
        yield Path(folder) / f"{NAME}.distilled"


def _distillation(
    result: Distilled, pool: Pool, config: DistillConfig, folder: Path | None
) -> Distillation:
    prepared = result.prepared
    fused = [(entry, entry.fusion) for entry in result.entries if entry.fusion][:SHOWN]
    return Distillation(
        rows=final_rows(result.entries, config.format or pool.shape),
        entries=result.entries,
        dropped=result.dropped,
        counts=result.counts,
        notes=result.notes,
        folder=folder,
        shown=tuple(
            (entry, tuple(prepared.sources(prepared.clusters[fusion.cluster])))
            for entry, fusion in fused
        ),
    )
