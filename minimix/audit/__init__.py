"""What a draft did with its sources' facts, without a reference; by rule, in about a millisecond.

`VERSION` changes with any rule, weight or threshold (docs/metrics.md), and provenance records it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from math import fsum

from minimix.audit import facts, owners, polarity, statements
from minimix.audit.entries import Reading
from minimix.audit.matching import Match
from minimix.audit.reading import read
from minimix.audit.shape import distinct_trigrams, shape
from minimix.records import Audit, Draft, Embed, Sample

VERSION = "5"
LONGEST_LIST = 40
__all__ = ["VERSION", "asks", "audit", "distinct_trigrams"]


def audit(draft: Draft, sources: Sequence[Sample], *, embed: Embed | None = None) -> Audit:
    """Return what `draft` kept, lost, added and changed, and how far it loops or copies.

    Facts are what the sources answer; a draft's own may also stand in their prompts. `embed`
    settles which doubtful statements are told in other words, and is asked about no others.
    """
    own, asked = read(draft.response), read(draft.prompt)
    responses = [sample.response for sample in sources]
    answers = [read(response) for response in responses]
    questions = [read(sample.prompt) for sample in sources]
    match = Match(own, asked, answers, questions)
    form = shape(draft, own, list(zip(responses, answers, strict=True)))
    changed = [
        *facts.misplaced(match),
        *owners.strangers(match),
        *facts.other_units(match),
        *polarity.turned(match),
    ]
    pairs = list(zip(match.keys, answers, strict=True))
    wanted = _weights(pairs)
    mine = _weights((reading.keys, reading) for reading in (own, asked))
    return Audit(
        kept=_share(wanted, match.own),
        supported=_share(mine, match.given),
        each=min((_kept(keys, r, match.own) for keys, r in pairs if keys), default=1.0),
        asked=min((_asked(asked, question) for question in questions), default=1.0),
        **form._asdict(),
        lost=_first([*facts.lost(match), *_lost_statements(match, draft.response, embed)]),
        unsupported=_first([*facts.unsupported(match), *_new_statements(match)]),
        changed=_first(changed),
    )


def asks(prompt: str, question: str) -> float:
    """Return the share 0..1 of a question that `prompt` asks too; `Audit.asked` is the least."""
    return _asked(read(prompt), read(question))


def _lost_statements(match: Match, response: str, embed: Embed | None) -> list[str]:
    own = [(reading.keys, reading.places) for reading in (match.draft, match.prompt)]
    least = statements.LEAST_LOST if embed is None else statements.WEAKEST
    found = [
        (reading.said(run.first, run.last), run.score)
        for keys, reading in zip(match.keys, match.answers, strict=True)
        for run in statements.runs(keys, reading.weights, own, least)
    ]
    return [f'statement "{text}"' for text in statements.lost(sorted(found), response, embed)]


def _new_statements(match: Match) -> list[str]:
    given = list(zip(match.keys, match.places, strict=True))
    given += [(reading.keys, reading.places) for reading in match.asked]
    own = match.draft
    found = statements.runs(own.keys, own.weights, given, statements.LEAST_NEW)
    return [f'statement "{own.said(run.first, run.last)}"' for run in found]


def _weights(readings: Iterable[tuple[Sequence[str], Reading]]) -> dict[str, float]:
    """Return each key once, with its weight."""
    found: dict[str, float] = {}
    for keys, reading in readings:
        for key, weight in zip(keys, reading.weights, strict=True):
            if weight > found.get(key, 0.0):  # the order of the sources must not matter
                found[key] = weight
    return found


def _share(wanted: Mapping[str, float], there: Set[str]) -> float:
    """Return how much of the weight of some keys is there; 0 where there are none."""
    whole = fsum(wanted.values())
    return fsum(weight for key, weight in wanted.items() if key in there) / whole if whole else 0.0


def _kept(keys: Sequence[str], answer: Reading, own: Set[str]) -> float:
    """Return the share of one source's answer that the draft keeps."""
    return _share(_weights([(keys, answer)]), own)


def _asked(prompt: Reading, question: Reading) -> float:
    """Return the share of a source's question that a draft's question asks too."""
    if not prompt.keys or not question.keys:
        return 1.0
    return _share(_weights([(question.keys, question)]), prompt.places.keys())


def _first(found: Sequence[str]) -> tuple[str, ...]:
    """Return the findings in order of the alphabet, each once, not too many."""
    return tuple(sorted(set(found))[:LONGEST_LIST])
