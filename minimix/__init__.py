"""minimix: noisy instruction data in, a small set that trains a better model out."""

__version__ = "0.1.0"
