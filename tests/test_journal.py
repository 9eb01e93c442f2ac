"""What a run that was stopped goes on from, and what keeps two runs apart."""

import os
from dataclasses import replace

import pytest

from minimix.arrow import distill
from minimix.errors import ModelError, OutputError
from minimix.formats import write_row
from minimix.journal import open_journal
from tests.fakes import CONFIG, models, near_rows, pool, run


def test_a_second_start_takes_finished_cohorts_from_the_journal(tmp_path):
    first: list[int] = []
    second: list[int] = []
    whole = run(tmp_path, near_rows(), use=models(calls=first))
    again = run(tmp_path, near_rows(), use=models(calls=second))
    assert (len(first) > 0, second) == (True, [])
    assert [write_row(e.sample, "alpaca") for e in whole.entries] == [
        write_row(e.sample, "alpaca") for e in again.entries
    ]


def test_a_line_cut_short_by_a_crash_costs_its_cohort_only(tmp_path):
    run(tmp_path, near_rows())
    path = tmp_path / "out" / "journal" / "cohorts.jsonl"
    whole = path.read_bytes()
    assert whole.count(b"\n") == 2 or whole.count(b"\n") == 1
    path.write_bytes(whole[:-9])
    calls: list[int] = []
    run(tmp_path, near_rows(), use=models(calls=calls))
    assert len(calls) == 1
    assert path.read_bytes() == whole


ANSWER = '{"task": 0, "candidate": 0, "text": "a", "finish": "stop", "note": ""}'
COHORT = f'{{"cohort": 0, "key": "", "answers": [{ANSWER}]}}\n'
DEEP = "[" * 10_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "[1]"),
        ("run.json", "3"),
        ("run.json", DEEP),
        ("run.json", '{"settings": 3}'),
        ("run.json", '{"engine": [1]}'),
        ("run.json", "\xff"),
        ("cohorts.jsonl", DEEP + "\n"),
        ("cohorts.jsonl", '{"cohort": 1e999, "key": "", "answers": []}\n'),
        ("cohorts.jsonl", '{"cohort": 0, "key": "", "answers": 3}\n'),
        ("cohorts.jsonl", '{"cohort": 0, "key": "", "answers": [{"task": 0}]}\n'),
        ("cohorts.jsonl", COHORT.replace('"key": "", ', "")),
        ("cohorts.jsonl", COHORT.replace('"a"', "5")),
        ("cohorts.jsonl", COHORT.replace("stop", "x")),
    ],
)
def test_a_damaged_journal_says_so_in_one_line(tmp_path, name, text):
    with open_journal(tmp_path / "out", restart=False) as journal:
        journal.begin({"settings": {"seed": 42}})
    (tmp_path / "out" / "journal" / name).write_text(text, encoding="latin-1")
    with (
        pytest.raises(OutputError, match=r"damaged \(.*\); start afresh with --restart") as caught,
        open_journal(tmp_path / "out", restart=False),
    ):
        pass
    assert len(str(caught.value).splitlines()) == 1


def test_a_setting_of_several_lines_is_named_on_one(tmp_path):
    with open_journal(tmp_path / "out", restart=False) as journal:
        journal.begin({"settings": {"x\x1cy": "a\nb"}})
    with (
        pytest.raises(OutputError, match=r"settings.x y: a b before, None now") as caught,
        open_journal(tmp_path / "out", restart=False) as journal,
    ):
        journal.begin({"settings": {}})
    assert len(str(caught.value).splitlines()) == 1


def test_a_changed_setting_is_named(tmp_path):
    run(tmp_path, near_rows())
    with pytest.raises(OutputError, match=r"seed: 42 before, 7 now.*--restart"):
        run(tmp_path, near_rows(), replace(CONFIG, seed=7))


def test_a_resumed_run_knows_the_embedder_that_was_chosen(tmp_path):
    with open_journal(tmp_path / "out", restart=False) as journal:
        assert journal.embedder is None
        journal.begin({"settings": {"embedder": "static"}})
    with open_journal(tmp_path / "out", restart=False) as journal:
        assert journal.embedder == "static"
    with open_journal(tmp_path / "out", restart=True) as journal:
        assert journal.embedder is None


def test_restart_begins_afresh(tmp_path):
    run(tmp_path, near_rows())
    calls: list[int] = []
    with open_journal(tmp_path / "out", restart=True) as journal:
        journal.begin({"settings": CONFIG.flat()})
        use = models(calls=calls)
        distill(pool(*near_rows()), config=CONFIG, models=use, journal=journal)
    assert calls


def test_a_restart_that_is_refused_keeps_what_was_finished(tmp_path):
    run(tmp_path, near_rows())
    with pytest.raises(ModelError), open_journal(tmp_path / "out", restart=True):
        raise ModelError("no such model")
    calls: list[int] = []
    run(tmp_path, near_rows(), use=models(calls=calls))
    assert calls == []


def test_few_high_rows_leave_their_places_to_fusions(tmp_path):
    result = run(tmp_path, near_rows(), replace(CONFIG, budget="3", mix=0.1))
    assert result.counts["fusions"] == 3


def test_a_budget_of_one_is_worth_a_fusion(tmp_path):
    assert run(tmp_path, near_rows(), replace(CONFIG, budget="1")).counts["fusions"] == 1


def test_a_fusion_must_beat_what_the_data_say_of_its_sources(tmp_path):
    rated = [replace(one, rating=3.9) for one in near_rows()]
    assert run(tmp_path, rated).counts["fusions"] == 0


def test_two_runs_at_once_are_refused(tmp_path):
    with (
        open_journal(tmp_path / "out", restart=False),
        pytest.raises(OutputError, match=rf"is at work there \(process {os.getpid()}\)"),
        open_journal(tmp_path / "out", restart=False),
    ):
        pass


def test_a_run_refused_before_it_began_leaves_nothing_behind(tmp_path):
    with pytest.raises(ModelError), open_journal(tmp_path / "out", restart=False):
        raise ModelError("no such model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with (
        pytest.raises(OutputError, match="no output of minimix"),
        open_journal(tmp_path / "out", restart=True),
    ):
        pass
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_somebody_s_own_journal_folder_is_left_alone(tmp_path):
    mine = tmp_path / "out" / "journal" / "diary.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with (
        pytest.raises(OutputError, match="no output of minimix"),
        open_journal(tmp_path / "out", restart=True),
    ):
        pass
    assert mine.read_text() == "mine"


def test_a_restart_takes_away_its_own_files_only(tmp_path):
    run(tmp_path, near_rows())
    (tmp_path / "out" / "provenance.jsonl").touch()
    note = tmp_path / "out" / "journal" / "note.txt"
    note.write_text("mine")
    with open_journal(tmp_path / "out", restart=True) as journal:
        journal.begin({})
    assert note.read_text() == "mine"
    assert not (tmp_path / "out" / "journal" / "cohorts.jsonl").exists()
