"""Answers that say a sentence twice are told once, and ask all that their sources ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimix.mend import MOST_ADDED, POINTS, asked_in_full, mended, told_once
from minimix.records import Kind, Task

SAID = "The Nile flows north through eleven countries."
AGAIN = {
    "at once": f"{SAID} {SAID} It ends in a delta.",
    "on the next line": f"{SAID}\n\n{SAID} It ends in a delta.",
    "with other points and capitals": f"{SAID} the Nile, flows north through eleven countries! "
    "It ends in a delta.",
}


def task(kind: Kind = "qa") -> Task:
    return Task(kind, ("a", "b"), think=False)


def qa(response: str) -> str:
    return f"<answer>Q: Where does the Nile flow?\nA: {response}</answer>"


@pytest.mark.parametrize("response", AGAIN.values(), ids=AGAIN)
def test_a_sentence_is_not_said_again(response):
    told = told_once(task(), qa(response)).replace("\n\n", " ")
    assert told == qa(f"{SAID} It ends in a delta.")


def test_a_loop_ends_where_it_began():
    assert told_once(task(), qa(" ".join([SAID] * 200))) == qa(SAID)


@pytest.mark.parametrize(
    "response",
    [
        f"Nobody denies that the Nile flows north. {SAID} The Nile flows north through eleven.",
        "Ann met Bob in the old town. Bob met Ann in the old town.",
        "Yes, it is. It is long. Yes, it is.",
        "Run `ls -a` in the home folder. Run `ls -l` in the home folder.",
        f"```\n{SAID}\n{SAID}\n```",
    ],
)
def test_what_says_something_else_is_short_or_is_code_stays(response):
    assert told_once(task(), qa(response)) == qa(response)


def test_options_and_statements_are_not_touched():
    mcq = (
        "<answer>Q: Where does the Nile flow?\nA) To the north of Africa, into a sea\nB) b\nC) c\n"
        "D) d\nAnswer: A) To the north of Africa, into a sea</answer>"
    )
    tfq = f"<answer>{SAID}\nAnswer: True. {SAID}</answer>"
    assert told_once(task("mcq"), mcq) == mcq
    assert told_once(task("tfq"), tfq) == tfq


def test_a_question_that_its_answer_repeats_stays_whole():
    text = f"<answer>Q: {SAID}\nA: {SAID}</answer>"
    assert told_once(task(), text) == text


@given(
    st.lists(
        st.sampled_from([SAID, "A b c d e.", "x y z d e f", "Short.", "\n", "\n\n", "A b c d e"]),
        min_size=1,
        max_size=12,
    )
)
def test_no_word_is_lost_and_twice_is_as_once(sentences):
    text = f"<answer>{' '.join(sentences)}</answer>"
    told = told_once(task("para"), text)

    def words(of: str) -> set[str]:
        inside = of.removeprefix("<answer>").removesuffix("</answer>")
        return {word.strip(POINTS) for word in inside.lower().split()}

    assert words(told) == words(text)
    assert told_once(task("para"), told) == told


SMARTER, CAT = "How many syllables are in the word smarter?", "How many syllables has cat?"
PARTS = (f"Q: {SMARTER}\nA: Two: smart-er.", f"Q: {CAT}\nA: Only one.")


def fused(question: str, response: str = "Two: smart-er. Cat has only one.") -> str:
    return f"<answer>Q: {question}\nA: {response}</answer>"


def asking(*parts: str) -> Task:
    return Task("qa", parts)


@pytest.mark.parametrize(
    ("question", "full"),
    [
        (SMARTER, f"{SMARTER}\n{CAT}"),
        (CAT, f"{CAT}\n{SMARTER}"),
        ("How many syllables are in the words smarter and cat?", None),
        ("Is bread a word?", f"Is bread a word?\n{SMARTER}\n{CAT}"),
    ],
)
def test_a_question_that_a_source_asks_and_the_answer_does_not_is_added(question, full):
    assert asked_in_full(asking(*PARTS), fused(question)) == fused(full or question)


@pytest.mark.parametrize(
    "other",
    [
        "how many sylables are in the word smartre",
        f"{SMARTER}\nIt is a comparative.",
        f"A: {SMARTER} And bread?",
        " ".join(["bread"] * (MOST_ADDED + 1)),
        "",
    ],
    ids=["misspelt", "two lines", "labelled", "long", "none"],
)
def test_what_is_asked_already_or_is_no_plain_question_is_not_added(other):
    parts = (PARTS[0], f"Q: {other}\nA: Two.")
    assert asked_in_full(asking(*parts), fused(SMARTER)) == fused(SMARTER)


def test_a_question_with_a_passage_and_other_kinds_stay_as_they_are():
    passage = fused(f"{SMARTER}\nSmarter means: more clever.")
    assert asked_in_full(asking(*PARTS), passage) == passage
    text = "<answer>Cats are small. They say nothing.</answer>"
    assert asked_in_full(Task("para", PARTS), text) == text
    assert asked_in_full(asking(*PARTS), "no form at all") == "no form at all"


def test_an_answer_is_mended_in_both_ways():
    response = "There are two syllables: smart-er. There are two syllables: smart-er. One in cat."
    told = "There are two syllables: smart-er. One in cat."
    assert mended(asking(*PARTS), fused(SMARTER, response)) == fused(f"{SMARTER}\n{CAT}", told)
