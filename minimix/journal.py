"""The run's crash-safe record: what it was started with, and every finished cohort.

A cohort is one line, flushed to disk before anybody counts it; a line cut short by a crash is
taken away at the next start, and its cohort is done again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minimix.disk import atomic, locked, parse_json, unwritable
from minimix.errors import OutputError, brief
from minimix.files import check_name
from minimix.kept import answer_of
from minimix.records import Answer, Messages

FOLDER = "journal"
RUN = "run.json"
COHORTS = "cohorts.jsonl"
LOCK = "lock"
LEDGER = "provenance.jsonl"
OURS = frozenset({RUN, f".{RUN}.part", COHORTS, LOCK})


class Journal:
    """The journal of one output folder, open and locked. Use `open_journal`."""

    def __init__(self, output: Path, *, restart: bool = False) -> None:
        """Read what an earlier start left in `output`, or pass it over to start afresh."""
        self.output = output
        self.folder = output / FOLDER
        self.run: dict[str, Any] = {} if restart else _read_run(self.folder / RUN)
        self._done = {} if restart else _read_cohorts(self.folder / COHORTS)

    @property
    def engine_settings(self) -> dict[str, Any]:
        """What an earlier start derived from its machine: a later one keeps to it."""
        return dict(self.run.get("engine", {}))

    @property
    def embedder(self) -> str | None:
        """The embedder that an earlier start chose, None before the first."""
        chosen = self.run.get("settings", {}).get("embedder")
        return None if chosen is None else str(chosen)

    def begin(self, run: Mapping[str, Any]) -> None:
        """Record what the run is started with, or check it against an earlier start.

        A fresh start takes away what an earlier one left, now that nothing can refuse it any
        more. Raises OutputError naming what differs.
        """
        plain: dict[str, Any] = json.loads(json.dumps(run))
        if not self.run:
            _clear(self.folder)
            with atomic(self.folder / RUN) as file:
                json.dump(plain, file, indent=1)
            self.run = plain
            return
        changes = sorted(_changes(self.run, plain))
        if changes:
            raise OutputError(
                f"{self.output}: holds a run with other settings ({'; '.join(changes[:4])}); "
                "start afresh with --restart, or give another --output"
            )

    def answers(self, number: int, chats: Sequence[Messages]) -> list[Answer] | None:
        """Return the answers of a finished cohort, None where it is still to do."""
        key, answers = self._done.get(number, ("", []))
        return answers if key == _key(chats) else None

    def commit(self, number: int, chats: Sequence[Messages], answers: Sequence[Answer]) -> None:
        """Put a cohort on disk; it is there when this returns."""
        ordered = sorted(answers, key=lambda answer: (answer.task, answer.candidate))
        line = {"cohort": number, "key": _key(chats), "answers": [asdict(a) for a in ordered]}
        path = self.folder / COHORTS
        try:
            with path.open("ab") as file:
                file.write(json.dumps(line).encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error


def answers_in(output: Path) -> Iterator[Answer]:
    """Yield every answer that finished cohorts of a run hold."""
    for _, answers in _read_cohorts(output / FOLDER / COHORTS).values():
        yield from answers


@contextmanager
def open_journal(output: Path, *, restart: bool) -> Iterator[Journal]:
    """Open the journal of an output folder, alone; `restart` passes an earlier run over.

    Raises OutputError where another run is at work there, or the folder is not minimix's.
    """
    folder = output / FOLDER
    check_folder(output)
    with locked(folder / LOCK, output):
        try:
            yield Journal(output, restart=restart)
        finally:
            if not (folder / RUN).exists():
                _leave(output)


def check_folder(output: Path) -> None:
    """Raise OutputError where a folder is not minimix's, or may not be looked into.

    Raises FormatError for one whose own name the card cannot hold.
    """
    try:
        if not output.exists():
            return
        check_name(output.resolve().name)
        if _is_ours(output):
            return
    except OSError as error:
        raise unwritable(output, error) from error
    raise OutputError(f"{output}: exists, and is no output of minimix; give another --output")


def _is_ours(output: Path) -> bool:
    """Whether a folder is empty or was written by a run, its journal deleted or not."""
    if not output.is_dir():
        return False
    if (output / LEDGER).exists() or not any(output.iterdir()):
        return True
    folder = output / FOLDER
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= OURS


def _leave(output: Path) -> None:
    """Take away the folder of a run that was refused before it began, where nothing else is in."""
    (output / FOLDER / LOCK).unlink(missing_ok=True)
    for folder in (output / FOLDER, output):
        if not any(folder.iterdir()):
            folder.rmdir()


def _clear(folder: Path) -> None:
    """Take away what runs write into a journal, and nothing that somebody else put there."""
    for path in (folder / name for name in OURS - {LOCK}):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error


def _read_run(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        run = parse_json(path.read_text(encoding="utf-8"))
        parts = [run.get(name, {}) for name in ("settings", "engine")]
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(str(path), error) from error
    if not all(isinstance(part, dict) for part in parts):
        raise _damaged(str(path), ValueError("expected settings by name"))
    return dict(run)


def _read_cohorts(path: Path) -> dict[int, tuple[str, list[Answer]]]:
    """Return the finished cohorts; a last line without its end is cut off the file."""
    if not path.exists():
        return {}
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    except OSError as error:
        raise _damaged(str(path), error) from error
    done = {}
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            row = parse_json(line)
            answers = [answer_of(answer) for answer in row["answers"]]
            done[int(row["cohort"])] = (str(row["key"]), answers)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _damaged(f"{path}:{number}", error) from error
    return done


def _damaged(place: str, error: Exception) -> OutputError:
    return OutputError(f"{place}: damaged ({brief(error)}); start afresh with --restart")


def _key(chats: Sequence[Messages]) -> str:
    return hashlib.sha256(json.dumps(chats, ensure_ascii=True).encode("ascii")).hexdigest()[:24]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{name}.")
        elif before != after:
            shown = (brief(Exception(one)) for one in (f"{prefix}{name}", before, after))
            yield "{}: {} before, {} now".format(*shown)
