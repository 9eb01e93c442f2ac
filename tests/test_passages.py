"""Good samples come out of passages: well-formed, and nothing silly in them."""

import re

import numpy as np
import pytest

from minimix.errors import FormatError
from minimix.mixture.text import passages
from minimix.mixture.text.answers import Asked, distractors
from minimix.mixture.text.facts import short_form
from minimix.mixture.text.prose import paragraphs, stands_alone, topic
from minimix.mixture.text.wording import clauses, joined, sentences
from minimix.parse import parse
from minimix.prompt import part_text
from minimix.records import KINDS, Kind, Sample, Task
from tests.lighthouse import KEEPERS, LIGHT, QUESTIONS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def built(article) -> dict[Kind, list[Sample]]:
    return {kind: make(article, rng()) for kind, make in passages.BUILDERS.items()}


def test_a_sentence_ends_at_its_point_and_not_at_an_abbreviation():
    text = 'Dr. A. Hale came from the U.S. Navy. He said "Go. Now." Then he left.\n- tea\n- salt'
    assert sentences(text) == (
        "Dr. A. Hale came from the U.S. Navy.",
        'He said "Go. Now."',
        "Then he left.\n",
        "- tea\n",
        "- salt",
    )
    assert joined(sentences(text)) == text


def test_clauses_are_what_a_sentence_can_lose():
    assert clauses("The tower has 212 steps, while its lamp shines for 31 kilometres.") == (
        "The tower has 212 steps,",
        "while its lamp shines for 31 kilometres.",
    )
    assert clauses("The tower, which is old, fell.") == ("The tower, which is old, fell.",)


def test_a_passage_knows_its_record_and_its_paragraph(article):
    places = [(p.place.line, p.place.part) for p in article.passages]
    assert (article.title, places) == ("Skarn Light", [(1, 0), (1, 1)])
    assert len(article.passages[0].place.sha256) == 64


def test_a_file_of_another_layout_is_named(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"data": [{"title": "x"}]}')
    with pytest.raises(FormatError, match=r"other\.json:1: expected an article with title"):
        passages.read_squad(path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_built_is_well_formed(built, kind):
    drafts = [parse(Task(kind, ()), f"<answer>{part_text(one)}</answer>") for one in built[kind]]
    assert drafts
    assert not [draft.problems for draft in drafts if draft.problems]
    assert {one.kind for one in built[kind]} == {kind}


def test_an_answer_says_more_than_the_bare_words(built):
    (sample,) = [one for one in built["qa"] if one.instruction == QUESTIONS[2][1]]
    assert "The tower has 212 steps, while its lamp" in sample.response


def test_distractors_are_of_the_sort_of_the_answer(built):
    responses = [sample.response for sample in built["mcq"]]
    (when,) = [text for text in responses if text.startswith(f"Q: {QUESTIONS[0][1]}")]
    options = re.findall(r"^([A-D])\) (.*)$", when, re.MULTILINE)
    assert len({text for _, text in options}) == 4
    assert all(re.fullmatch(r"1[89]\d\d", text) for _, text in options)
    letter = next(letter for letter, text in options if text == "1854")
    assert when.endswith(f"\nAnswer: {letter}) 1854")


def test_a_distractor_neither_holds_nor_repeats_the_answer():
    asked = Asked("Who lit the lamp?", "Mary Oswald")
    others = [Asked("Who came?", name) for name in ("Oswald", "Mary Oswald", "Peter Hale", "Hale")]
    found = distractors(asked, others, "", rng())
    assert len(found) == 1
    assert found[0] in {"Peter Hale", "Hale"}


def test_a_false_statement_comes_with_the_true_sentence(article):
    texts = [one.response for seed in range(8) for one in passages.tfq(article, rng(seed))]
    false = [text for text in texts if "\nAnswer: False." in text]
    assert false
    for text in false:
        statement, _, truth = text.partition("\nAnswer: False. ")
        assert truth in f"{LIGHT} {KEEPERS}"
        assert statement.rstrip(".") not in truth
    true = [text.partition("\n")[0] for text in texts if "\nAnswer: True." in text]
    assert "Skarn Light was built in 1854 by the engineer Mary Oswald." in true


def test_a_statement_is_cut_only_where_a_whole_sentence_stands():
    assert short_form("The old tower has 212 steps, while its lamp is dark.", 20) == (
        "The old tower has 212 steps."
    )
    whole = "The tower of the old town, which was built in 1854, is dark."
    assert short_form(whole, 10) == whole


def test_a_plain_article_gives_its_topic_its_gaps_and_clean_paragraphs(tmp_path):
    path = tmp_path / "articles.txt"
    path.write_text(f"{LIGHT}HistoryThe town of Dunmoor paid for it.{KEEPERS}\n")
    (article,) = passages.read_articles(path)
    assert article.title == "Skarn Light"
    text = " ".join(joined(passage.sentences) for passage in article.passages)
    assert "Dunmoor paid" not in text
    assert "14,000 people" in text
    assert [asked.answer for asked in article.passages[0].asked] == ["1854"]


def test_a_sentence_with_something_lost_in_it_is_left_out():
    line = "The lamp was lit in . The tower has many steps. The crew was paid $20 ($ today) a year."
    assert list(paragraphs(line)) == [("The tower has many steps.",)]


@pytest.mark.parametrize(
    ("sentence", "alone"),
    [
        ("Mary Oswald built the tower.", True),
        ("It was built by Mary Oswald.", False),
        ("In winter she never came.", False),
        ("In winter Oswald said she never came.", True),
        ("However, the tower fell.", False),
    ],
)
def test_a_sentence_that_leans_on_another_does_not_stand_alone(sentence, alone):
    assert stands_alone(sentence) is alone


def test_the_topic_is_no_stop_word():
    text = "This is a list of keepers of the old Skarn Light. Skarn Light had many."
    assert topic(text) == "Skarn Light"
