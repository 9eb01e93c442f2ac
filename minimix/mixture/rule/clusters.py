"""Training data for a distiller without a model that writes: from good samples and from articles.

Two sorts of task, as real pools hold them: partial, noisy variants of one sample, whose fusion is
the sample; and neighbours that ask different things, whose fusion asks and answers all of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from minimix.audit import audit
from minimix.cluster import group_similar, similarity_floor
from minimix.mixture.rule.subjects import groups
from minimix.mixture.rule.wider import together, wider
from minimix.mixture.tasks import Example, target, to_sources
from minimix.mixture.text.articles import Article
from minimix.mixture.text.passages import build as build_samples
from minimix.mixture.text.wording import words
from minimix.mixture.worse.degrade import careless_variants, pieces, restyled, variants
from minimix.parse import as_read, parse
from minimix.prompt import part_text
from minimix.records import Embed, Sample, Task

FEWEST_WORDS, MOST_WORDS = 20, 250
"""Of a response whose variants are made; neighbours may be shorter."""
FEWEST_NEIGHBOUR, MOST_NEIGHBOUR, MOST_TOGETHER = 6, 110, 220
SIZES, WEIGHTS = (2, 3, 4, 5), (0.35, 0.35, 0.2, 0.1)
"""Parts a task; real clusters have three on average."""
GROUPINGS, FARTHER = 8, 0.1
"""How often rows are grouped, each time others, and how much farther apart they may be in the last:
such clusters cross topics."""
CARELESS = 0.6
CLEAN = 0.5
"""Share of neighbours' parts that stay as they are: most rows of a real pool are typed well."""
WHOLE_ENDS = (".", "!", "?", ")", '"', "'", ":", "\u201d")


def from_samples(
    samples: Sequence[Sample], *, per_row: int, embed: Embed, rng: np.random.Generator
) -> Iterator[Example]:
    """Yield tasks from good question-answer samples: `per_row` clusters of variants, neighbours.

    A sample with a passage takes no part: its fusion would ask about a text that it does not hold.
    Variants are made only of an answer that seems whole; among neighbours one without its last
    point gets it.
    """
    whole = [sample for sample in samples if _is_whole(sample) and not sample.input]
    for sample in whole:
        if FEWEST_WORDS <= words(sample.response) <= MOST_WORDS:
            for _ in range(per_row):
                yield from _of_one(sample, rng)
    yield from _of_neighbours(list(filter(_may_join, samples)), embed, rng)


def from_articles(articles: Sequence[Article], *, rng: np.random.Generator) -> Iterator[Example]:
    """Yield tasks of all five kinds from articles: variants of each sample, and neighbours."""
    for sample in build_samples(articles, rng=rng):
        yield from _of_one(sample, rng)
    for article in articles:
        for own, whole in groups(article, rng):
            parts = [_as_typed(sample, rng) for sample in own]
            yield from _examples(parts, whole, "neighbours", own)


def _is_whole(sample: Sample) -> bool:
    """Return whether an answer ends where its writer meant to: at a point, or in a list."""
    last = sample.response.rstrip().rpartition("\n")
    return bool(last[1]) or last[2].endswith(WHOLE_ENDS)


def _may_join(sample: Sample) -> bool:
    """Return whether an answer can stand beside others in one: a bare list says not of what."""
    first, more, _ = sample.response.strip().partition("\n")
    fits = FEWEST_NEIGHBOUR <= words(sample.response) <= MOST_NEIGHBOUR and not sample.input
    return fits and (not more or first.rstrip().endswith(":"))


def _of_one(sample: Sample, rng: np.random.Generator) -> Iterator[Example]:
    """Yield a task whose parts are variants of one sample, if anything of it can be missing."""
    count = int(rng.choice(SIZES, p=WEIGHTS))
    held = pieces(sample)
    if held < min(SIZES):
        return
    make = careless_variants if rng.random() < CARELESS else variants
    made = make(sample, count=min(count, held), rng=rng)
    spoken = [part for part in made if part.response.strip()]
    if len(spoken) >= min(SIZES):
        yield from _examples(spoken, sample, "variants", [sample])


def _of_neighbours(
    samples: Sequence[Sample], embed: Embed, rng: np.random.Generator
) -> Iterator[Example]:
    """Yield tasks whose parts are the clusters that `distill` would make, near and less near."""
    if len(samples) < min(SIZES):
        return
    vectors = embed([sample.text for sample in samples])
    floor = similarity_floor(vectors, seed=0)
    rows = np.arange(len(samples))
    seen = set[frozenset[int]]()
    for number in range(GROUPINGS):
        least = floor - FARTHER * number / (GROUPINGS - 1)
        kinds = [samples[row].kind for row in rows.tolist()]
        for cluster in group_similar(vectors[rows], groups=kinds, floor=least, seed=0):
            members = frozenset(int(rows[row]) for row in cluster.rows)
            if members not in seen:
                seen.add(members)
                yield from _of_cluster([samples[row] for row in sorted(members)], rng)
        rows = np.sort(rng.permutation(len(samples))[: len(samples) // 2])  # others meet now


def _of_cluster(cluster: Sequence[Sample], rng: np.random.Generator) -> Iterator[Example]:
    order = [cluster[number] for number in rng.permutation(len(cluster))]
    answer = together([sample.response for sample in order])
    question = wider([sample.instruction for sample in order])
    if words(answer) <= MOST_TOGETHER:
        whole = replace(order[0], instruction=question, response=answer)
        yield from _examples(
            [_as_typed(sample, rng) for sample in order], whole, "neighbours", order
        )


def _as_typed(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a sample as one of a pool might be typed; all that it says stays in it."""
    return sample if rng.random() < CLEAN else restyled(sample, rng=rng)


def _examples(
    parts: Sequence[Sample], whole: Sample, made: str, sources: Sequence[Sample]
) -> Iterator[Example]:
    """Yield the task that asks for `whole`, unless a distiller would learn to make things up.

    That is so where what is typed without care, a number or a "not", was the last to say it; or
    where the target itself is not in its kind's form.
    """
    reference = part_text(whole)
    places = tuple(dict.fromkeys(place for sample in sources for place in sample.sources))
    task = Task(whole.kind, tuple(map(part_text, parts)), reference)
    example = Example(task, made, places)
    draft = parse(task, target(example))
    if not draft.problems:
        found = audit(as_read(draft, task.kind), to_sources(task))
        if not found.unsupported and not found.changed:
            yield example
