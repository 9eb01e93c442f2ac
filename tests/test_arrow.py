"""The arrow with models that are plain functions: what comes out, and that nothing is lost."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimix.config import DistillConfig
from minimix.distill import Distilled, account, distill
from minimix.errors import AccountingError, DataError, ModelError, OutputError
from minimix.files import stem
from minimix.formats import write_row
from minimix.journal import Journal, open_journal
from minimix.pool import Pool
from minimix.records import Answer, Dropped, Entry, Models, Place, Sample
from tests.fakes import engine, models, sample

TOPICS = ("the moon is far", "bread needs yeast", "dogs like walks")
CONFIG = DistillConfig(budget="4", min_similarity=0.5, cohort=2)


def pool(*samples: Sample) -> Pool:
    return Pool(samples=samples, dropped=(), records=len(samples), shapes={"alpaca": len(samples)})


def near_rows(count: int = 9) -> list[Sample]:
    """Rows on three topics, each of which says one thing of its own."""
    words = "crater tides gravity flour oven crust leash park bone basalt rocket orbit".split()
    return [
        sample(
            f"Tell me about {TOPICS[n % 3]}",
            f"Think of {words[n % len(words)]} number {n}.",
            n + 1,
        )
        for n in range(count)
    ]


def run(tmp_path, samples, config=CONFIG, use: Models | None = None) -> Distilled:
    with open_journal(tmp_path / "out", restart=False) as journal:
        journal.begin({"settings": config.flat()})
        return distill(pool(*samples), config=config, models=use or models(), journal=journal)


def test_low_rows_are_fused_and_traced(tmp_path):
    result = run(tmp_path, near_rows())
    fused = [entry for entry in result.entries if entry.origin == "fusion"]
    assert result.counts["fusions"] == len(fused) >= 2
    for entry in fused:
        assert 2 <= len(entry.sample.sources) <= 5
        assert entry.fusion is not None
        assert entry.fusion.audit.lost == ()


def test_high_rows_stay_as_they_are(tmp_path):
    high = replace(sample("Why?", "Because it is so.", 99), rating=4.5)
    result = run(tmp_path, [*near_rows(), high])
    assert high in [entry.sample for entry in result.entries if entry.origin == "original"]


def test_the_budget_is_kept(tmp_path):
    result = run(tmp_path, near_rows(12), replace(CONFIG, budget="2"))
    assert len(result.entries) == 2


def test_writing_stops_when_enough_fusions_are_accepted(tmp_path):
    calls: list[int] = []
    config = replace(CONFIG, budget="2", cohort=1)
    result = run(tmp_path, near_rows(12), config, models(calls=calls))
    assert sum(calls) == 1
    reasons = {drop.reason for drop in result.dropped if drop.stage == "plan"}
    assert reasons == {"its cluster was not written: enough fusions were accepted"}


def test_a_model_that_answers_rubbish_gives_no_fusion_and_loses_no_row(tmp_path):
    result = run(tmp_path, near_rows(), use=models(write=lambda _parts: "blah blah"))
    assert result.counts["fusions"] == 0
    assert result.counts["best_sources"] == 3
    assert result.notes[0] == "2 fusions were wanted, 0 were good enough"
    assert {drop.reason for drop in result.dropped if drop.stage == "judge"} == {
        "no question and answer in it"
    }


def test_a_fusion_not_rated_above_its_best_source_is_refused(tmp_path):
    flat = replace(models(), rate=lambda samples, _e: np.zeros(len(samples), dtype=np.float32))
    result = run(tmp_path, near_rows(), use=flat)
    assert result.counts["fusions"] == 0
    reasons = {drop.reason for drop in result.dropped if drop.stage == "judge"}
    assert reasons == {"rated 0.00, its best source 0.00"}


def test_answers_that_failed_are_no_drafts(tmp_path):
    def generate(chats):
        yield from (Answer(n, 0, "", "failed", "timed out") for n, _ in enumerate(chats))

    broken = replace(models(), engine=replace(engine(), generate=generate))
    with pytest.raises(ModelError, match="a whole cohort got no answer \\(timed out\\)"):
        run(tmp_path, near_rows(), use=broken)


def test_a_prompt_that_does_not_fit_is_a_counted_drop(tmp_path):
    def generate(chats):
        yield from (Answer(n, 0, "", "refused", "9,000 tokens") for n, _ in enumerate(chats))

    refusing = replace(models(), engine=replace(engine(), generate=generate))
    result = run(tmp_path, near_rows(), use=refusing)
    assert Counter(drop.reason for drop in result.dropped if drop.stage == "write") == {
        "9,000 tokens": 9
    }


def test_a_pool_without_samples_is_refused(tmp_path):
    with pytest.raises(DataError, match="no sample"):
        run(tmp_path, [])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(TOPICS), st.text("abc 12", max_size=40), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    budget=st.integers(1, 12),
    mix=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_every_sample_is_kept_fused_or_dropped(tmp_path_factory, rows, budget, mix):
    samples = [
        sample(topic, f"{topic} {text}.", line, rating=4.2 if high else None)
        for line, (topic, text, high) in enumerate(rows, 1)
    ]
    config = replace(CONFIG, budget=str(budget), mix=mix)
    result = run(tmp_path_factory.mktemp("run"), samples, config)
    counts = result.counts
    assert counts["kept"] + counts["fused"] + counts["dropped"] == len(samples)
    assert len(result.entries) == counts["final"] <= max(1, min(budget, len(samples)))


def test_a_sample_in_no_ledger_is_an_error():
    whole = pool(sample("a", "b", 1), sample("c", "d", 2))
    entries = [Entry(whole.samples[0], "original", 4.0, 0.0)]
    with pytest.raises(AccountingError, match="1 samples are in no ledger or in two, first f:2"):
        account(whole, entries, [])
    twice = [Dropped(sample.place, "copy", "") for sample in whole.samples]
    with pytest.raises(AccountingError, match="first f:1"):
        account(whole, entries, twice)


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


def test_a_changed_setting_is_named(tmp_path):
    run(tmp_path, near_rows())
    with pytest.raises(OutputError, match=r"seed: 42 before, 7 now.*--restart"):
        run(tmp_path, near_rows(), replace(CONFIG, seed=7))


def test_restart_begins_afresh(tmp_path):
    run(tmp_path, near_rows())
    with open_journal(tmp_path / "out", restart=True) as journal:
        assert (journal.finished, journal.run) == (0, {})


def test_two_runs_at_once_are_refused(tmp_path):
    with (
        open_journal(tmp_path / "out", restart=False),
        pytest.raises(OutputError, match="another run is at work there"),
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


def test_cached_vectors_are_the_fresh_ones(tmp_path):
    with open_journal(tmp_path / "out", restart=False) as journal:
        fresh = journal.embeddings(["a b", "c"], models().embed, "words")
        cached = Journal(tmp_path / "out").embeddings(["a b", "c"], lambda _t: fresh * 0, "words")
        other = Journal(tmp_path / "out").embeddings(["a b"], lambda _t: fresh[:1] * 0, "words")
    assert cached.tobytes() == fresh.tobytes()
    assert not other.any()


def test_ids_tell_samples_and_places_apart():
    one = sample("a", "b", 1)
    assert one.id != replace(one, response="c").id
    assert one.id != replace(one, sources=(Place("f", 2, 0, ""),)).id
    assert len(one.id) == 12


def test_the_output_is_named_after_the_input(tmp_path):
    named = ("data.jsonl", "data.json.gz", "-", "owner/name:test", str(tmp_path))
    assert [stem(name) for name in named] == [
        "data", "data", "stdin", "name-test", tmp_path.name,
    ]  # fmt: skip
