"""`minimix evaluate`: what its figures are, by values a reader can check."""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from minimix.cli import cli
from minimix.config import DistillConfig
from minimix.embed import Embedder
from minimix.engines import open_engine
from minimix.engines.sampling import Sampling
from minimix.errors import ConfigError, DataError, ModelError
from minimix.evaluate import (
    FIRST,
    evaluate,
    evaluate_file,
    held_out,
    remembering,
    vectors_file,
    write_files,
)
from minimix.evaluate.answers import Written, memory_file, tasks_together, write
from minimix.evaluate.baselines import BASELINES, answer, best_source, concatenation, extractive
from minimix.evaluate.scores import Judges, Scores, choose, score
from minimix.evaluate.statistics import difference, mean, share
from minimix.evaluate.table import LABELS, SHARES, groups, plain, table
from minimix.mixture.tasks import Example, write_examples
from minimix.records import Answer, Engine, Kind, Messages, Reward, Sample, Task, Vectors
from minimix.reward import total
from tests.fakes import by_words, embed, engine

PARTS = (
    "Q: Who were the Sumerians?\nA: The Sumerians lived in Iraq.",
    "Q: what did the sumerians make\nA: They invented writing around 3200 BC.",
)
WHOLE = "The Sumerians lived in Iraq and invented writing around 3200 BC."
SUMER = Example(Task("qa", PARTS, f"Q: Who were the Sumerians?\nA: {WHOLE}"), "variants", ())
FALSE = Example(
    Task(
        "tfq",
        ("The moon is larger than the earth.\nAnswer: False.", "the moon is smaller"),
        "The moon is larger than the earth.\nAnswer: False. The moon is smaller than the earth.",
    ),
    "variants",
    (),
)


def rated(value: float) -> Judges:
    """Judges of whom the raters say the same of all."""

    def rate(samples: Sequence[Sample]) -> Vectors:
        return np.full(len(samples), value, dtype=np.float32)

    return Judges(embed=embed, rate=rate, rate_as_paper=rate)


def tagged(response: str) -> str:
    return f"<answer>Q: Who were the Sumerians?\nA: {response}</answer>"


def scored(text: str, example: Example = SUMER, finish: str = "stop", rating: float = 3) -> Scores:
    one = Answer(0, 0, text, "length" if finish == "length" else "stop")
    return score([example], [one], judges=rated(rating))[0]


def test_eight_of_ten_lie_between_a_half_and_nineteen_in_twenty():
    eight = share([True] * 8 + [False] * 2)
    assert (eight.value, eight.of) == (0.8, 10)
    assert (eight.low, eight.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_none_of_ten_may_still_be_a_quarter_and_all_of_ten_three_quarters():
    none, every = share([False] * 10), share([True] * 10)
    assert (none.low, none.high) == pytest.approx((0, 0.2775), abs=1e-4)
    assert (every.low, every.high) == pytest.approx((0.7225, 1), abs=1e-4)


def test_a_mean_of_like_values_is_certain_and_one_of_coins_is_not():
    same = mean([0.25] * 7, seed=1)
    assert (same.low, same.value, same.high) == (0.25, 0.25, 0.25)
    coins = mean([0.0, 1.0] * 50, seed=1)
    half = 1.96 * 0.5 / np.sqrt(100)
    assert (coins.low, coins.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.011)
    assert coins == mean([0.0, 1.0] * 50, seed=1)


def test_a_gain_that_each_task_shows_is_certain_though_the_tasks_differ_widely():
    theirs = [0.0, 0.5, 0.1, 0.9, 0.3]
    gain = difference([one + 0.05 for one in theirs], theirs, seed=0)
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.05, 0.05, 0.05))
    assert mean(theirs, seed=0).high - mean(theirs, seed=0).low > 0.3


def test_figures_of_nothing_or_of_other_tasks_are_refused():
    with pytest.raises(DataError, match="at least one task"):
        share([])
    with pytest.raises(DataError, match="found 2 and 1"):
        difference([1.0, 2.0], [1.0], seed=0)


