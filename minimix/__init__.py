"""minimix: noisy instruction data in, a small set that trains a better model out."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before any library asks: we send nothing
# Threads of OpenMP wait for each other busily. With the usual 300,000 rounds, two threads beside a
# busy core take minutes for what takes seconds (docs/performance.md); a quiet machine loses little.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "0.1.0"
