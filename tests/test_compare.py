"""Comparing sets: which rows each has, what they have alike, what is held out, what is said."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minimix.compare.arms import ARMS, arms, fusions, mixed
from minimix.compare.arrow import Arm, _check_filled, _matched, compare
from minimix.compare.harness import harness, scores
from minimix.compare.held_out import distant, draw
from minimix.compare.meter import Spent, metered, spent
from minimix.compare.page import as_json, markdown, plot
from minimix.compare.settings import Asked, CompareConfig
from minimix.compare.students import BATCH, answer_losses, beginning
from minimix.compare.verdict import apart, by_length, in_words
from minimix.config import EXTRACT, DistillConfig
from minimix.errors import ConfigError, DataError, OutputError
from minimix.evaluate.statistics import Figure
from minimix.train.settings import SftConfig, with_settings
from minimix.train.tokens import Encoded
from tests.fakes import CONFIG, embed, near_rows, pool, run, sample

EXAMPLE = Path(__file__).parents[1] / "examples" / "dolly.jsonl"
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "does_it_help.ipynb"
EAST = Encoded([1, 2], [3])


# sets


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return a run over twelve low rows and three high ones, with its pool."""
    high = [replace(sample(f"Why {n}?", "so " * n, 90 + n), rating=4 + n / 10) for n in (1, 2, 3)]
    rows = [*near_rows(12), *high]
    folder = tmp_path_factory.mktemp("run")
    result = run(folder, rows, replace(CONFIG, budget="4", mix=1.0))
    return result, pool(*rows)


def test_every_set_that_is_named_is_made(ran):
    assert tuple(arms(*ran, seed=0)) == ARMS


def test_random_and_full_are_of_the_whole_pool(ran):
    made = arms(*ran, seed=0)
    everything = {one.id for one in ran[1].samples}
    assert {one.id for one in made["random"]} == {one.id for one in made["full"]} == everything


def test_another_seed_draws_another_random_set_and_the_same_longest(ran):
    one, other = (
        {name: [row.id for row in rows] for name, rows in arms(*ran, seed=seed).items()}
        for seed in (0, 1)
    )
    assert one["random"] != other["random"]
    assert one["distilled"] == other["distilled"]
    assert arms(*ran, seed=0)["random"][0].id == one["random"][0]


def test_longest_begins_with_the_longest_answers(ran):
    lengths = [len(one.response) for one in arms(*ran, seed=0)["longest"]]
    assert lengths == sorted(lengths, reverse=True)


def test_top_rated_begins_with_the_best_and_high_ends_with_the_last_high_one(ran):
    made = arms(*ran, seed=0)
    assert [one.rating for one in made["top_rated"]][:3] == [4.3, 4.2, 4.1]
    assert sorted(one.rating or 0 for one in made["high"]) == [4.1, 4.2, 4.3]


def test_distilled_has_fusions_alone(ran):
    assert arms(*ran, seed=0)["distilled"] == fusions(ran[0])
    assert all(len(one.sources) >= 2 for one in fusions(ran[0]))


def test_a_mix_keeps_its_share_from_the_beginning_and_ends_with_what_is_scarce():
    originals = [sample(f"o{n}?", "x", n) for n in range(9)]
    made = [sample(f"f{n}?", "x", 20 + n) for n in range(3)]
    shape = "".join(one.instruction[0] for one in mixed(originals, made, 3))
    assert shape == "ooofoofoofoo"
    assert [shape[:rows].count("f") for rows in (4, 7, 10)] == [1, 2, 3]
    assert [one.instruction for one in mixed(originals[:1], made, 5)] == ["o0?", "f0?"]


# what they have alike


def encoded(one: Any) -> Encoded:
    """Return as many tokens as the answer has letters, with two of a prompt before them."""
    return Encoded([0, 0], [1] * len(one.response))


ROWS = [sample(f"{n}?", "x" * length, n) for n, length in enumerate((8, 3, 98, 8, 8))]


def test_a_set_begins_with_as_many_rows_as_are_asked_for_and_fit():
    assert [len(one) for one in beginning(ROWS, encoded, rows=3, max_length=50)] == [10, 5, 10]


def test_a_set_of_so_many_tokens_is_as_long_as_it_takes_to_hold_them():
    assert [len(one) for one in beginning(ROWS, encoded, tokens=11, max_length=50)] == [10, 5]
    assert len(beginning(ROWS, encoded, tokens=1000, max_length=50)) == 4


def steps(rows: list[Encoded], matched: str, amount: int) -> int:
    config = with_settings(SftConfig, "cpu", {"num_train_epochs": 2.0})
    assert config.per_step == 4
    return _matched(rows, config, matched, amount).max_steps


