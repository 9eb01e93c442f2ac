"""Worse versions of a good sample: by depth, and as partial variants that together hold it all.

Both make training data: a graded sample says what each rating looks like, and variants are a
cluster whose best fusion is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from minimix.errors import DataError
from minimix.mixture.text.wording import clauses, words
from minimix.mixture.worse.content import Content, put_together, take_apart
from minimix.mixture.worse.harms import cut_short, severity
from minimix.mixture.worse.noise import STYLES, careless, with_typos
from minimix.mixture.worse.worsening import WORSE, Worsening
from minimix.records import Sample

DEEPEST = 5
FEWEST, MOST = 2, 5
MOST_TYPOS = 0.04
SHARE_AGAIN = 0.45
"""Chance of a piece to be in one more variant than it must."""
STRANGERS, TRIES = 3, 12
HALF = 0.5
AGAIN, BROKEN_OFF = 0.1, 0.15
AS_IS = 0
"""The style that changes nothing: the last resort where a variant lacks nothing."""

Piece = tuple[str, int]
"""What a variant may lack: a field of a sample's content, and the position in it."""


def degrade(
    sample: Sample, *, depth: int, rng: np.random.Generator, strangers: Sequence[Sample] = ()
) -> Sample:
    """Return a worse version of a sample: 0 is the sample itself, 5 is ruined.

    It loses, blurs, misspells, repeats and pads; sentences of `strangers` may stray into it. The
    same sample, depth and state of `rng` give the same version. Only a text of a word or two may
    stay as it is. Raises DataError for a depth that is not 0..5.
    """
    if not 0 <= depth <= DEEPEST:
        raise DataError(f"depth: expected 0..{DEEPEST}, found {depth}")
    if depth == 0:
        return sample
    others = [take_apart(stranger) for stranger in strangers]
    strange = [sentence.strip() for other in others for sentence in other.sentences]
    content, made = take_apart(sample), sample
    heads = [other.head for other in others if other.head and other.form == content.form]
    for _ in range(TRIES):
        worsening = Worsening(depth, severity(depth, rng), rng, strange, heads)
        made = put_together(sample, WORSE[content.form](content, worsening))
        if made != sample:
            break
    return made


def graded(samples: Sequence[Sample], *, rng: np.random.Generator) -> Iterator[tuple[Sample, int]]:
    """Yield every sample at every depth with its class: 5 as it is, 0 ruined.

    Strangers are samples of its kind from other records. The classes are made, not judged: whoever
    keeps them says that they are synthetic.
    """
    for sample in samples:
        strangers = _strangers(sample, samples, rng)
        for depth in range(DEEPEST + 1):
            yield degrade(sample, depth=depth, rng=rng, strangers=strangers), DEEPEST - depth


def variants(sample: Sample, *, count: int, rng: np.random.Generator) -> tuple[Sample, ...]:
    """Return `count` partial, noisy versions of a sample that together hold every sentence of it.

    None holds all; a lone sentence is split into its clauses, and what cannot be split stays
    whole. No number, name or negation is misspelt, and at most one word in 25; no two variants
    share a style of capitals and points. Raises DataError for a count that is not 2..5.
    """
    held = _held(sample, count, rng)
    styles = [int(style) for style in rng.permutation(len(STYLES))]
    if pieces(sample) < FEWEST:
        styles.sort(key=lambda style: style == AS_IS)
    return tuple(
        put_together(sample, _noisy(content, style, rng))
        for content, style in zip(held, styles[:count], strict=True)
    )


def careless_variants(
    sample: Sample, *, count: int, rng: np.random.Generator
) -> tuple[Sample, ...]:
    """Return `count` partial versions as `variants` does, but typed without any care.

    Half of them are small throughout, a third without points; one word in 25 has two letters
    swapped and one in 50 is lost, whatever it says. Some say a sentence twice, or break off in one
    that another version holds. Raises DataError for a count that is not 2..5.
    """
    held = _held(sample, count, rng)
    for number, content in enumerate(held):
        held[number] = _worn(content, [*held[:number], *held[number + 1 :]], rng)
    return tuple(
        put_together(
            sample,
            replace(
                content,
                head=careless([content.head], rng)[0] if rng.random() < HALF else content.head,
                sentences=careless(content.sentences, rng),
            ),
        )
        for content in held
    )


