"""What a caller can catch: one tree, every message one line with place, expected, found, remedy."""


class MinimixError(Exception):
    """Anything minimix refuses to do, in one line."""


class ConfigError(MinimixError):
    """A setting is unknown, out of range, or at odds with another."""


class FormatError(MinimixError):
    """A file or a row has no form that minimix reads."""


class DataError(MinimixError):
    """The data can be read, but not used for what was asked."""


class ModelError(MinimixError):
    """A model file or a server cannot do its work."""


class OutputError(MinimixError):
    """The output folder cannot be written or does not belong to this run."""


class AccountingError(MinimixError):
    """A sample is in no ledger, or in two: a bug, and never a warning."""


class MissingExtraError(MinimixError):
    """A package of an optional extra is not installed."""


NO_MEMORY = (
    "can't start new thread",  # Python
    "failed to map segment",  # a library that is loaded
    "can't allocate memory",  # torch on a CPU
    "cannot allocate memory",  # the system
    "out of memory",  # torch on a GPU
    "threadpoolbuilderror",  # tokenizers, as a panic of Rust's
)
"""What errors say where memory has ended that are no MemoryError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of this machine or its GPU does not suffice."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(text in said for text in NO_MEMORY)


def brief(error: BaseException) -> str:
    """Return the message of an error from elsewhere as one short line."""
    return " ".join(str(error).split())[:200]
