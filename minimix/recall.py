"""Answers kept on disk as they come: who was stopped asks for the others alone."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from minimix.disk import parse_json, record_sha256, unwritable
from minimix.kept import answer_of
from minimix.records import Answer, Generate, Messages


def recalling(generate: Generate, memory: Path, *, asked_of: object) -> Generate:
    """Return `generate` with one answer a chat that keeps them in a file, and asks for no other.

    `asked_of` (plain data) is what answers follow from beside their chats. One that failed is
    asked for again. Raises OutputError where the file cannot be read or written.
    """
    known = dict(filter(None, map(_answer, lines_of(memory))))

    def recall(chats: Sequence[Messages]) -> Iterator[Answer]:
        keys = [record_sha256([asked_of, chat]) for chat in chats]
        new = [task for task, key in enumerate(keys) if key not in known]
        for task, key in enumerate(keys):
            if key in known:
                yield replace(known[key], task=task)
        for answer in generate([chats[task] for task in new]) if new else ():
            task = new[answer.task]
            if answer.finish != "failed":
                append(memory, {"key": keys[task], "answer": asdict(answer)})
            yield replace(answer, task=task)

    return recall


def _answer(line: Mapping[str, Any]) -> tuple[str, Answer] | None:
    """Return what `recalling` wrote a line of, None for what is no such line."""
    try:
        return str(line["key"]), answer_of(line["answer"])
    except (KeyError, ValueError, TypeError):
        return None


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Put a line on disk behind the others; it is there when this returns. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"\n" + json.dumps(line).encode("ascii"))  # after one that was cut, too
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a file that `append` wrote; not those that were cut short or damaged."""
    try:
        found = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise unwritable(path, error) from error
    for raw in found:
        try:
            line = parse_json(raw)
        except ValueError:
            continue
        if isinstance(line, Mapping):
            yield line
