"""Training data made without a model: what the targets say, and that nothing else gets in."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from minimix.errors import ConfigError, DataError
from minimix.mixture.rule.clusters import from_articles, from_samples
from minimix.mixture.rule.folder import BuildConfig, build_tasks, limited
from minimix.mixture.rule.subjects import groups
from minimix.mixture.rule.wider import together, wider
from minimix.mixture.tasks import Example, read_examples, target, to_sources, write_examples
from minimix.mixture.worse.degrade import careless_variants, pieces
from minimix.parse import parse
from minimix.records import KINDS, Kind, Place, Sample, Task, Vectors

RIGHT = re.compile(r"Answer: .\) (.+)")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(instruction: str, response: str, line: int = 1) -> Sample:
    return Sample(instruction, response, (Place("rows", line, 0, ""),))


def east(texts: Sequence[str]) -> Vectors:
    """Embed everything as the same direction: every row is every other's neighbour."""
    return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(texts), 1))


# a wider question


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        (
            ["What is the capital of France?", "What is the currency of France?"],
            "What is the capital and currency of France?",
        ),
        (["What is a dog?", "What is a cat?", "What is a cow?"], "What is a dog, cat and cow?"),
        (
            ["Who was Nero?", "When did Rome burn?"],
            "Who was Nero, and when did Rome burn?",
        ),
        (
            ["Who was Nero?", "When did Rome burn?", "How long is the Tiber?"],
            "Who was Nero, when did Rome burn, and how long is the Tiber?",
        ),
        (
            ["Who was Nero?", "Explain the fire."],
            "Who was Nero? Also, explain the fire.",
        ),
        (["Name colors", "Name some rainbow colors"], "Name some rainbow colors"),
        (["Name colors", "Name colors"], "Name colors"),
        (["Who is House Stark?", "Who is House Tarly?"], "Who is House Stark and Tarly?"),
        (["Where is Rome?", "Tiber is how long?"], "Where is Rome, and Tiber is how long?"),
    ],
)
def test_a_wider_question_asks_each_thing_once(questions, expected):
    assert wider(questions) == expected


def test_what_was_said_is_not_said_again():
    answers = ["Nero was an emperor", "Rome burnt in 64. Nero was an emperor."]
    assert together(answers) == "Nero was an emperor. Rome burnt in 64."


def test_a_list_keeps_its_lines_and_stands_on_lines_of_its_own():
    assert together(["Two of them:\n- oak\n- elm", "Both lose leaves"]) == (
        "Two of them:\n- oak\n- elm\nBoth lose leaves."
    )


# tasks from samples


SIX = " ".join(f"River number {n} is {n * 3} km long and flows to the sea." for n in range(6))
RIVERS = [
    sample("How long is the Tiber?", "The Tiber is 405 km long. It rises on Monte Fumaiolo.", 1),
    sample("Where does the Po end?", "The Po ends in the Adriatic Sea near Venice.", 2),
]


def test_neighbours_become_one_sample_that_asks_and_answers_all():
    made = list(from_samples(RIVERS, per_row=1, embed=east, rng=rng()))
    joined = [example for example in made if example.made == "neighbours"]
    assert len(joined) == 1
    draft = parse(joined[0].task, target(joined[0]))
    assert not draft.problems
    for sentence in ("The Tiber is 405 km long.", "It rises on Monte Fumaiolo.", "near Venice."):
        assert sentence in draft.response
    assert {place.line for place in joined[0].sources} == {1, 2}


def test_variants_have_their_sample_as_target_and_none_is_all_of_it():
    text = " ".join(f"River number {n} is {n * 3} km long and flows to the sea." for n in range(6))
    made = list(
        from_samples([sample("Tell me of rivers.", text)], per_row=3, embed=east, rng=rng())
    )
    assert [example.made for example in made] == ["variants"] * 3
    for example in made:
        assert example.reference == f"Q: Tell me of rivers.\nA: {SIX}"
        assert all(len(part) < len(example.reference) for part in example.task.parts)
        assert 2 <= len(example.task.parts) <= 5


def test_an_answer_that_breaks_off_is_no_target_of_variants():
    cut = sample("Tell me of rivers.", f"{SIX} The last one")
    assert not list(from_samples([cut], per_row=3, embed=east, rng=rng()))


def test_a_sample_with_a_passage_is_no_target():
    with_passage = Sample("Sum it up.", SIX, (Place("rows", 1, 0, ""),), input="A PASSAGE")
    assert not list(from_samples([with_passage, *RIVERS[:1]], per_row=1, embed=east, rng=rng()))


def test_a_target_says_no_number_that_its_parts_have_lost():
    rows = [sample("Tell me of rivers.", SIX, line) for line in range(60)]
    made = list(from_samples(rows, per_row=2, embed=east, rng=rng()))
    assert len(made) > 60
    for example in made:
        said = " ".join(example.task.parts)
        assert all(number in said for number in re.findall(r"\d+", example.reference))


def test_a_target_that_holds_a_second_question_is_left_out():
    two = sample("Tell me.", f"{SIX}\n\nQ: And what else?\nA: Nothing.")
    assert not list(from_samples([two], per_row=2, embed=east, rng=rng()))


def test_careless_variants_together_still_hold_each_sentence_somewhere():
    marks = ["alpha", "beta", "gamma", "delta", "omega"]
    one = sample("Say all.", " ".join(f"The word {m} {m} {m} stands here twice." for m in marks))
    for seed in range(20):
        said = " ".join(v.response.lower() for v in careless_variants(one, count=3, rng=rng(seed)))
        found = [m for m in marks if m[:2] in said]
        assert len(found) == len(marks)


