"""Worse versions of a sample, by depth; and variants that together hold all of it."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.errors import DataError
from minimix.mixture.worse.degrade import degrade, graded, variants
from minimix.records import KINDS, Kind, Place, Sample

SAID = (
    "Skarn Light was built in 1854.",
    "Its tower has 212 steps and no windows.",
    "Mary Oswald never saw it finished.",
    "The lamp burned whale oil until 1890.",
    "Visitors cannot climb it in winter.",
    "John Tarrel kept a careful diary there.",
    "Some 14,000 people come every summer.",
    "Nobody lives on the island without a permit from Dunmoor.",
)
TWO_CLAUSES = "The tower has 212 steps, while its lamp could be seen for 31 kilometres."
NEGATIONS = {"no", "never", "cannot", "nobody", "without"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def qa(response: str, instruction: str = "What is known of Skarn Light?") -> Sample:
    return Sample(instruction, response, (Place("light", 1, 0, ""),))


def of_kind(kind: Kind, response: str) -> Sample:
    return Sample("Write about Skarn Light.", response, (Place("light", 1, 0, ""),), kind=kind)


SAMPLES: dict[Kind, Sample] = {
    "qa": qa("In 1854. Skarn Light was built in 1854, after a storm."),
    "mcq": of_kind(
        "mcq", "Q: When was it built?\nA) 1854\nB) 1861\nC) 1932\nD) 1890\nAnswer: A) 1854"
    ),
    "tfq": of_kind("tfq", "Skarn Light has 300 steps.\nAnswer: False. Skarn Light has 212 steps."),
    "cs": of_kind("cs", "C: Skarn Light\nS: It was built in 1854. Its lamp burned whale oil."),
    "para": of_kind("para", " ".join(SAID)),
}


def words(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def is_typo_of(word: str, other: str) -> bool:
    ends = word[0] == other[0] and word[-1] == other[-1]
    return len(other) >= 5 and ends and abs(len(word) - len(other)) <= 1


def says(text: str, sentence: str) -> bool:
    """Return whether a text holds a sentence, casing, points and typos apart."""
    given, wanted = words(text), words(sentence)
    return any(
        all(a == b or is_typo_of(a, b) for a, b in zip(given[start:], wanted, strict=False))
        for start in range(len(given) - len(wanted) + 1)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_depth_nought_is_the_sample_and_every_other_depth_changes_it(kind):
    sample = SAMPLES[kind]
    assert degrade(sample, depth=0, rng=rng()) == sample
    for depth in range(1, 6):
        worse = degrade(sample, depth=depth, rng=rng(depth))
        assert worse != sample
        assert worse == degrade(sample, depth=depth, rng=rng(depth))


def test_another_process_makes_the_same_version():
    code = (
        "import numpy as np; from tests.test_mixture import SAMPLES; "
        "from minimix.mixture.worse.degrade import degrade; rng = np.random.default_rng(7); "
        "print([degrade(s, depth=d, rng=rng) for s in SAMPLES.values() for d in range(6)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def kept(sample: Sample, wanted: Sequence[str], depth: int) -> float:
    """Return the mean share of sentences that stand in a worse version as they were."""
    made = [degrade(sample, depth=depth, rng=rng(seed)) for seed in range(60)]
    return float(np.mean([[one.strip() in text.response for one in wanted] for text in made]))


def test_a_deeper_version_keeps_fewer_sentences():
    sample = qa(" ".join(SAID))
    shares = [kept(sample, SAID, depth) for depth in range(6)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[5] < 0.05


def test_a_deeper_question_loses_options_and_then_its_answer():
    sample = SAMPLES["mcq"]
    wanted = sample.response.split("\n")[1:]
    shares = [kept(sample, wanted, depth) for depth in range(6)]
    assert shares == sorted(shares, reverse=True)


def test_ruined_is_sometimes_longer_and_sometimes_shorter():
    sample = qa(" ".join(SAID))
    stranger = Sample("?", "Bees dance to tell where flowers are.", (Place("bees", 1, 0, ""),))
    made = [
        degrade(sample, depth=5, rng=rng(seed), strangers=[stranger]).response for seed in range(40)
    ]
    lengths = [len(text.split()) / len(sample.response.split()) for text in made]
    assert min(lengths) < 0.3
    assert max(lengths) > 1.5
    assert any("flowers" in text for text in made)


def test_a_depth_beyond_ruin_is_an_error():
    with pytest.raises(DataError, match=r"depth: expected 0\.\.5, found 6"):
        degrade(qa("Yes."), depth=6, rng=rng())


def test_graded_gives_every_class_of_every_sample():
    samples = list(SAMPLES.values())
    made = list(graded(samples, rng=rng()))
    assert [rating for _, rating in made] == [5, 4, 3, 2, 1, 0] * len(samples)
    assert [sample for sample, rating in made if rating == 5] == samples


@given(st.sampled_from(KINDS), st.text(), st.integers(0, 5), st.integers(0, 9))
def test_any_text_can_be_made_worse(kind, text, depth, seed):
    sample = Sample("What?", text, (Place("any", 1, 0, ""),), kind=kind)
    worse = degrade(sample, depth=depth, rng=rng(seed), strangers=[sample])
    assert worse.sources == sample.sources


def test_variants_are_two_to_five():
    with pytest.raises(DataError, match=r"count: expected 2\.\.5 variants, found 1"):
        variants(qa("Yes. No."), count=1, rng=rng())


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(SAID), min_size=2, max_size=8, unique=True),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_variants_together_hold_every_sentence_and_none_holds_all(said, count, seed):
    sample = qa(" ".join(said))
    made = variants(sample, count=count, rng=rng(seed))
    assert made == variants(sample, count=count, rng=rng(seed))
    assert len(made) == count
    assert len({one.response for one in made}) == count
    held = [{s for s in said if says(one.response, s)} for one in made]
    assert set().union(*held) == set(said)
    assert all(0 < len(share) < len(said) for share in held)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(SAID), min_size=2, max_size=8, unique=True),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_variants_change_no_number_and_no_negation_and_few_words(said, count, seed):
    known = set(words(" ".join(said)))
    for one in variants(qa(" ".join(said)), count=count, rng=rng(seed)):
        found = words(one.response)
        assert {word for word in found if re.search(r"\d", word)} <= known
        assert {word for word in found if word not in known} <= known ^ set(found)
        assert sum(word not in known for word in found) <= 0.04 * len(found)
        held = [sentence for sentence in said if says(one.response, sentence)]
        negations = NEGATIONS & set(words(" ".join(held)))
        assert negations <= set(found)


def test_a_lone_sentence_is_shared_out_by_its_clauses():
    (first, second) = variants(qa(TWO_CLAUSES), count=2, rng=rng())
    together = f"{first.response} {second.response}"
    assert says(together, "The tower has 212 steps")
    assert says(together, "while its lamp could be seen for 31 kilometres")
    assert not says(first.response, "steps while")
    assert not says(second.response, "steps while")


def test_variants_of_a_choice_hold_all_options_and_the_answer_between_them():
    sample = SAMPLES["mcq"]
    made = variants(sample, count=3, rng=rng())
    lines = {line for one in made for line in one.response.split("\n")[1:]}
    assert lines == set(sample.response.split("\n")[1:])
    assert all(one.response != sample.response for one in made)


def test_what_cannot_be_shared_out_is_only_noisy():
    made = variants(qa("Skarn Light fell."), count=4, rng=rng())
    assert all(says(one.response, "Skarn Light fell") for one in made)
    assert "Skarn Light fell." not in {one.response for one in made}


def test_the_right_option_stays_where_the_answer_is_its_text():
    sample = of_kind("mcq", "Q: Who came?\nA) Hale\nB) Brock\nC) Oswald\nD) Tarrel\nAnswer: Oswald")
    assert all("C) Oswald" in one.response for one in variants(sample, count=5, rng=rng()))