def test_equal_rows_are_equal_steps_and_a_short_set_is_passed_more_often():
    assert steps([EAST] * 12, "rows", 12) == 6
    assert steps([EAST] * 3, "rows", 12) == 6


def test_equal_tokens_are_more_steps_of_shorter_rows():
    assert steps([Encoded([0], [1] * 9)] * 12, "tokens", 120) == 6
    assert steps([Encoded([0], [1] * 4)] * 24, "tokens", 120) == 12


def test_a_set_without_rows_is_refused_by_name():
    with pytest.raises(DataError, match="distilled: is empty"):
        _check_filled("distilled", [])


# what is held out


def test_what_asks_the_same_or_is_near_goes_and_the_rest_stays():
    held = [sample("What is a moon?", "A body that goes round a planet.", 1)]
    rows = [
        sample("what is  a MOON?", "Quite another answer.", 2),
        sample("What is a moon, then?", "A body that goes round a planet.", 3),
        sample("How is bread made?", "With yeast and some flour.", 4),
    ]
    assert distant(rows, held, embed=embed, min_similarity=0.9) == [2]
    with pytest.raises(DataError, match="near one that is held out"):
        distant(rows[:2], held, embed=embed, min_similarity=0.9)


def test_high_samples_are_held_out_and_their_own_rating_counts():
    rows = [sample(f"{n}?", "x", n) for n in range(20)]
    rows[7], rows[9] = (replace(rows[n], rating=5.0) for n in (7, 9))

    def low(samples):
        return np.zeros(len(samples), dtype=np.float32)

    assert draw(rows, low, hold=2, seed=0) == [7, 9]
    with pytest.raises(DataError, match=r"a tenth of 20 samples and .* 2 high ones, found 3"):
        draw(rows, low, hold=3, seed=0)


# what is said


def test_a_difference_is_paired_by_sample_and_seed():
    noise = np.random.default_rng(0).normal(size=(3, 50))
    figure = apart(noise - 0.1, noise, seed=0)
    assert figure.value == pytest.approx(-0.1)
    assert figure.low == pytest.approx(-0.1)
    assert figure.high == pytest.approx(-0.1)


def test_students_that_differ_widen_the_interval():
    steady = apart(np.zeros((3, 50)), np.ones((3, 50)), seed=0)
    shaky = apart(np.zeros((3, 50)), np.repeat([[0.0], [1.0], [2.0]], 50, axis=1), seed=0)
    assert (steady.low, steady.high) == (-1, -1)
    assert shaky.high - shaky.low > 1


def test_losses_of_other_samples_are_no_pairs():
    with pytest.raises(DataError, match="one shape"):
        apart(np.zeros((3, 4)), np.zeros((3, 5)), seed=0)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.2, -0.1, "ours trains a better student than random"),
        (0.1, 0.2, "ours trains a worse student than random"),
        (-0.1, 0.2, "No difference between ours and random can be told"),
    ],
)
def test_a_verdict_wants_an_interval_on_one_side_of_zero(low, high, said):
    assert in_words("ours", {"random": Figure((low + high) / 2, low, high, 9)}).startswith(said)


def test_thirds_go_by_the_length_of_the_answer():
    assert {name: rows.tolist() for name, rows in by_length([5, 1, 9, 2, 7, 3]).items()} == {
        "short": [1, 3],
        "middle": [5, 0],
        "long": [4, 2],
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arms": ("best",)}, "arms: expected some of random, .*, found 'best'"),
        ({"matched": ()}, "matched: expected some of tokens, rows, found none"),
        ({"seeds": 0}, "seeds: expected at least 1, found 0"),
        ({"eval_folder": "x"}, "eval_folder: expected eval_tasks beside it"),
    ],
)
def test_settings_out_of_range_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        CompareConfig(**given)


def test_what_two_starts_took_is_added_up_also_where_one_failed(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), metered(tmp_path / "spent.json"):
            sum(n * n for n in range(100_000)) / 0
    both = spent(tmp_path / "spent.json")
    with metered(tmp_path / "spent.json"):
        pass
    assert both.cpu_seconds > 0
    assert spent(tmp_path / "spent.json").seconds >= both.seconds
    assert spent(tmp_path / "none.json") == Spent()


def test_a_group_of_tasks_is_all_its_questions_by_the_first_filter():
    made = {
        "group_subtasks": {"both": ["a", "b"], "a": []},
        "samples": {
            "a": [
                {"doc_id": 1, "metrics": ["acc"], "acc": 1.0},
                {"doc_id": 0, "metrics": ["acc"], "acc": 0.0},
                {"doc_id": 0, "metrics": ["acc"], "acc": 1.0},
            ],
            "b": [{"doc_id": 0, "metrics": ["acc"], "acc": 1.0}],
        },
    }
    assert scores(made, "both").values == (0.0, 1.0, 1.0)
    assert scores(made, "a").values == (0.0, 1.0)
    with pytest.raises(DataError, match="a number for rank"):
        scores({"samples": {"c": [{"doc_id": 0, "metrics": ["rank"], "rank": None}]}}, "c")


