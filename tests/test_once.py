"""Answers that say a sentence twice are told once, and nothing else of them changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimix.once import POINTS, told_once
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
