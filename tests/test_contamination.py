"""Evaluation questions in rows: what counts as one, and what becomes of a row that holds one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimix.arrow import Distilled, distill
from minimix.cli import cli
from minimix.config import DistillConfig
from minimix.contamination import NONE, Questions, index, matches, normal, read_questions
from minimix.errors import ConfigError, FormatError
from minimix.journal import open_journal
from minimix.output import write_output
from minimix.records import Models, Place, Sample
from minimix.run import load_questions
from tests.fakes import CONFIG, models, near_rows, pool, sample

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
DUCKS = "Janet's ducks lay 16 eggs per day. She eats 3 for breakfast; how many are left?"
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima".split()
DROP = replace(CONFIG, drop_contaminated=True)


def asked(*texts: str) -> Questions:
    """Questions that stand in file "q", the first at line 1."""
    rows = enumerate(texts, 1)
    return index(Sample(text, "", (Place("q", line, 0, f"{line:064x}"),)) for line, text in rows)


def found(text: str, *questions: str) -> tuple[str, float, int] | None:
    """How a row that answers `text` holds one of `questions`, the score, the question's line."""
    held = matches([sample("Go on", text)], asked(*questions))
    return (held[0].how, round(held[0].score, 2), held[0].question.line) if held else None


@pytest.mark.parametrize(
    "text",
    [
        DUCKS,
        DUCKS.upper(),
        "Think.\n" + DUCKS.replace(" ", "\n  ").replace("'", "\u2019") + " Then answer.",
        DUCKS.replace(".", "").replace(";", " -- ").replace("?", ""),
        DUCKS.replace("16", "\uff11\uff16").replace("ducks", "du\u200bcks"),
    ],
)
def test_case_signs_spaces_and_widths_make_no_difference(text):
    assert found(text, DUCKS) == ("exact", 1.0, 1)


def test_prompt_response_and_system_are_looked_through_each_by_itself():
    first, second = "one two three four", "five six seven eight"
    both = asked(f"{first} {second}")
    assert matches([Sample(f"{first} {second}", "x", sample("", "").sources)], both)
    assert matches([Sample("x", f"{first} {second}", sample("", "").sources)], both)
    assert matches([Sample("x", "y", sample("", "").sources, system=f"{first} {second}")], both)
    assert not matches([sample(first, second)], both)


def test_a_question_ends_where_its_words_end():
    assert found("we ask how old is that cart", "how old is that car") is None
    assert found("we ask how old is that car?", "how old is that car") == ("exact", 1.0, 1)


def test_a_question_under_five_words_is_a_whole_prompt_or_nothing():
    short = asked("Who are you?")
    assert matches([sample("who are you", "A model.")], short)
    assert not matches([sample("Say who are you", "A model.")], short)
    assert not matches([sample("Speak", "Who are you?")], short)


def test_signs_alone_are_no_question():
    assert not matches([sample("?!", "...")], asked("???"))


def test_chinese_characters_are_words():
    assert normal("2024\u5e74\uff0c\u4e2d\u56fd") == "2024 \u5e74 \u4e2d \u56fd"


def test_other_numbers_are_the_same_question_nearly():
    other = DUCKS.replace("16", "21").replace("3", "7")
    assert found(other, DUCKS) == ("near", 1.0, 1)


def test_the_score_is_the_share_of_three_word_runs_that_are_left():
    question = " ".join(WORDS)  # twelve words, ten runs of three
    for place, left in ((0, 9), (1, 8), (5, 7)):
        changed = [*WORDS[:place], "zulu", *WORDS[place + 1 :]]
        assert found(" ".join(changed), question) == ("near", left / 10, 1)


def test_half_a_long_question_is_found_and_a_third_is_not():
    words = [f"{first}{second}" for first in "abcde" for second in WORDS]  # 60 words, 58 runs
    assert found(" ".join(words[:30]), " ".join(words)) == ("near", round(28 / 58, 2), 1)
    assert found(" ".join(words[:20]), " ".join(words)) is None


def test_fewer_than_six_runs_in_common_are_chance():
    question = " ".join(WORDS[:8])  # eight words, six runs
    assert found(f"so {question[:-1]}x", question) is None
    assert found(question.replace("golf", "golf golf"), f"{question} mike") is None


def test_what_many_questions_begin_with_does_not_count():
    preamble = "read the passage below with care then choose the best of these answers"
    quiz = [f"{preamble} {name} one two three four five {name} six {name}" for name in WORDS]
    assert found(f"{preamble} and be quick", *quiz) is None
    assert found(f"{preamble} and be quick", *quiz[:10]) == ("near", 11 / 20, 1)
    assert found(quiz[4], *quiz) == ("exact", 1.0, 5)


def test_the_longest_exact_question_and_the_nearest_other_one_are_named():
    question = " ".join(WORDS)
    assert found(question, " ".join(WORDS[:6]), question, " ".join(WORDS[2:9])) == ("exact", 1.0, 2)
    changed = question.replace("lima", "zulu")
    assert found(changed, f"{question} mike november", question) == ("near", 0.9, 2)


