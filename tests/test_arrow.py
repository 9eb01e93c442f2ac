"""The arrow with models that are plain functions: what comes out, and that nothing is lost."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimix.distill import account
from minimix.errors import AccountingError, DataError, ModelError
from minimix.files import stem
from minimix.records import Answer, Dropped, Entry, Place, Rater
from tests.fakes import CONFIG, TOPICS, engine, models, near_rows, pool, run, sample


def test_low_rows_are_fused_and_traced(tmp_path):
    result = run(tmp_path, near_rows())
    fused = [entry for entry in result.entries if entry.origin == "fusion"]
    assert result.counts["fusions"] == len(fused) >= 2
    for entry in fused:
        assert 2 <= len(entry.sample.sources) <= 5
        assert entry.fusion is not None
        assert entry.fusion.audit.lost == ()


def test_a_fusion_of_another_kind_keeps_the_whole_form(tmp_path):
    rows = [
        replace(sample("State a fact.", f"C: Mars\nS: {said}.", line), kind="cs")
        for line, said in enumerate(("Mars is red with iron dust", "Mars has two moons there"), 1)
    ]
    fused = "C: Mars\nS: Mars is red with iron dust. Mars has two moons there."
    result = run(tmp_path, rows, use=models(write=lambda _parts: f"<answer>{fused}</answer>"))
    (entry,) = [one for one in result.entries if one.origin == "fusion"]
    assert (entry.sample.instruction, entry.sample.response) == ("State a fact.", fused)
    assert entry.sample.kind == "cs"


def test_high_rows_stay_as_they_are(tmp_path):
    high = replace(sample("Why?", "Because it is so.", 99), rating=4.5)
    result = run(tmp_path, [*near_rows(), high])
    assert high in [entry.sample for entry in result.entries if entry.origin == "original"]


def test_the_budget_is_kept(tmp_path):
    result = run(tmp_path, near_rows(12), replace(CONFIG, budget="2"))
    assert len(result.entries) == 2


def test_writing_stops_when_enough_fusions_are_accepted(tmp_path):
    calls: list[int] = []
    config = replace(CONFIG, budget="1", cohort=1)
    result = run(tmp_path, near_rows(12), config, models(calls=calls))
    assert sum(calls) == 1
    reasons = {drop.reason for drop in result.dropped if drop.stage == "plan"}
    assert reasons == {"its cluster was not written: enough fusions were accepted"}


def test_a_model_that_answers_rubbish_gives_no_fusion_and_loses_no_row(tmp_path):
    result = run(tmp_path, near_rows(), use=models(write=lambda _parts: "blah blah"))
    assert result.counts["fusions"] == 0
    assert result.counts["best_sources"] == 3
    assert result.notes[0] == "fusions: 4 wanted, 0 good enough"
    assert {drop.reason for drop in result.dropped if drop.stage == "judge"} == {
        "no question and answer in it"
    }


def test_a_fusion_not_rated_above_its_best_source_is_refused(tmp_path):
    flat = replace(models(), rater=Rater(lambda samples: np.zeros(len(samples), "f4"), "flat"))
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
    assert result.counts["best_sources"] == 3
    assert Counter(drop.reason for drop in result.dropped if drop.stage == "write") == {
        "9,000 tokens": 6
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