@pytest.mark.parametrize(
    ("kind", "reward", "worth"),
    [
        ("qa", Reward(0.3, 1.0, 0.5), 0.5 * 0.3 + 0.4 * 1 + 0.1 * 0.5),
        ("cs", Reward(1.0, 0.0, 1.0), 0.6),
        ("mcq", Reward(1.0, 0.0, 0.5), 0.9),
        ("tfq", Reward(0.0, 1.0, 1.0), 0.2),
        ("qa", Reward(1.0, None, 0.4), (0.5 * 1 + 0.1 * 0.4) / 0.6),
        ("para", Reward(0.5, None, 1.0), 0.6),
    ],
)
def test_the_reward_weighs_its_parts_by_kind(kind: Kind, reward, worth):
    assert total(reward, kind) == pytest.approx(worth)


def test_the_baselines_answer_without_a_model():
    assert best_source(SUMER) == PARTS[0]  # 2 x 5 / (5 + 11) against 2 x 5 / (6 + 11)
    assert concatenation(SUMER) == (
        "Q: Who were the Sumerians?\n"
        "A: The Sumerians lived in Iraq. They invented writing around 3200 BC."
    )
    assert extractive(SUMER) == (
        "Q: what did the sumerians make\n"
        "A: They invented writing around 3200 BC. The Sumerians lived in Iraq."
    )
    assert concatenation(FALSE) == "\n".join(FALSE.task.parts)


def test_the_reference_as_an_answer_is_perfect():
    one = scored(answer(SUMER, SUMER.reference).text, rating=5)
    assert (one.formed, one.format, one.aligned, one.quality, one.reward) == (True, 1, True, 1, 1)
    assert (one.rouge_l, one.kept, one.unsupported, one.length_ratio) == (1, 1, 0, 1)
    assert (one.strange, one.loops, one.harmful) == (False, False, False)


def test_a_reference_is_told_in_the_tags_that_are_asked_for():
    thinking = replace(SUMER, task=replace(SUMER.task, think=True), thought="They agree.")
    assert answer(thinking, "Q: a\nA: b").text == (
        "<think>They agree.</think>\n<answer>Q: a\nA: b</answer>"
    )
    assert not scored(tagged(WHOLE), thinking).formed


def test_half_of_the_reference_has_half_the_length_and_two_thirds_of_the_words():
    one = scored(tagged("The Sumerians lived in Iraq"))
    assert one.length_ratio == 5 / 11
    assert one.rouge_l == pytest.approx(2 * 5 / (5 + 11))
    assert one.kept < 1
    assert one.harmful


def test_a_name_without_a_source_is_strange_and_weighs():
    one = scored(tagged(WHOLE.replace("Iraq", "Iraq, Kurdistan,")))
    assert one.strange
    assert one.unsupported is not None
    assert 0 < one.unsupported < 0.3


def test_what_has_no_tags_loses_half_the_format():
    one = scored("Q: Who?\nA: They lived in Iraq.")
    assert (one.formed, one.format) == (False, 0.5)


def test_an_empty_answer_is_worth_nothing_however_it_would_be_rated():
    one = scored("", rating=5)
    assert (one.rating, one.quality, one.cosine, one.rouge_l, one.kept, one.length_ratio) == (
        (0,) * 6
    )


def test_what_repeats_itself_or_is_cut_loops():
    assert scored(tagged("They lived in Iraq. " * 6)).loops
    assert scored(tagged(WHOLE), finish="length").loops
    assert not scored(tagged(WHOLE)).loops


def test_an_answer_that_never_closes_its_tag_or_is_none_counts_as_one_that_loops():
    assert scored(tagged(WHOLE).removesuffix("</answer>")).loops
    assert scored("<answer></answer>").loops
    failed = Answer(0, 0, "", "failed", "no route to host")
    (one,) = score([SUMER], [failed], judges=rated(3))
    assert one.loops


def test_a_task_without_an_answer_has_no_share_without_a_source():
    judges = rated(3)
    texts = (tagged(WHOLE), "", tagged(WHOLE))
    answers = [Answer(n, 0, text, "stop") for n, text in enumerate(texts)]
    found = score([SUMER] * 3, answers, judges=judges)
    assert [one.unsupported for one in found] == [0, None, 0]
    figures = table({"m": found}, {"all": [0, 1, 2], "none": [1]}, seed=0)["m"]
    assert (figures["all"]["unsupported"].of, figures["all"]["kept"].of) == (2, 3)
    assert plain({"m": figures})["m"]["none"]["unsupported"] == {
        "value": None, "low": None, "high": None, "of": 0,
    }  # fmt: skip


