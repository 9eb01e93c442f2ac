"""Articles in pieces to write about: the first of the paper's steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minimix.mixture.text.articles import Article
from minimix.mixture.text.wording import joined, words
from minimix.records import Place

LEAST, MOST = 60, 220
"""Words of a segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of an article: a topic. `place` is where it begins."""

    title: str
    text: str
    place: Place


def segments(articles: Sequence[Article]) -> tuple[Segment, ...]:
    """Return the articles in pieces of 60..220 words, whole sentences that follow each other.

    Passages that are shorter are put together; what is left of an article at its end is not used.
    """
    return tuple(segment for article in articles for segment in _pieces(article))


def _pieces(article: Article) -> Iterator[Segment]:
    lines: list[str] = []
    begun = None
    for passage in article.passages:
        for sentence in passage.sentences:
            if begun and words(joined([*lines, sentence])) > MOST:
                yield Segment(article.title, joined(lines), begun)
                lines, begun = [], None
            begun = begun or passage.place
            lines.append(sentence)
        if begun and words(joined(lines)) >= LEAST:
            yield Segment(article.title, joined(lines), begun)
            lines, begun = [], None