def _worn(content: Content, others: Sequence[Content], rng: np.random.Generator) -> Content:
    """Return what a version holds with a sentence said again, or its last one broken off."""
    own, chance = content.sentences, rng.random()
    if not own or chance > AGAIN + BROKEN_OFF:
        return content
    if chance < AGAIN:
        return replace(content, sentences=(*own, own[int(rng.integers(len(own)))].strip()))
    if not any(own[-1] in other.sentences for other in others):
        return content
    return replace(content, sentences=(*own[:-1], cut_short(own[-1], rng.uniform(0.2, 0.6))))


def pieces(sample: Sample) -> int:
    """Return how many things a version of a sample may lack, one by one."""
    return len(_pieces(_split(take_apart(sample))))


def restyled(sample: Sample, *, rng: np.random.Generator) -> Sample:
    """Return a sample that says the same in another style of capitals and points, a typo or two."""
    style = int(rng.integers(len(STYLES)))
    return put_together(sample, _noisy(take_apart(sample), style, rng))


def _held(sample: Sample, count: int, rng: np.random.Generator) -> list[Content]:
    """Return what each of `count` partial versions holds of a sample."""
    if not FEWEST <= count <= MOST:
        raise DataError(f"count: expected {FEWEST}..{MOST} variants, found {count}")
    content = _split(take_apart(sample))
    found = _pieces(content)
    held = _shares(len(found), count, rng)
    return [_only(content, {found[n] for n in numbers}) for numbers in held]


def _strangers(sample: Sample, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
    drawn = [samples[number] for number in rng.integers(len(samples), size=TRIES)]
    own = (sample.place.file, sample.place.line)
    others = [one for one in drawn if (one.place.file, one.place.line) != own]
    return sorted(others, key=lambda one: one.kind != sample.kind)[:STRANGERS]


def _pieces(content: Content) -> list[Piece]:
    """Return what can be missing: distractors, the verdict where more is said, sentences."""
    letters = [letter for letter, _ in content.options]
    found = [("options", n) for n, letter in enumerate(letters) if letter != content.right]
    found += [("sentences", number) for number in range(len(content.sentences))]
    return [*found, ("verdict", 0)] if found and content.verdict else found


def _split(content: Content) -> Content:
    """Return the content with a lone sentence in its clauses, where nothing else can be missing."""
    if len(_pieces(content)) != 1 or not content.sentences:
        return content
    return replace(content, sentences=clauses(content.sentences[0]))


def _shares(count: int, variants: int, rng: np.random.Generator) -> list[set[int]]:
    """Return which of `count` pieces each variant holds: each in one at least, none with all.

    One piece, which cannot be shared out, is in all of them.
    """
    if count < FEWEST:
        return [set(range(count)) for _ in range(variants)]
    order = [int(number) for number in rng.permutation(count)]
    dealt = [set(order[number::variants]) for number in range(variants)]
    held = [share or {int(rng.integers(count))} for share in dealt]
    for piece in order:
        for share in held:
            if len(share) < count - 1 and rng.random() < SHARE_AGAIN:
                share.add(piece)
    return held


def _only(content: Content, kept: set[Piece]) -> Content:
    """Return the content without the pieces that are not kept."""
    lost = set(_pieces(content)) - kept
    return replace(
        content,
        options=tuple(o for n, o in enumerate(content.options) if ("options", n) not in lost),
        sentences=tuple(s for n, s in enumerate(content.sentences) if ("sentences", n) not in lost),
        verdict="" if ("verdict", 0) in lost else content.verdict,
    )


def _noisy(content: Content, style: int, rng: np.random.Generator) -> Content:
    """Return the content in a style, with a few typos in its sentences."""
    write = STYLES[style]
    sentences = list(content.sentences)
    count = int(rng.random() * (1 + MOST_TYPOS * sum(map(words, sentences))))
    for _ in range(min(count, int(MOST_TYPOS * sum(map(words, sentences))))):
        number = int(rng.integers(len(sentences)))
        sentences[number] = with_typos(sentences[number], 1, rng, careful=True)
    return replace(
        content,
        head=content.head if content.form == "cs" else write(content.head),
        sentences=tuple(map(write, sentences)),
    )
