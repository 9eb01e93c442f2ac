"""Fit the curve from instruction-following difficulty to ratings: minimix/rating/difficulty.npz.

    python examples/make_difficulty.py dolly_rated_00.jsonl [ROWS]

1,200 rows by default, about one a second on one core; `minimix.rating.difficulty` says what the
figure is. The model is the bundled one; another finds other things hard.
"""

import json
import sys
from pathlib import Path

import numpy as np

from minimix.config import EngineConfig
from minimix.engines.likelihood import open_likelihood
from minimix.rating.difficulty import BUNDLED_CURVE, difficulty, fit, save
from minimix.records import Place, Sample

SEED, ROWS = 7, 1_200


def main() -> None:
    """Measure, fit and write."""
    path = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    good = [n for n, row in enumerate(rows) if row["score_aligned"] and row["output"].strip()]
    picked = np.random.default_rng(SEED).permutation(good)[:count].tolist()
    place = (Place(path.name, 1, 0, ""),)
    samples = [
        Sample(row["instruction"], row["output"], place, input=row["input"])
        for row in (rows[n] for n in picked)
    ]
    found = difficulty(samples, open_likelihood(EngineConfig(threads=1)))
    classes = np.array([rows[n]["score_gpt4o_mini"] for n in picked])
    curve = fit(found, classes)
    save(curve, BUNDLED_CURVE)
    print(f"{BUNDLED_CURVE}: {len(curve.x)} knots from {np.isfinite(found).sum()} rows")


if __name__ == "__main__":
    main()
