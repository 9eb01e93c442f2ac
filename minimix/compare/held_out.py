"""What students are judged on, and the pool without it: what is asked was not to be learnt."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minimix.compare.settings import Asked
from minimix.config import HIGH, DistillConfig
from minimix.disk import atomic, write_jsonl
from minimix.errors import DataError, OutputError
from minimix.formats import write_row
from minimix.pool import Pool
from minimix.progress import Progress, Say
from minimix.rating import open_rater
from minimix.records import Embed, Rate, Sample, Vectors
from minimix.run import load_pool, open_embedder
from minimix.spool import Texts, subset

POOL, HELD, PARTED = "pool.jsonl", "held_out.jsonl", "parted.json"
RATING, SOURCE = "minimix_rating", "minimix_source"
"""Fields in which the pool here keeps what the input said of a sample."""
DRAW = 8
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Parted:
    """A pool without what is held out: rows that were too near to that, and what its rows name."""

    near: int
    rated: bool
    sourced: bool

    def read_as(self, config: DistillConfig) -> DistillConfig:
        """Return the settings that read what `part` wrote, where ratings are ours."""
        given: dict[str, Any] = {"limit": None, "rating_field": None, "rating_range": None}
        if self.rated:
            given |= {"rating_field": RATING, "rating_range": (0, 5)}
        return config.with_settings({**given, "source_field": SOURCE if self.sourced else None})


def part(source: str, asked: Asked, output: Path, *, progress: Progress, say: Say) -> Parted:
    """Write the pool of `source` and the held-out samples apart, and return what was found.

    Both are kept as they are once they are there. Raises OutputError where those in `output` were
    made otherwise, DataError as `draw`.
    """
    config, held_out = asked.distilling, asked.config.held_out
    wanted = {"source": source, "held_out": held_out, "hold": asked.config.hold}
    path = output / PARTED
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        before = Parted(**kept.pop("found"))
        if kept != wanted:
            raise OutputError(f"{output}: was made of {kept}, not {wanted}; give another --output")
        return before
    pool = load_pool(source, config, progress=progress)
    samples, held = pool.samples, list(load_pool(held_out, config).samples) if held_out else []
    if not held_out:
        rater = open_rater(config.rater, length_neutral=config.length_neutral)
        rows = draw(samples, rater.rate, hold=asked.config.hold, seed=config.seed)
        held = list(subset(samples, rows))
        samples = subset(samples, np.setdiff1d(np.arange(len(samples)), rows).tolist())
    _, embedder = open_embedder(config, pool, progress=progress, say=say)
    far = distant(samples, held, embed=embedder.embed, min_similarity=config.near_copy)
    output.mkdir(parents=True, exist_ok=True)
    write_jsonl(output / HELD, _rows(held, pool))
    write_jsonl(output / POOL, _rows(subset(samples, far), pool))
    found = Parted(len(samples) - len(far), bool(pool.rating_field), bool(pool.source_field))
    with atomic(path) as file:
        json.dump({**wanted, "found": asdict(found)}, file)
    return found


def draw(samples: Sequence[Sample], rate: Rate, *, hold: int, seed: int) -> list[int]:
    """Return the rows of `hold` samples, drawn by chance among those rated high.

    A sample's own rating counts where it has one. Raises DataError where more than a tenth of the
    samples would go, or not so many are high.
    """
    own = [np.nan if sample.rating is None else sample.rating for sample in samples]
    high = np.flatnonzero(np.where(np.isnan(own), rate(samples), own) >= HIGH)
    if hold > len(samples) / 10 or len(high) < hold:
        raise DataError(
            f"hold: expected at most a tenth of {len(samples):,} samples and no more than the "
            f"{len(high):,} high ones, found {hold}; or name other samples with held_out"
        )
    chosen = np.random.default_rng([seed, DRAW]).permutation(high)[:hold]
    return sorted(chosen.tolist())


def distant(
    samples: Sequence[Sample], held: Sequence[Sample], *, embed: Embed, min_similarity: float
) -> list[int]:
    """Return the rows that ask nothing that is held out, and are no near copies of it.

    Raises DataError where none is left.
    """
    cosines = nearest(embed(Texts(samples)), embed([one.text for one in held]))
    prompts = {_plain(one.prompt) for one in held}
    same = np.fromiter((_plain(one.prompt) in prompts for one in samples), bool, len(samples))
    rows: list[int] = np.flatnonzero((cosines < min_similarity) & ~same).tolist()
    if not rows:
        raise DataError("every sample of the pool is near one that is held out")
    return rows


def nearest(ours: Vectors, theirs: Vectors) -> Vectors:
    """Return the cosine of each of ours (n, d) with the nearest of theirs (m, d): (n,)."""
    blocks = range(0, len(ours), BLOCK)
    return np.concatenate([(ours[at : at + BLOCK] @ theirs.T).max(axis=1) for at in blocks])


def _rows(samples: Sequence[Sample], pool: Pool) -> Iterator[dict[str, Any]]:
    """Yield the samples as rows, with the rating and the source that the input gave them."""
    for sample in samples:
        row = write_row(sample, pool.shape)
        named = {RATING: sample.rating, SOURCE: sample.source or None}
        yield row | {name: value for name, value in named.items() if value is not None}


def _plain(prompt: str) -> str:
    return " ".join(prompt.casefold().split())
