"""minimix: noisy instruction data in, a small set that trains a better model out."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before any library asks: we send nothing

__version__ = "0.1.0"
