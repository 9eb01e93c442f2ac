"""Answers of a writer kept on disk by what was asked: a build that was stopped asks nothing twice.

A server's answers are kept one by one as they come. What runs beside a sequence can change the
last bits of a model that runs here, so its answers are kept by whole cohorts of fixed tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from minimix.disk import append_jsonl, parse_json, record_sha256
from minimix.errors import ModelError
from minimix.kept import answer_of
from minimix.records import Answer, Engine, Messages

COHORT = 16
SERVER_COHORT = 128
"""Enough that a server's places in flight are seldom empty."""
WRITTEN = ("stop", "length")
NONE = Answer(0, 0, "", "failed", "none came")


class Memory:
    """What `engine` answers, one answer a chat, from the file at `path` where it is there.

    `asked` says what else the answers follow from: limits, the form they are held to.
    """

    def __init__(self, engine: Engine, path: Path, *, asked: str) -> None:
        """Read what an earlier start left."""
        self.engine, self.path, self.asked = engine, path, asked
        self.local = engine.sha256 is not None
        self.known = _read(path)

    def generate(self, chats: Sequence[Messages]) -> Iterator[Answer]:
        """Yield the answers in the order of the chats.

        What a server refused, or failed to answer, is not kept. Raises ModelError where a whole
        cohort got no answer.
        """
        size = COHORT if self.local else SERVER_COHORT
        for start in range(0, len(chats), size):
            own = chats[start : start + size]
            keys = [self._key(chat) for chat in own]
            fresh = self._ask(own, keys)
            for number, key in enumerate(keys, start):
                yield replace(self.known.get(key) or fresh.get(key, NONE), task=number)

    def _ask(self, chats: Sequence[Messages], keys: Sequence[str]) -> dict[str, Answer]:
        """Return the answers to what is not known, after those to be kept are on disk."""
        todo = [n for n, key in enumerate(keys) if key not in self.known]
        if not todo:
            return {}
        todo = [*range(len(keys))] if self.local else todo
        fresh: dict[str, Answer] = {}
        for answer in self.engine.generate([chats[n] for n in todo]):
            if not answer.candidate:
                fresh[keys[todo[answer.task]]] = answer
                if not self.local and answer.finish in WRITTEN:
                    self._keep([(keys[todo[answer.task]], answer)])
        if all(answer.finish == "failed" for answer in fresh.values()):
            note = next((answer.note for answer in fresh.values()), NONE.note)
            raise ModelError(f"{self.engine.name}: no answer to {len(todo)} requests ({note})")
        if self.local:
            self._keep([*fresh.items()])
        return fresh

    def _keep(self, answers: Sequence[tuple[str, Answer]]) -> None:
        append_jsonl(self.path, [{"asked": key, "answer": asdict(one)} for key, one in answers])
        self.known.update(answers)

    def _key(self, chat: Messages) -> str:
        return record_sha256([self.engine.name, self.engine.sha256, self.asked, chat])


def _read(path: Path) -> dict[str, Answer]:
    """Return the answers on disk by their keys; a line that was cut short or damaged is none."""
    known = {}
    for raw in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            row = parse_json(raw)
            known[str(row["asked"])] = answer_of(row["answer"])
        except (ValueError, KeyError, TypeError):
            continue
    return known