def test_a_question_asked_twice_is_named_by_its_first_place():
    assert found(DUCKS, "How old is the universe now?", DUCKS, DUCKS.lower()) == ("exact", 1.0, 2)


@settings(max_examples=200, deadline=None)
@given(
    question=st.lists(
        st.text("abc\u00e9\u00df1 ", min_size=1, max_size=6), min_size=5, max_size=30
    ),
    others=st.lists(st.text("abc1 ?", max_size=60), max_size=20),
    before=st.text(max_size=40),
    after=st.text(max_size=40),
)
def test_a_question_that_stands_in_a_row_is_always_found(question, others, before, after):
    text = " ".join(question)
    row = sample("Go on", f"{before} {text.upper()}.\n{after}")
    held = matches([row], asked(*others, text))
    assert held or len(normal(text).split()) < 5
    assert all(match.how == "exact" for match in held)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abcde ", max_size=80), max_size=15), st.text("vwxyz ", max_size=300))
def test_a_row_that_shares_no_word_holds_no_question(questions, text):
    assert not matches([sample(f"{text} v", text)], asked(*questions))


def test_questions_are_read_with_and_without_answers(tmp_path):
    rows = [
        {"question": "With an answer?", "answer": "Yes."},
        {"question": "With choices?", "choices": ["a", "b"], "answer": 1},
        {"instruction": "Sum this up.", "input": "A text.", "response1": "x"},
        {"problem": "Prove it.", "level": 5},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    questions = read_questions([str(tmp_path)])
    assert list(questions.exact) == [
        "with an answer", "with choices", "sum this up a text", "prove it",
    ]  # fmt: skip
    assert [place.line for place in questions.places] == [1, 2, 3, 4]


def test_a_file_without_questions_is_refused(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "Why?"}\n' + '{"label": "x"}\n' * 2)
    with pytest.raises(FormatError, match=r"q.jsonl:2: no question in it, nor in 1 more of 3 reco"):
        read_questions([str(path)])
    assert len(read_questions([str(path)], max_bad=0.7).places) == 1
    path.write_text('{"label": "x"}\n')
    with pytest.raises(FormatError, match="no question in it"):
        read_questions([str(path)], max_bad=1.0)


def test_sources_of_questions_are_a_list_in_yaml():
    config = DistillConfig().with_settings(yaml.safe_load("check_against: [a.jsonl, b/c]"))
    assert config.check_against == ("a.jsonl", "b/c")
    assert config.flat()["check_against"] == ["a.jsonl", "b/c"]
    assert DistillConfig().with_settings({"check_against": "a.jsonl"}).check_against == ("a.jsonl",)
    with pytest.raises(ConfigError, match="check_against: expected a list"):
        DistillConfig().with_settings({"check_against": 3})
    with pytest.raises(ConfigError, match="drop_contaminated: expected true or false"):
        DistillConfig().with_settings({"drop_contaminated": "maybe"})


def test_dropping_without_questions_is_refused():
    with pytest.raises(ConfigError, match="drop_contaminated: expected check_against"):
        load_questions(DistillConfig(drop_contaminated=True))


def high(text: str, line: int, rating: float) -> Sample:
    return sample(text, f"Answer {line} to it.", line, rating)


def run(
    folder: Path,
    rows: list[Sample],
    questions: Questions,
    config: DistillConfig = CONFIG,
    use: Models | None = None,
) -> Distilled:
    """Distil rows, checked against questions, and write all of it into `folder`/out."""
    use = use or models()
    with open_journal(folder / "out", restart=True) as journal:
        journal.begin({})
        result = distill(
            pool(*rows), config=config, models=use, journal=journal, questions=questions
        )
        write_output(result, folder / "out", pool=pool(*rows), config=config, models=use)
    return result


def listed(folder: Path) -> list[dict[str, object]]:
    text = (folder / "out" / "contamination.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


HIGH_ROWS = [high(DUCKS, 1, 5.0), high("How far is the moon?", 2, 4.5), high("Why?", 3, 4.2)]
TWO = replace(CONFIG, budget="2", mix=0.0)


def test_without_the_flag_matches_are_listed_and_stay(tmp_path):
    result = run(tmp_path, HIGH_ROWS, asked("Nothing like it at all", DUCKS), TWO)
    assert {entry.sample.prompt for entry in result.entries} == {DUCKS, "How far is the moon?"}
    assert listed(tmp_path) == [
        {
            "id": HIGH_ROWS[0].id,
            "sources": [{"file": "f", "line": 1, "part": 0, "sha256": f"{1:064x}"}],
            "question": {"file": "q", "line": 2, "part": 0, "sha256": f"{2:064x}"},
            "how": "exact",
            "score": 1.0,
            "removed": False,
        }
    ]
    said = "checked against 2 evaluation questions of q: 1 row holds one, listed in contamination"
    assert said in result.notes[-1]
    assert said.capitalize() in (tmp_path / "out" / "README.md").read_text()
    assert said in (tmp_path / "out" / "report.html").read_text()


def test_with_the_flag_a_clean_row_takes_the_place(tmp_path):
    config = replace(TWO, drop_contaminated=True)
    result = run(tmp_path, HIGH_ROWS, asked(DUCKS.replace("16", "12")), config)
    assert {entry.sample.prompt for entry in result.entries} == {"How far is the moon?", "Why?"}
    (drop,) = result.dropped
    assert (drop.place.line, drop.stage) == (1, "contamination")
    assert drop.reason == "holds the evaluation question q:1 (near, 1.00)"
    assert [line["removed"] for line in listed(tmp_path)] == [True]
    assert result.counts["contaminated"] == result.counts["dropped_contamination"] == 1


def test_a_fusion_that_holds_a_question_goes_with_all_its_sources(tmp_path):
    clean = run(tmp_path, near_rows(), NONE)
    fusions = [entry for entry in clean.entries if entry.origin == "fusion"]
    held = fusions[0].sample
    result = run(tmp_path, near_rows(), asked(held.response), DROP)
    gone = {drop.place: drop.reason for drop in result.dropped if drop.stage == "contamination"}
    assert gone == dict.fromkeys(
        held.sources, "its fusion holds the evaluation question q:1 (exact, 1.00)"
    )
    left = [entry.sample for entry in result.entries if entry.origin == "fusion"]
    assert held not in left
    assert len(left) == len(fusions) - 1 >= 1


def test_the_next_best_source_stands_in_for_one_that_holds_a_question(tmp_path):
    silent = models(write=lambda _parts: "blah")
    rows = near_rows()
    before = run(tmp_path, rows, NONE, use=silent)
    best = before.entries[0].sample
    assert best in rows
    result = run(tmp_path, rows, asked(best.response), DROP, silent)
    assert result.counts["best_sources"] == before.counts["best_sources"] == 3
    assert best not in [entry.sample for entry in result.entries]
    assert {drop.place for drop in result.dropped if drop.stage == "contamination"} == set(
        best.sources
    )


def test_a_run_that_was_not_checked_says_so_and_leaves_no_list(tmp_path):
    run(tmp_path, HIGH_ROWS, asked("Is this one of the questions?"), TWO)
    assert listed(tmp_path) == []
    result = run(tmp_path, HIGH_ROWS, NONE, TWO)
    assert not (tmp_path / "out" / "contamination.jsonl").exists()
    assert "not checked against evaluation" in (tmp_path / "out" / "README.md").read_text()
    assert "not checked against evaluation" in (tmp_path / "out" / "report.html").read_text()
    assert not [note for note in result.notes if "evaluation" in note]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    held=st.sets(st.integers(0, 14), max_size=8),
    high_rows=st.sets(st.integers(0, 14), max_size=6),
    budget=st.integers(1, 8),
    fuse=st.booleans(),
)
def test_no_row_is_lost_and_none_that_holds_a_question_is_left(
    tmp_path_factory, held, high_rows, budget, fuse
):
    rows = [
        replace(row, rating=4.5 if number in high_rows else None)
        for number, row in enumerate(near_rows(15))
    ]
    questions = asked(*(rows[number].response for number in held))
    config = replace(DROP, budget=str(budget))
    use = models() if fuse else models(write=lambda _parts: "blah")
    result = run(tmp_path_factory.mktemp("run"), rows, questions, config, use)
    counts = result.counts
    assert counts["kept"] + counts["fused"] + counts["dropped"] == len(rows)
    assert not matches((entry.sample for entry in result.entries), questions)


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, ["distill", "data.jsonl", "--model", "extract", *words])


