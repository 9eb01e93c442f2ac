"""Articles on disk: passages, the questions that people asked about them, and where they stand."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minimix.errors import FormatError
from minimix.files import read_records
from minimix.mixture.text.answers import Asked
from minimix.mixture.text.facts import gaps
from minimix.mixture.text.prose import paragraphs, topic
from minimix.mixture.text.wording import joined, sentences
from minimix.records import Place

TEXT = ".txt"


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, and what is asked about it; `place` says where it stands."""

    sentences: tuple[str, ...]
    asked: tuple[Asked, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Article:
    """Passages about one thing, in the order of the file."""

    title: str
    passages: tuple[Passage, ...]

    @property
    def text(self) -> str:
        """All passages as one text."""
        return "\n".join(joined(passage.sentences) for passage in self.passages)

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Everything that is asked, in order."""
        return tuple(asked for passage in self.passages for asked in passage.asked)


def read_any(path: Path) -> tuple[Article, ...]:
    """Return the articles of a .txt file, one a line, of title and text, or in SQuAD's layout."""
    if path.suffix == TEXT:
        return read_articles(path)
    first = next(read_records(str(path)), None)
    return read_titled(path) if first and "text" in (first.row or {}) else read_squad(path)


def read_squad(path: Path) -> tuple[Article, ...]:
    """Return the articles of a file in SQuAD's layout, in file order.

    A passage's place has the article's number as its line and the paragraph's as its part. Raises
    FormatError where an article has no title, paragraphs or questions.
    """
    articles = []
    for record in read_records(str(path)):
        try:
            articles.append(_squad_article(record.row or {}, record.place))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            expected = "expected an article with title, paragraphs and qas"
            raise FormatError(f"{record.place}: {expected}, found {error!r}") from error
    return tuple(articles)


def read_articles(path: Path) -> tuple[Article, ...]:
    """Return the articles of a text file that has one a line, in file order.

    A passage is a run of clean sentences; its place has the article's line, and the number of the
    run as its part. Raises FormatError where the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: expected articles in UTF-8, one a line ({error})") from error
    return tuple(
        _plain_article(line, str(path), n) for n, line in enumerate(lines, 1) if line.strip()
    )


def read_titled(path: Path) -> tuple[Article, ...]:
    """Return the articles of records with `text`, and perhaps `title`, in file order.

    A passage is a run of clean sentences, as in a text file. Raises FormatError for a record
    without a text.
    """
    articles = []
    for record in read_records(str(path)):
        row = record.row or {}
        text, title = row.get("text"), row.get("title")
        if not isinstance(text, str) or not text.strip():
            raise FormatError(f"{record.place}: expected an article with title and text")
        runs = enumerate(paragraphs(text))
        found = (Passage(run, gaps(run), replace(record.place, part=part)) for part, run in runs)
        named = title if isinstance(title, str) and title.strip() else topic(text)
        articles.append(Article(named.strip(), tuple(found)))
    return tuple(articles)


def _plain_article(line: str, name: str, number: int) -> Article:
    sha256 = hashlib.sha256(line.encode("utf-8")).hexdigest()
    runs = enumerate(paragraphs(line))
    found = (Passage(run, gaps(run), Place(name, number, part, sha256)) for part, run in runs)
    return Article(topic(line), tuple(found))


def _squad_article(row: Mapping[str, Any], place: Place) -> Article:
    passages = []
    for part, paragraph in enumerate(row["paragraphs"]):
        text, units = paragraph["context"], sentences(paragraph["context"])
        starts = _starts(text, units)
        asked = [_asked(one, starts) for one in paragraph["qas"] if one["answers"]]
        passages.append(Passage(units, tuple(asked), replace(place, part=part)))
    return Article(row["title"].replace("_", " "), tuple(passages))


def _starts(text: str, units: Sequence[str]) -> list[int]:
    """Return where each sentence begins in the text it was split from."""
    starts: list[int] = []
    end = 0
    for unit in units:
        starts.append(text.index(unit.strip(), end))
        end = starts[-1] + len(unit.strip())
    return starts


def _asked(row: Mapping[str, Any], starts: Sequence[int]) -> Asked:
    answer = row["answers"][0]
    start = answer["answer_start"]
    number = max((n for n, begin in enumerate(starts) if begin <= start), default=0)
    question = " ".join(row["question"].split())
    return Asked(question, answer["text"], number, start - starts[number])
