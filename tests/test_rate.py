"""`minimix rate`: what it writes, what it says, and what becomes of samples without a rating."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from minimix.cli import cli
from minimix.columns import OURS
from minimix.config import DistillConfig
from minimix.errors import ConfigError, DataError, FormatError
from minimix.pool import read_pool
from minimix.rate import fit_file, rate_file
from minimix.records import Rater, Sample, Vectors
from tests.fakes import by_words, models, near_rows, run, sample

PLAIN = {"instruction": "Name a planet.", "output": "Mars is a planet.", "category": "space"}
CHAT = {
    "messages": [
        {"role": "user", "content": "Name a planet."},
        {"role": "assistant", "content": "Mars."},
        {"role": "user", "content": "Name some tree that grows in Europe."},
        {"role": "assistant", "content": "The oak is a tree with acorns."},
    ],
    "id": 7,
}


def write(path: Path, *rows: object) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rated_rows(count: int) -> list[dict[str, Any]]:
    """Alpaca rows whose stars, 1..10, follow how much they say."""
    return [
        {
            "instruction": "Describe it",
            "output": " ".join(["It", "is", *["very", "and"] * (n % 10), "good"]),
            "stars": 1 + n % 10,
        }
        for n in range(count)
    ]


def test_records_keep_their_fields_and_get_a_rating_for_each_exchange(tmp_path):
    source = write(tmp_path / "d.jsonl", PLAIN, CHAT)
    result = rate_file(source, DistillConfig(), output=tmp_path / "out.jsonl")
    plain, chat = written(result.output)
    assert {name: plain[name] for name in PLAIN} == PLAIN
    assert chat["id"] == 7
    assert [len(row[OURS]["ratings"]) for row in (plain, chat)] == [1, 2]
    assert all(0 <= rating <= 5 for rating in chat[OURS]["ratings"])
    assert plain[OURS]["rater"].startswith("learnt rater 2 (Dolly")


def test_a_pool_reads_the_ratings_that_rate_wrote(tmp_path):
    source = write(tmp_path / "d.jsonl", PLAIN, CHAT)
    result = rate_file(source, DistillConfig(), output=tmp_path / "out.jsonl")
    pool = read_pool(str(result.output))
    assert pool.rating_field == OURS
    read = [one.rating for one in pool.samples]
    assert read == pytest.approx(result.marks.ratings.tolist(), abs=1e-4)


def test_a_record_that_cannot_be_read_is_listed_and_the_others_are_rated(tmp_path):
    source = write(tmp_path / "d.jsonl", PLAIN, "{oh no", PLAIN)
    result = rate_file(source, DistillConfig(max_bad=0.5), output=tmp_path / "out.jsonl")
    assert len(written(result.output)) == 2
    (drop,) = written(tmp_path / "out.dropped.jsonl")
    assert (drop["line"], drop["stage"]) == (2, "read")


@pytest.mark.parametrize(
    "ours", [{"ratings": [1, 2]}, {"ratings": [6]}, {"ratings": ["3"]}, {"ratings": [True]}, 3, {}]
)
def test_ratings_of_ours_that_do_not_fit_the_record_are_refused(ours, tmp_path):
    source = write(tmp_path / "d.jsonl", {**PLAIN, OURS: ours})
    with pytest.raises(FormatError, match=OURS):
        read_pool(source)


def test_a_rating_of_ours_may_be_missing(tmp_path):
    source = write(tmp_path / "d.jsonl", {**PLAIN, OURS: {"ratings": [None]}})
    assert read_pool(source).samples[0].rating is None


def test_a_rater_fitted_to_ratings_of_a_user_rates_as_they_did(tmp_path):
    source = write(tmp_path / "d.jsonl", *rated_rows(150))
    config = DistillConfig(rating_field="stars", rating_range=(1, 10))
    stored, path = fit_file(source, config, output=tmp_path / "mine.npz")
    assert stored.about == "150 rows of d.jsonl, 'stars'"
    result = rate_file(source, replace(config, rater=str(path)), output=tmp_path / "out.jsonl")
    assert result.compared is not None
    agreement, noise = result.compared
    assert agreement.spearman is not None
    assert agreement.spearman > 0.95
    assert noise.beyond_chance is not None
    assert noise.beyond_chance > 0.3


def test_ratings_of_the_data_go_before_ours(tmp_path):
    theirs = {**PLAIN, "rating_detail": {"Overall_compressed": 4}, OURS: {"ratings": [1]}}
    pool = read_pool(write(tmp_path / "d.jsonl", theirs))
    assert [one.rating for one in pool.samples] == [4]


def test_a_rater_is_not_held_against_its_own_ratings(tmp_path):
    source = write(tmp_path / "d.jsonl", *rated_rows(40))
    first = rate_file(source, DistillConfig(), output=tmp_path / "one.jsonl")
    again = rate_file(str(first.output), DistillConfig(), output=tmp_path / "two.jsonl")
    assert again.compared is None


def test_an_output_is_neither_the_source_nor_of_another_form(tmp_path):
    source = write(tmp_path / "d.jsonl", *rated_rows(20))
    with pytest.raises(ConfigError, match="is what is read"):
        rate_file(source, DistillConfig(limit=3), output=tmp_path / "d.jsonl")
    with pytest.raises(ConfigError, match=r"ends with \.jsonl"):
        rate_file(source, DistillConfig(), output=tmp_path / "d.csv")
    assert len(written(tmp_path / "d.jsonl")) == 20


def test_a_kind_with_few_ratings_is_left_out_and_named(tmp_path):
    choice = "Q: Which?\nA) one\nB) two\nC) three\nD) four\nAnswer: A"
    few = [
        {"instruction": "Ask", "input": "", "output": choice, "task_type": "mcq", "stars": 3},
        {"instruction": "Ask", "input": "", "output": choice, "task_type": "mcq", "stars": 5},
    ]
    source = write(tmp_path / "d.jsonl", *rated_rows(120), *few)
    config = DistillConfig(rating_field="stars", rating_range=(1, 10))
    stored, _ = fit_file(source, config, output=tmp_path / "mine.npz")
    assert set(stored.models) == {"qa"}
    assert stored.about.endswith("without mcq (2 rows)")


def test_a_rater_that_knows_none_of_the_kinds_is_refused(tmp_path):
    nothing = Rater(lambda samples: np.full(len(samples), np.nan, dtype=np.float32), "none")
    with pytest.raises(DataError, match=r"rates none of these samples \(kinds: qa\)"):
        run(tmp_path, near_rows(), use=replace(models(), rater=nothing))


def test_fitting_needs_ratings_of_a_known_scale(tmp_path):
    source = write(tmp_path / "d.jsonl", *[{**PLAIN, "score": n % 3} for n in range(120)])
    with pytest.raises(DataError, match="'score' needs --rating-range"):
        fit_file(source, DistillConfig(), output=tmp_path / "mine.npz")
    with pytest.raises(DataError, match="expected learnt or knn-bayes to fit, found 'llm'"):
        fit_file(source, DistillConfig(rater="llm"), output=tmp_path / "mine.npz")
    assert not (tmp_path / "mine.npz").exists()


def test_the_command_says_what_it_found_and_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "d.jsonl", *rated_rows(40))
    found = CliRunner().invoke(cli, ["rate", "d.jsonl"])
    assert found.exit_code == 0, found.output
    assert "rated        40 samples of 40 records" in found.stdout
    assert "trust        qa: cross-validated on " in found.stdout
    assert "mcq:" not in found.stdout
    assert found.stdout.endswith("written      d.rated.jsonl\n")
    own = ["--rating-field", "stars", "--rating-range", "1", "10", "--rater", "knn-bayes"]
    found = CliRunner().invoke(cli, ["rate", "d.jsonl", *own])
    assert "data's own   'stars': rater and data on 40 samples: rank correlation" in found.stdout
    assert "beyond chance" in found.stdout


def test_the_command_fits_a_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "d.jsonl", *rated_rows(60))
    own = ["--rating-field", "stars", "--rating-range", "1", "10", "--rater", "knn-bayes"]
    found = CliRunner().invoke(cli, ["rate", "d.jsonl", "--fit", *own])
    assert found.exit_code == 0, found.output
    assert "fitted       kNN-Bayes rater to 60 rows of d.jsonl, 'stars'" in found.stdout
    assert (tmp_path / "d.rater.npz").exists()


def test_samples_that_the_rater_cannot_rate_are_dropped_unless_the_data_call_them_high(tmp_path):
    def knows_no_moon(samples: Sequence[Sample]) -> Vectors:
        ratings = by_words(samples)
        ratings[["moon" in one.text for one in samples]] = np.nan
        return ratings

    high = sample("What is the moon?", "The moon is a rock that goes round us.", 50, rating=4.5)
    own = sample("Whose moon is it?", "The moon is nobody's.", 51, rating=2.0)
    use = replace(models(), rater=Rater(knows_no_moon, "no moon"))
    result = run(tmp_path, [*near_rows(), high, own], use=use)
    unrated = [drop for drop in result.dropped if drop.stage == "rate"]
    assert {drop.place.line for drop in unrated} == {1, 4, 7, 51}
    assert {drop.reason for drop in unrated} == {"the rater gave it no rating"}
    assert result.counts["dropped_rate"] == 4
    assert [entry.sample.place.line for entry in result.entries if entry.origin == "original"] == [
        50
    ]


@pytest.mark.slow
def test_the_bundled_model_as_rater_gives_four_marks_or_says_why_not(tmp_path):
    source = write(tmp_path / "d.jsonl", PLAIN, *rated_rows(2))
    result = rate_file(source, DistillConfig(rater="llm"), output=tmp_path / "out.jsonl")
    assert "LLM rater" in result.rater.name
    for row in written(result.output):
        (more,), (rating,) = row[OURS]["more"], row[OURS]["ratings"]
        assert set(more) == {"rarity", "complexity", "informativeness", "overall"}
        assert rating == min(max(more["overall"], 4), 9) - 4


@pytest.mark.slow
def test_difficulty_is_written_beside_the_rating(tmp_path):
    told = {"instruction": "Repeat: mi mi mi mi mi mi", "output": "mi mi mi mi mi mi"}
    source = write(tmp_path / "d.jsonl", PLAIN, told)
    result = rate_file(source, DistillConfig(rater="difficulty"), output=tmp_path / "out.jsonl")
    hard, easy = (row[OURS]["more"][0]["difficulty"] for row in written(result.output))
    assert 0 < easy < hard
