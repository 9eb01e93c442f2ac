"""What can go wrong outside minimix becomes one line and exit status 1; a bug keeps its traceback.

A fault is outside where the system names the file that it refused, or refuses a standard stream.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from minimix.checks import is_utf8
from minimix.errors import MinimixError, brief, is_out_of_memory

REMEDY = "mend that and start the same command again: finished work is kept"


@contextmanager
def in_one_line() -> Iterator[None]:
    """Turn what can go wrong outside into click's exception of one line."""
    try:
        yield
    except MinimixError as error:
        raise click.ClickException(" ".join(str(error).split())) from error
    except BaseException as error:  # a panic in Rust is no Exception
        line = _out_of_memory(error) or _refused(error)
        if not line:
            raise
        raise click.ClickException(line) from error


def check_streams() -> None:
    """Raise click's exception where nobody could see a result; what cannot be shown is escaped.

    The place of another standard stream that is closed is filled: the next file that is opened
    would take it, and get what libraries say.
    """
    if not sys.stdin:
        os.open(os.devnull, os.O_RDONLY)
    if not sys.stdout:
        raise click.ClickException("standard output: closed; send it to a file, or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # half a character, another encoding
    if not sys.stderr:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def check_words(words: Iterable[str]) -> None:
    """Raise click's exception for a name in bytes that are not UTF-8: no ledger can hold it."""
    for word in words:
        if not is_utf8(word):
            raise click.ClickException(f"{word!a}: expected a name of UTF-8 text; rename it")


def _out_of_memory(error: BaseException) -> str | None:
    if not is_out_of_memory(error):
        return None
    return (
        f"out of memory ({brief(error) or 'an allocation failed'}); finished work is kept: "
        "start the same command again where there is more, or with smaller settings"
    )


def _refused(error: BaseException) -> str | None:
    """Return the line for what the system refused; None where it is not known to have done so."""
    if not isinstance(error, OSError) or error.errno in (None, errno.EPIPE):
        return None  # a pipe that nobody reads any more is click's
    place = _nameless(error) if error.filename is None else error.filename
    return place and " ".join(f"{place}: {error.strerror}; {REMEDY}".split())


def _nameless(error: OSError) -> str | None:
    """Return the place of an error that names no file; None where it is not known."""
    calls = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    if click.echo.__code__ in calls:
        with suppress(OSError):  # or Python would try, and complain, once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "standard output"
    try:
        Path.cwd()
    except OSError:
        return "the working folder"
    return None