def test_what_can_be_missing_is_counted():
    assert pieces(sample("Q", "One here. Two here. Three here.")) == 3
    assert pieces(sample("Q", "One word")) == 1


# tasks from articles


def test_articles_give_tasks_of_every_kind_with_well_formed_targets(article):
    made = list(from_articles([article], rng=rng()))
    assert {example.task.kind for example in made} == set(KINDS)
    assert {example.made for example in made} == {"variants", "neighbours"}
    for example in made:
        assert not parse(example.task, target(example)).problems, example
        assert len(to_sources(example.task)) == len(example.task.parts)


def test_a_group_says_no_more_than_its_members(article):
    found = list(groups(article, rng()))
    assert {whole.kind for _, whole in found} == set(KINDS)
    for own, whole in found:
        said = " ".join(f"{one.instruction} {one.response}" for one in own).lower()
        new = {word for word in bare_words(whole.response) if word not in said}
        assert new <= {"and"}


def bare_words(text: str) -> list[str]:
    return [word.strip(".,;:?!\"'()") for word in text.lower().split()]


def test_an_option_that_answers_twice_has_the_right_pair_as_its_answer(article):
    pairs = [whole for own, whole in groups(article, rng()) if whole.kind == "mcq"]
    assert pairs
    for own, whole in groups(article, rng()):
        if whole.kind == "mcq":
            rights = [right for one in own for right in RIGHT.findall(one.response)]
            assert RIGHT.findall(whole.response) == ["; ".join(rights)]


# folders


def examples(kind: Kind, made: str, count: int) -> list[Example]:
    return [Example(Task(kind, (str(n),), "x"), made, ()) for n in range(count)]


def test_a_limit_takes_as_many_of_each_sort_as_there_are():
    many = examples("qa", "variants", 50) + examples("qa", "neighbours", 5)
    taken = limited(many, {"qa": 20}, rng())
    assert Counter(one.made for one in taken) == {"neighbours": 5, "variants": 15}


def test_no_limit_takes_all_and_a_kind_without_one_is_left_out():
    many = examples("qa", "variants", 4) + examples("cs", "variants", 3)
    assert len(limited(many, {}, rng())) == 7
    assert {one.task.kind for one in limited(many, {"cs": 9}, rng())} == {"cs"}


def test_a_folder_is_the_same_for_the_same_seed_and_holds_its_sides_apart(tmp_path):
    rows = tmp_path / "rows.jsonl"
    lines = [
        f'{{"instruction": "Tell me of hill {n}.", "output": "{text(n)}", "rating_detail": '
        f'{{"Overall": 9}}}}'
        for n in range(40)
    ]
    rows.write_text("\n".join(lines))
    config = BuildConfig(held_out=0.2)
    for name in ("one", "two"):
        build_tasks([str(rows)], [], tmp_path / name, config, embed=spread)
    for file in ("train.jsonl", "held_out.jsonl"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two
    sides = [read_examples(tmp_path / "one" / file) for file in ("train.jsonl", "held_out.jsonl")]
    lines_of = [{place.line for one in side for place in one.sources} for side in sides]
    assert all(lines_of)
    assert not lines_of[0] & lines_of[1]


def text(n: int) -> str:
    """Return an answer of which no two have five words in a row in common."""
    words = [f"{letter}{n}{letter}" for letter in "abcdefghijklmnopqrst"]
    return " ".join(words[:10]).upper() + ". " + " ".join(words[10:]).upper() + "."


def spread(texts: Sequence[str]) -> Vectors:
    """Embed each text in a direction of its own."""
    return np.eye(len(texts), dtype=np.float32)


def test_rows_rated_below_the_least_take_no_part(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"instruction": "Tell me.", "output": "' + text(1) + '", "rating_detail": {"Overall": 5}}'
    )
    with pytest.raises(DataError, match="no task can be made"):
        build_tasks([str(rows)], [], tmp_path / "out", BuildConfig(), embed=spread)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="per_row"):
        BuildConfig(per_row=0)
    with pytest.raises(ConfigError, match="held_out"):
        BuildConfig(held_out=1.0)


# the form on disk


def test_examples_come_back_as_they_were(tmp_path):
    path: Path = tmp_path / "tasks.jsonl"
    place = Place("rows.jsonl", 7, 0, "ab")
    thinking = Example(Task("cs", ("C: x\nS: y",), "C: x\nS: y z", True), "w", (place,), "why")
    plain = Example(Task("qa", ("Q: a\nA: b", "Q: c\nA: d \u2028 e"), "Q: a\nA: b"), "variants", ())
    write_examples(path, [thinking, plain])
    assert read_examples(path) == (thinking, plain)
    assert target(thinking) == "<think>why</think>\n<answer>C: x\nS: y z</answer>"
    assert target(plain) == "<answer>Q: a\nA: b</answer>"
    assert [one.prompt for one in to_sources(plain.task)] == ["a", "c"]


def test_a_part_that_holds_several_pairs_gives_several_sources():
    one_part = Task("qa", ("Q: a\nA: b\n\nmore b\n\nQ: c\nA: d",))
    found = [(one.prompt, one.response) for one in to_sources(one_part)]
    assert found == [("a", "b\n\nmore b"), ("c", "d")]