def test_saying_again_what_the_reference_says_again_is_no_loop():
    text = "The cat sat on the red mat. Answer: True. The cat sat on the red mat."
    again = replace(FALSE, task=Task("tfq", ("The cat sat.",), text.replace(". A", ".\nA")))
    assert not scored(f"<answer>{again.reference}</answer>", again).loops


def test_the_rating_of_distill_and_the_papers_are_told_apart():
    judges = replace(rated(4.0), rate_as_paper=rated(1.0).rate)
    one = Answer(0, 0, tagged(WHOLE), "stop")
    (found,) = score([SUMER], [one], judges=judges)
    assert (found.rating, found.quality) == (4, 0)
    assert (found.reward, found.reward_rated) == pytest.approx((0.5, 1.0))


def test_a_kind_that_the_rater_does_not_know_is_an_error_and_no_zero():
    with pytest.raises(DataError, match="no rating for a sample of kind qa"):
        scored(tagged(WHOLE), rating=float("nan"))


def candidates(*responses: str) -> list[Answer]:
    return [Answer(0, n, tagged(response), "stop") for n, response in enumerate(responses)]


def test_the_candidate_that_keeps_most_is_chosen_and_of_twins_the_first():
    short = "The Sumerians lived in Iraq."
    assert choose(SUMER, candidates(short, WHOLE, WHOLE), rate=by_words) == 1


def test_one_that_does_no_harm_goes_before_one_that_does():
    wrong = WHOLE.replace("3200", "2300")
    assert choose(SUMER, candidates(wrong, "The Sumerians invented writing in Iraq around 3200 BC"),
                  rate=by_words) == 1  # fmt: skip
    assert choose(SUMER, candidates(wrong), rate=by_words) == 0


def test_groups_are_all_the_kinds_and_within_one_the_ways_of_making():
    other = replace(SUMER, made="self_instruct")
    assert groups([SUMER, FALSE, other]) == {
        "all": [0, 1, 2],
        "qa": [0, 2],
        "qa: variants": [0],
        "qa: self_instruct": [2],
        "tfq": [1],
    }


def test_every_figure_has_a_label_and_flags_are_shares():
    flags = {name for name, hint in Scores.__annotations__.items() if hint is bool}
    assert set(LABELS) == set(Scores.__annotations__)
    assert flags == SHARES


