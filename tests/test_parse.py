"""Model text becomes a draft; each departure from what was asked is a named problem."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimix.kinds import record
from minimix.mixture.hub.rows import to_example
from minimix.mixture.tasks import to_sources
from minimix.parse import parse
from minimix.records import KINDS, Task

QA = Task("qa", ("x",))
GOOD = "<answer>Q: Why?\nA: Because.</answer>"


def test_a_well_formed_answer_has_no_problems():
    draft = parse(QA, GOOD)
    assert (draft.prompt, draft.response, draft.problems) == ("Why?", "Because.", ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Q: Why?\nA: Because.", "no <answer>"),
        ("<answer>Q: Why?\nA: Because.", "no </answer>"),
        (f"Sure! {GOOD}", "text before <answer>"),
        (f"{GOOD} Hope it helps", "text after </answer>"),
        ("<answer>Why?\nA: Because.</answer>", "no Q:"),
        ("<answer>Q: Why? Because.</answer>", "no A:"),
        ("<answer>Q: Why?\nA: Because.\n\nQ: How?\nA: So.</answer>", "a second Q:"),
        ("<answer>Q: Why?\nA: </answer>", "an empty half"),
        (f"<think>hm</think>{GOOD}", "<think> was not asked for"),
    ],
)
def test_each_departure_is_named(text, problem):
    assert problem in parse(QA, text).problems


def test_an_untagged_answer_is_read_all_the_same():
    draft = parse(QA, "Q: Why?\nA: Because.\n\nQ: Why?\nA: Because.")
    assert (draft.prompt, draft.response) == ("Why?", "Because.")


def test_thinking_is_kept_apart_where_it_was_asked_for():
    draft = parse(Task("qa", ("x",), think=True), f"<think>merge both</think>\n{GOOD}")
    assert (draft.thought, draft.prompt, draft.problems) == ("merge both", "Why?", ())


@pytest.mark.parametrize(
    ("kind", "answer", "prompt", "response"),
    [
        ("mcq", "Q: 1+1?\nA) 1\nB) 2\nC) 3\nD) 4\nAnswer: B", "1+1?\nA) 1\nB) 2\nC) 3\nD) 4", "B"),
        ("tfq", "Fish fly.\nAnswer: False", "Fish fly.", "False"),
        ("cs", "C: Birds\nS: They fly.", "Birds", "They fly."),
        ("para", "All in one.", "", "All in one."),
    ],
)
def test_every_kind_has_its_form(kind, answer, prompt, response):
    draft = parse(Task(kind, ("x",)), f"<answer>{answer}</answer>")
    assert (draft.prompt, draft.response, draft.problems) == (prompt, response, ())


@pytest.mark.parametrize("kind", ["mcq", "tfq", "cs"])
def test_another_form_is_a_problem(kind):
    assert parse(Task(kind, ("x",)), "<answer>just words</answer>").problems


LONG = 60_000
ENDLESS = {
    "lines": "<answer>x" + "\n" * LONG + "x",
    "options": "<answer>Q: x" + "\nA) x\nB) x\nC) x" * 200 + "\nAnswer: A</answer>",
    "labels": "<answer>C: x" + "\n S" * LONG,
    "blanks": "<answer>Q: x\n" + " " * LONG + "x",
    "tags": "<answer>" * LONG,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_one_thing_over_and_over_is_read_at_once(kind, text):
    begun = time.process_time()
    parse(Task(kind, ("x",)), text)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "text", ["<" + " " * LONG, "a" + " " * LONG + "b", "a" + "\n" * LONG + "b"]
)
def test_a_row_of_mixture_of_one_thing_over_and_over_is_read_at_once(text):
    begun = time.process_time()
    for kind in KINDS:
        to_example(record("f", 1, {"input": text, "output": text, "cot": text}), kind)
    to_sources(Task("qa", (text,)))
    assert time.process_time() - begun < 3


def test_options_must_come_in_their_order_before_the_last_verdict():
    asked, options = "Q: 1+1?\nAnswer: none\n", "A) 1\nB) 2\nC) 3\nD) 4\n"
    found = parse(Task("mcq", ("x",)), f"<answer>{asked}{options}Answer: B</answer>")
    assert (found.response, found.problems) == ("B", ())
    swapped = options.replace("C)", "E)")
    assert parse(Task("mcq", ("x",)), f"<answer>{asked}{swapped}Answer: B</answer>").problems


@given(st.sampled_from(KINDS), st.booleans(), st.text())
def test_any_text_gives_a_draft(kind, think, text):
    draft = parse(Task(kind, ("x",), think=think), text)
    assert isinstance(draft.response, str)


@given(st.lists(st.sampled_from(["<answer>", "</answer>", "Q:", "\nA:", "<think>", "x", "\n"])))
def test_tags_in_any_order_never_reach_the_answer(pieces):
    draft = parse(QA, "".join(pieces))
    assert "<answer>" not in draft.answer
    assert "</answer>" not in draft.answer