# the whole of it


QUESTIONS = [
    {"question": f"What is {n} and 1?", "choices": [str(n), str(n + 1)], "answer": 1}
    for n in range(6)
]
TASK = """
task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture(scope="module")
def local_task(tmp_path_factory) -> Path:
    """Return a folder that defines one task of the harness, on a file beside it."""
    folder: Path = tmp_path_factory.mktemp("harness")
    lines = [json.dumps(row) + "\n" for row in QUESTIONS]
    (folder / "sums.jsonl").write_text("".join(lines))
    (folder / "sums.yaml").write_text(TASK.format(file=folder / "sums.jsonl"))
    return folder


def asked(tiny: Path, held: Path, **given: Any) -> Asked:
    few = {"base": str(tiny), "num_train_epochs": 1.0, "warmup_steps": 1, "max_length": 256}
    return Asked(
        config=CompareConfig(held_out=str(held), seeds=2, arms=("random", "mixed_5_5"), **given),
        distilling=DistillConfig().with_settings({"model": EXTRACT, "budget": "8"}),
        student=with_settings(SftConfig, "cpu", few),
    )


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Path:
    file: Path = tmp_path_factory.mktemp("held") / "held.jsonl"
    rows = [{"instruction": f"Say {n}.", "input": "", "output": "word " * n} for n in range(1, 7)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_students_are_trained_once_judged_and_shown(tiny, held, local_task, tmp_path):
    pytest.importorskip("lm_eval")
    given = {"eval_tasks": ("sums",), "eval_folder": str(local_task)}
    found = compare(str(EXAMPLE), asked(tiny, held, **given), tmp_path / "out")
    assert set(found.students) == {
        Arm(matched, name) for matched in ("tokens", "rows") for name in ("random", "mixed_5_5")
    }
    for students in found.students.values():
        assert len(students) == 2
        assert all(len(one.losses) == len(found.lengths) == 6 for one in students)
    assert all(len(one["sums"].values) == 6 for by_seed in found.scores.values() for one in by_seed)
    by_tokens = [found.students[Arm("tokens", name)][0].tokens for name in ("random", "mixed_5_5")]
    assert by_tokens[0] == pytest.approx(by_tokens[1], rel=0.35)  # at least a step, of 4 rows
    told = as_json(found)
    assert "difference" in told["verdict"] or "student than" in told["verdict"]
    assert {arm["scores"]["sums"]["of"] for arm in told["arms"]} == {6}
    assert "## Equal tokens" in markdown(found, "a title")
    assert plot(found) == plot(found)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("student.json")}
    again = compare(str(EXAMPLE), asked(tiny, held, **given), tmp_path / "out")
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("student.json")}
    assert as_json(again)["arms"] == told["arms"]
    with pytest.raises(OutputError, match="was made of"):
        compare("other.jsonl", asked(tiny, held), tmp_path / "out")


@pytest.mark.slow
def test_losses_are_those_of_each_sample_alone(tiny):
    config = with_settings(SftConfig, "cpu", {"base": str(tiny)})
    rows = [Encoded([1, 2, 3], [4] * n) for n in range(1, BATCH + 3)]
    together = answer_losses(str(tiny), None, rows, config)
    alone = [answer_losses(str(tiny), None, [row], config)[0] for row in rows[:3]]
    assert together[:3] == pytest.approx(alone, abs=1e-3)


@pytest.mark.slow
def test_a_task_that_the_harness_does_not_know_is_refused_in_one_line(tiny, tmp_path):
    pytest.importorskip("lm_eval")
    with pytest.raises(DataError, match="lm-eval no_such_task: cannot be run"):
        harness(str(tiny), tmp_path, ["no_such_task"], tmp_path)


@pytest.mark.slow
def test_the_notebook_compares_a_small_pool(tiny, held, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    given = f"""
SOURCE, BUDGET, ARMS, SEEDS = {str(EXAMPLE)!r}, "8", "random,mixed_5_5", 1
STUDENT = "--preset cpu --base {tiny} --num-train-epochs 1 --warmup-steps 1"
JUDGED, DISTILL = "--held-out {held}", {{"model": "{EXTRACT}"}}
"""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.source = "" if "install" in tags else given if "parameters" in tags else cell.source
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    shown = notebook.cells[-1].outputs[0]["data"]["text/plain"]
    assert "'random'" in shown
    assert "'mixed_5_5'" in shown