def test_texts_are_embedded_once(tmp_path):
    asked: list[str] = []

    def counting(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return embed(texts)

    recall = remembering(counting, tmp_path / "vectors.npz")
    assert recall(["a", "b", "a"]).tolist() == embed(["a", "b", "a"]).tolist()
    assert recall(["b", "c"]).shape[0] == 2
    assert asked == ["a", "b", "c"]
    again = remembering(counting, tmp_path / "vectors.npz")
    assert again(["c", "d"]).tolist() == embed(["c", "d"]).tolist()
    assert asked == ["a", "b", "c", "d"]


def test_another_embedder_has_vectors_of_its_own(tmp_path):
    names = (("small", "a"), ("large", "a"), ("small", "b"), ("models/small", "a"))
    files = {vectors_file(Embedder(embed, name, sha), tmp_path) for name, sha in names}
    assert len(files) == 4
    assert {file.parent for file in files} == {tmp_path}
    assert vectors_file(Embedder(embed, "small", "a"), tmp_path).name.startswith("vectors-small-")


TASKS = [replace(SUMER.task, parts=(f"{PARTS[0]} {n}.", PARTS[1])) for n in range(5)]


def test_tasks_are_written_in_cohorts_and_only_once(tmp_path):
    calls: list[int] = []
    memory = tmp_path / "deep" / "answers.jsonl"
    first = write(TASKS, engine(calls=calls), memory=memory, cohort=2)
    assert calls == [2, 2, 1]
    assert [len(own) for own in first.answers] == [1] * 5
    assert "Iraq. 4." in first.answers[4][0].text
    again = write(TASKS, engine(calls=calls), memory=memory, cohort=2)
    assert (calls, again) == ([2, 2, 1], first)


def test_more_tasks_are_written_together_where_each_has_one_answer():
    assert [tasks_together(candidates) for candidates in (1, 2, 3, 5)] == [48, 24, 16, 16]


def test_a_line_that_a_crash_cut_short_is_written_anew(tmp_path):
    calls: list[int] = []
    memory = tmp_path / "answers.jsonl"
    whole = write(TASKS, engine(), memory=memory, cohort=2)
    memory.write_bytes(memory.read_bytes()[:-20])
    for _ in range(2):
        again = write(TASKS, engine(calls=calls), memory=memory, cohort=2)
        assert (again.answers, calls) == (whole.answers, [1])


def test_tokens_are_those_that_an_answer_adds_to_its_chat():
    def count(chat: Messages) -> int:
        return sum(len(message["content"].split()) for message in chat)

    counting = replace(engine(lambda _: "one two three"), count=count)
    assert write(TASKS, counting).tokens == 15
    assert write(TASKS, engine()).tokens is None


def test_an_engine_that_fails_throughout_is_an_error_and_one_lost_answer_an_empty_one():
    def fail(chats: Sequence[Messages]) -> Iterator[Answer]:
        for task, _ in enumerate(chats):
            yield Answer(task, 0, "", "failed", "no route to host")

    def skip(_: Sequence[Messages]) -> Iterator[Answer]:
        yield Answer(1, 0, tagged(WHOLE), "stop")

    with pytest.raises(ModelError, match="no route to host"):
        write(TASKS, Engine(fail, name="down", sha256=None))
    lost = write(TASKS[:2], Engine(skip, name="half", sha256=None))
    assert (lost.unwritten, lost.answers[0][0].finish) == (1, "failed")


def test_answers_are_kept_apart_by_all_that_they_follow_from():
    made = Engine(engine().generate, name="m", sha256="a", settings={"adapter_sha256": "b"})
    config = DistillConfig()
    files = {
        memory_file(made, config=config),
        memory_file(made, config=config.with_settings({"seed": 1})),
        memory_file(made, config=config.with_settings({"candidates": 1})),
        memory_file(made, config=config.with_settings({"temperature": 1.0})),
        memory_file(made, config=config, greedy_first=False),
        memory_file(replace(made, sha256="c"), config=config),
        memory_file(replace(made, settings={"adapter_sha256": "d"}), config=config),
    }
    assert len(files) == 7
    assert memory_file(replace(made, name="moved"), config=config) in files
    assert memory_file(replace(made, sha256=None), config=config) is None


def test_the_first_candidate_is_greedy_unless_all_are_drawn():
    assert [Sampling(2, 0.7, 0.9, 0).is_greedy(n) for n in (0, 1)] == [True, False]
    assert not Sampling(2, 0.7, 0.9, 0, greedy_first=False).is_greedy(0)
    assert Sampling(2, 0.0, 0.9, 0, greedy_first=False).is_greedy(0)


@pytest.mark.parametrize(
    ("top_p", "steps"),
    [(0.95, ["top-k", "top-p", "temp", "dist"]), (1.0, ["temp", "dist"])],
)
def test_a_draw_with_top_p_1_is_cut_at_no_token(top_p, steps):
    c = pytest.importorskip("llama_cpp")
    chain = Sampling(2, 0.7, top_p, 0)._chain(c, b"prompt", 1)
    parts = [c.llama_sampler_chain_get(chain, n) for n in range(c.llama_sampler_chain_n(chain))]
    names = [c.llama_sampler_name(part).decode() for part in parts]
    c.llama_sampler_free(chain)
    assert names == steps


def test_so_many_of_a_kind_are_taken_from_all_over_the_file(tmp_path):
    made = [replace(SUMER, made=str(n)) for n in range(10)]
    write_examples(tmp_path / "held_out.jsonl", [*made, FALSE])
    path, few = held_out(tmp_path, 4)
    assert path == tmp_path / "held_out.jsonl"
    assert [one.made for one in few] == ["0", "2", "5", "7", "variants"]
    assert held_out(path)[1][:10] == tuple(made)


def test_a_folder_without_tasks_and_an_output_of_another_name_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected held_out\.jsonl"):
        held_out(tmp_path)
    with pytest.raises(ConfigError, match=r"ends with \.json"):
        evaluate_file(tmp_path, DistillConfig(), output=tmp_path / "out.txt")


def written(*texts: str) -> Written:
    own = tuple(Answer(0, n, text, "stop") for n, text in enumerate(texts))
    return Written(answers=(own,), seconds=2.0, cpu_seconds=4.0, tokens=8)


def test_an_engine_stands_beside_its_first_candidate_and_the_baselines(tmp_path):
    path = tmp_path / "held_out.jsonl"
    write_examples(path, [SUMER])
    settings = {"candidates": 2, "seed": 0}
    found = evaluate(
        [SUMER], written("nonsense", tagged(WHOLE)), judges=rated(3), name="m", settings=settings
    )
    assert list(found.found) == ["best of 2 candidates", FIRST, *BASELINES]
    best, first = (found.found[name]["all"] for name in ("best of 2 candidates", FIRST))
    assert (best["rouge_l"].value, first["formed"].value) == (1, 0)
    gain = found.compared["concatenation"]["qa"]["rouge_l"]
    assert gain.value == pytest.approx(1 - 2 * 10 / (11 + 11))
    write_files(found, tmp_path / "e.json", tasks=path)
    facts = json.loads((tmp_path / "e.json").read_text())
    assert (facts["tokens_per_second"], facts["tokens_per_cpu_second"]) == (4, 2)
    assert facts["systems"]["best of 2 candidates"]["qa"]["formed"] == {
        "value": 1, "low": 0.2065, "high": 1, "of": 1,
    }  # fmt: skip
    told = (tmp_path / "e.md").read_text()
    assert "| ROUGE-L | 1.000 (1.000 to 1.000) |" in told
    assert "minus concatenation: ROUGE-L +0.091 (+0.091 to +0.091)" in told


@pytest.fixture
def distiller(monkeypatch):
    """Return the benchmark of the distiller, which is a script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("distiller")


def test_a_bar_that_was_not_measured_does_not_hold(distiller):
    bars = distiller.unmeasured()
    assert set(bars) == {f"gain in {part}" for part in ("reward", "quality", "aligned", "format")}
    assert {(bar["figure"], bar["holds"]) for bar in bars.values()} == {("not measured", False)}
    assert json.loads(json.dumps(bars, allow_nan=False)) == bars


def test_figures_with_a_bar_are_also_told_of_all_tasks(distiller):
    examples = [replace(SUMER, made=made) for made in (distiller.FROZEN, distiller.PREDICTED)]
    good, bad = (Answer(0, 0, text, "stop") for text in (tagged(WHOLE), ""))
    own = score(examples, [good, bad], judges=rated(3))
    names = (distiller.best_of("m"), distiller.greedy("m"), *BASELINES)
    bars = distiller.checks(dict.fromkeys(names, own), examples, "m", "", 0)
    told = {name: (bars[name]["figure"], bars[name]["of"]) for name in bars}
    assert (told["kept"], told["kept over all tasks"]) == ((1, 1), (0.5, 2))
    assert (told["loops"], told["loops over all tasks"]) == ((0, 1), (0.5, 2))
    assert told["unsupported over all tasks"] == (0, 1)


def test_an_adapter_without_a_name_is_refused_in_one_line(distiller):
    with pytest.raises(SystemExit, match=r"expected NAME=ADAPTER\.gguf, found 'sft\.gguf'"):
        distiller.named(["sft.gguf"])


@pytest.mark.slow
def test_the_command_scores_the_baseline_without_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_examples(tmp_path / "held_out.jsonl", [SUMER, FALSE])
    words = ["evaluate", ".", "--model", "extract", "--candidates", "1"]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0
    facts = json.loads(Path("evaluation.json").read_text())
    assert facts["engine"] == "extract (extractive baseline, no model)"
    ours, theirs = (facts["systems"][name]["all"] for name in (facts["engine"], "extractive"))
    assert ours["kept"] == theirs["kept"]
    assert "written evaluation.json and evaluation.md" in result.stdout
    assert "all      qa     tfq" in result.stdout


@pytest.mark.slow
def test_a_sampled_first_candidate_differs_from_the_greedy_one():
    config = DistillConfig().with_settings({"threads": 1, "temperature": 1.5, "max_new_tokens": 32})
    drawn, greedy = (
        write(
            [SUMER.task],
            open_engine(config.engine, candidates=1, seed=3, greedy_first=greedy_first),
        )
        for greedy_first in (False, True)
    )
    assert drawn.answers[0][0].text != greedy.answers[0][0].text
    assert greedy.tokens is not None