@pytest.mark.slow
def test_the_command_drops_what_it_was_told_to_and_notices_other_questions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = [json.loads(line) for line in EXAMPLE.read_text().splitlines()[:6]]
    best, *others = [{**row, "rating": 9 if n else 10} for n, row in enumerate(rows)]
    Path("data.jsonl").write_text("\n".join(map(json.dumps, (best, *others))))
    Path("q.jsonl").write_text(json.dumps({"question": f"{best['instruction']} {best['input']}"}))
    Path("run.yaml").write_text("mix: 0\nbudget: 2\ncheck-against: [q.jsonl]\n")
    options = ("-c", "run.yaml", "--rating-range", "0", "10", "--drop-contaminated")
    result = call(*options)
    assert "1 row holds one, removed and listed in contamination.jsonl" in result.stdout
    (line,) = Path("data.distilled/contamination.jsonl").read_text().splitlines()
    assert json.loads(line)["sources"][0]["line"] == 1
    kept = Path("data.distilled/train.jsonl").read_text()
    assert len(kept.splitlines()) == 2
    assert json.dumps(best["output"])[1:40] not in kept
    Path("q.jsonl").write_text(json.dumps({"question": "Is it another one now?"}))
    refused = call(*options)
    assert refused.exit_code == 1
    assert "questions.sha256" in refused.stderr
