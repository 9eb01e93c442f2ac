"""Training: what is seen of the tasks, what is refused, and that a run goes on where it was."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from minimix.cli import cli
from minimix.cli.train import _say
from minimix.embed import Embedder
from minimix.errors import ConfigError, DataError, ModelError, OutputError
from minimix.records import Draft, Sample, Task
from minimix.reward import grade, quality
from minimix.scoring import Judges, score
from minimix.train.batches import IGNORED, Groups, LikeLengths, dataset
from minimix.train.folder import begin, last_checkpoint
from minimix.train.inputs import embedder_hash, rater_hash
from minimix.train.rewards import Judging, check_kinds
from minimix.train.settings import PRESETS, GrpoConfig, SftConfig, TrainConfig, with_settings
from minimix.train.tokens import Encoded
from minimix.train.watch import WARNING, Log, runaway
from tests.fakes import by_words, embed

TASK = Task("qa", ("Q: How far is the moon?\nA: far", "Q: The moon?\nA: 384,400 km"), "Q: m\nA: km")
JUDGES = Judges(rate=by_words, embed=embed)


def rated(value: float):
    """Return a rater that gives everything one rating."""
    return lambda samples: np.full(len(samples), value, dtype=np.float32)


def started(folder: Path, config: TrainConfig, *, restart: bool = False, **inputs: str):
    """Return the checkpoint that a training would go on from, and leave its folder again."""
    with begin(folder, config, inputs, restart=restart) as last:
        return last


def checkpoint(folder: Path, step: int, *, whole: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if whole:
        (path / "trainer_state.json").write_text("{}")
    return path


# settings


@pytest.mark.parametrize("kind", [SftConfig, GrpoConfig])
def test_every_preset_is_a_configuration(kind):
    for preset in PRESETS[kind]:
        assert with_settings(kind, preset, {}).seed == 42


def test_what_is_given_wins_over_the_preset_and_the_preset_over_the_default():
    config = with_settings(SftConfig, "cpu", {"max_length": 100})
    assert (config.max_length, config.base, config.r) == (100, "bundled", 16)


def test_a_rate_that_yaml_reads_as_text_is_a_number():
    assert yaml.safe_load("rate: 4e-4") == {"rate": "4e-4"}
    assert with_settings(SftConfig, "cpu", {"learning_rate": "4e-4"}).learning_rate == 4e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rank": 8}, "rank: no such setting"),
        ({"r": 0}, "r: expected 1..1024, found 0"),
        ({"r": 2.5}, "r: expected int, found 2.5"),
        ({"r": True}, "r: expected int, found True"),
        ({"load_in_4bit": 1}, "load_in_4bit: expected true or false, found 1"),
        ({"learning_rate": float("nan")}, "learning_rate: expected 0..1, found nan"),
        ({"max_steps": 0}, "max_steps: expected 1 or more, or -1 for no limit, found 0"),
        ({"num_train_epochs": 0}, "num_train_epochs: expected 0.001..1000, found 0"),
        ({"backend": "jax"}, "backend: expected one of auto, plain, unsloth, found 'jax'"),
    ],
)
def test_a_wrong_setting_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        with_settings(SftConfig, "cpu", given)


def test_candidates_of_a_task_must_fill_whole_steps():
    with pytest.raises(ConfigError, match=r"multiple of num_generations \(4\), found 6"):
        GrpoConfig(per_device_train_batch_size=3, gradient_accumulation_steps=2)


@pytest.mark.parametrize("name", ["save_steps", "max_steps"])
def test_a_checkpoint_between_two_steps_of_one_batch_is_refused(name):
    with pytest.raises(ConfigError, match=rf"{name}: expected a multiple of num_iterations \(2\)"):
        with_settings(GrpoConfig, "24gb", {"save_steps": 10, "num_iterations": 2, name: 5})
    fitting = with_settings(GrpoConfig, "24gb", {"save_steps": 10, "num_iterations": 2, name: 6})
    assert getattr(fitting, name) == 6


def test_a_loss_that_unsloth_would_scale_otherwise_is_refused():
    with pytest.raises(ConfigError, match="scale_rewards: expected none"):
        GrpoConfig(loss_type="dr_grpo")
    assert GrpoConfig(loss_type="dr_grpo", scale_rewards="none").scale_rewards == "none"


# batches


def test_a_batch_holds_rows_of_one_padded_length_and_each_row_comes_once():
    order = list(LikeLengths([10, 70, 12, 75, 11, 71], batch=3, multiple=64, seed=0))
    assert {frozenset(order[:3]), frozenset(order[3:])} == {
        frozenset({0, 2, 4}),
        frozenset({1, 3, 5}),
    }


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = list(range(1, 101))
    sampler = LikeLengths(lengths, batch=4, multiple=8, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second
    assert first == list(LikeLengths(lengths, batch=4, multiple=8, seed=1))


def test_no_row_is_lost_where_the_last_batch_is_not_full():
    order = list(LikeLengths([5, 500, 6, 501, 7], batch=2, multiple=64, seed=3))
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_candidates_stand_together_and_a_batch_comes_once_for_each_pass():
    sampler = Groups(tasks=5, candidates=3, batch=2, repeats=2, seed=0)
    order = list(sampler)
    assert len(order) == len(sampler) == 24
    first, again, second, _ = (order[start : start + 6] for start in range(0, 24, 6))
    assert first == again == [first[0]] * 3 + [first[3]] * 3
    assert len({first[0], first[3], second[0], second[3]}) == 4


def test_a_resumed_epoch_has_the_order_that_it_would_have_had():
    given = {"tasks": 50, "candidates": 1, "batch": 2, "repeats": 1, "seed": 7}
    whole, resumed = Groups(**given), Groups(**given, epoch=1)
    first = list(whole)
    whole.set_epoch(1)
    assert list(whole) == list(resumed) != first
    assert sorted(first) == sorted(resumed) == list(range(50))


def test_only_the_answer_has_labels():
    assert dataset([Encoded([7, 8, 9], [4, 2])])[0] == {
        "input_ids": [7, 8, 9, 4, 2],
        "labels": [IGNORED, IGNORED, IGNORED, 4, 2],
    }


# the folder of a run


def test_a_run_goes_on_from_its_last_whole_checkpoint(tmp_path):
    assert started(tmp_path, SftConfig(), tasks="ab") is None
    checkpoint(tmp_path, 90)
    last = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 110, whole=False)
    assert last_checkpoint(tmp_path) == last
    assert started(tmp_path, SftConfig(max_steps=500, save_steps=5), tasks="ab") == last


@pytest.mark.parametrize(
    ("config", "hashed", "message"),
    [
        (SftConfig(r=8), "ab", "were made with r 16, found 8"),
        (SftConfig(), "cd", "were made with tasks 'ab', found 'cd'"),
    ],
)
def test_checkpoints_of_another_run_are_refused_until_they_are_given_up(
    tmp_path, config, hashed, message
):
    started(tmp_path, SftConfig(), tasks="ab")
    checkpoint(tmp_path, 100)
    with pytest.raises(ConfigError, match=message):
        started(tmp_path, config, tasks=hashed)
    assert started(tmp_path, config, restart=True, tasks=hashed) is None
    assert not list(tmp_path.glob("checkpoint-*"))
    assert json.loads((tmp_path / "settings.json").read_text())["r"] == config.r


def test_what_auto_stood_for_is_part_of_a_run_and_an_older_record_lacks_it(tmp_path):
    started(tmp_path, SftConfig(), tasks="ab")
    last = checkpoint(tmp_path, 100)
    assert started(tmp_path, SftConfig(), tasks="ab", used="plain") == last
    with pytest.raises(ConfigError, match="made with used 'plain', found 'unsloth'"):
        started(tmp_path, SftConfig(), tasks="ab", used="unsloth")


BUSY = r"out: another run is at work there \(process \d+\); wait for its end, or give another"


def test_two_trainings_in_one_folder_at_once_are_refused_and_one_after_the_other_not(tmp_path):
    out = tmp_path / "out"
    with begin(out, SftConfig(), {}, restart=False):
        last = checkpoint(out, 100)
        for restart in (False, True):
            with pytest.raises(OutputError, match=BUSY):
                started(out, SftConfig(), restart=restart)
    assert started(out, SftConfig()) == last


def test_a_training_that_is_refused_leaves_its_folder_free(tmp_path):
    started(tmp_path, SftConfig())
    last = checkpoint(tmp_path, 100)
    with pytest.raises(ConfigError):
        started(tmp_path, SftConfig(r=8))
    assert started(tmp_path, SftConfig()) == last


def test_a_killed_training_does_not_stop_the_next(tmp_path):
    code = """if True:
        import sys, time
        from pathlib import Path
        from minimix.train.folder import begin
        from minimix.train.settings import SftConfig
        with begin(Path(sys.argv[1]), SftConfig(), {}, restart=False):
            print("begun", flush=True)
            time.sleep(60)
    """
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(OutputError, match=rf"process {other.pid}\)"):
            started(out, SftConfig())
        os.kill(other.pid, signal.SIGKILL)
    assert other.returncode == -signal.SIGKILL
    assert started(out, SftConfig()) is None


def test_of_processes_launched_together_the_first_alone_holds_the_folder(tmp_path, monkeypatch):
    with begin(tmp_path, SftConfig(), {}, restart=False):
        last = checkpoint(tmp_path, 100)
        monkeypatch.setenv("RANK", "1")
        assert started(tmp_path, SftConfig()) == last


def test_a_rater_is_told_by_its_file(tmp_path):
    file = tmp_path / "rater.npz"
    file.write_bytes(b"one")
    first = rater_hash(str(file))
    file.write_bytes(b"two")
    assert first.keys() == rater_hash(str(file)).keys() == {"rater file"}
    assert first != rater_hash(str(file))
    assert rater_hash("knn-bayes").keys() == {"rater file"}
    assert rater_hash(str(tmp_path / "none")) == {}


def test_an_embedder_is_told_by_its_weights_where_they_lie_here():
    assert embedder_hash(Embedder(embed, "words", "ab")) == {"embedder weights": "ab"}
    assert embedder_hash(Embedder(embed, "owner/name", "")) == {}


# what is watched


def test_a_resumed_log_forgets_the_steps_that_are_made_again(tmp_path):
    log = Log(tmp_path, ("loss", "eval_loss", "tokens"))
    for step in (10, 20, 30):
        log.add(step, {"loss": step / 10, "tokens": 100 * step})
    log.add(30, {"eval_loss": 7})
    assert log.rows[-1] | {"seconds": 0} == {
        "step": 30, "loss": 3, "eval_loss": 7, "tokens": 3000, "seconds": 0
    }  # fmt: skip
    again = Log(tmp_path, ("loss", "eval_loss", "tokens"), done=20)
    again.add(30, {"loss": 2.5, "tokens": 1000})
    assert [row["loss"] for row in again.rows] == [1, 2, 2.5]
    assert again.rows[-1]["tokens"] == 3000
    assert again.last("eval_loss") is None
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "step,loss,eval_loss,tokens,seconds"
    assert lines[2].startswith("20,2,,2000,")


def test_the_plot_is_an_image(tmp_path):
    log = Log(tmp_path, ("loss",))
    log.add(1, {"loss": 1})
    log.plot(("loss", "eval_loss"), "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
def test_without_a_value_there_is_no_plot_and_no_warning(tmp_path):
    log = Log(tmp_path, ("loss", "eval_loss"))
    log.plot(("loss", "eval_loss"), "loss.png")
    log.add(1, {"seconds": 1})
    log.plot(("loss", "eval_loss"), "loss.png")
    assert not (tmp_path / "loss.png").exists()
    log.add(2, {"eval_loss": 1})
    log.plot(("loss", "eval_loss"), "loss.png")
    assert (tmp_path / "loss.png").exists()


def rows(lengths: list[int], copied: list[float]) -> list[dict[str, float]]:
    return [
        {"step": float(n), "length": length, "copied": share}
        for n, (length, share) in enumerate(zip(lengths, copied, strict=True), 1)
    ]


def test_length_and_copying_are_warned_of_when_they_leave_the_bounds_of_the_first_steps():
    steady = rows([100] * 20, [0.3] * 20)
    assert runaway(steady, 10) == {}
    longer = rows([100] * 10 + [151] * 5, [0.3] * 15)
    assert runaway(longer, 10) == {"length": "length has gone from 100 to 151"}
    shorter = rows([100] * 10 + [49] * 5, [0.3] * 15)
    assert runaway(shorter, 10) == {"length": "length has gone from 100 to 49"}
    copying = rows([100] * 15, [0.3] * 10 + [0.51] * 5)
    assert runaway(copying, 10) == {"copied": "copied has gone from 0.3 to 0.51"}
    too_few = rows([100] * 10 + [500] * 4, [0.3] * 14)
    assert runaway(too_few, 10) == {}
    seldom = rows([100] + [200] * 5, [0.3] * 6)
    assert runaway(seldom, 0) == {"length": "length has gone from 100 to 200"}


@pytest.mark.parametrize(("quiet", "told"), [(True, ""), (False, "step 1\n")])
def test_a_warning_goes_to_stderr_however_quiet(quiet, told, capsys):
    for line in ("step 1", f"{WARNING}longer"):
        _say(quiet=quiet)(line)
    assert capsys.readouterr() == (told, "warning: longer\n")


# rewards


def test_a_candidate_is_worth_its_weighted_parts():
    judges = Judges(rate=rated(3.5), embed=embed)
    (same,) = score([TASK], [f"<answer>{TASK.reference}</answer>"], judges=judges)
    assert asdict(same.reward) == {"quality": 0.3, "alignment": 1.0, "format": 1.0}
    assert same.total == pytest.approx(0.5 * 0.3 + 0.4 * 1 + 0.1 * 1)
    (other,) = score(
        [TASK], ["Sure. <answer>Q: bread needs\nA: yeast or flour</answer>"], judges=judges
    )
    assert asdict(other.reward) == {"quality": 0.3, "alignment": 0.0, "format": 0.5}
    assert other.total == pytest.approx(0.5 * 0.3 + 0.1 * 0.5)


def test_other_kinds_have_other_weights_and_are_rated_whole():
    seen: list[Sample] = []

    def rate(samples):
        seen.extend(samples)
        return rated(4.0)(samples)

    task = Task("tfq", ("The sea is salt.\nAnswer: True",), "The sea is salt.\nAnswer: True")
    (one,) = score(
        [task],
        ["Sure. <answer>The sea.\nAnswer: True</answer>"],
        judges=Judges(rate=rate, embed=embed),
    )
    assert one.total == pytest.approx(0.8 * 1 + 0.2 * 0.5)
    assert (seen[0].prompt, seen[0].response, seen[0].kind) == ("", "The sea.\nAnswer: True", "tfq")


def test_an_answer_without_text_is_worth_nothing_but_its_form():
    (none,) = score([TASK], ["<answer></answer>"], judges=Judges(rate=rated(5.0), embed=embed))
    assert (none.reward.quality, none.reward.alignment) == (0.0, 0.0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_rating_that_is_no_number_stops_the_training(broken):
    with pytest.raises(DataError, match="no rating for a sample of kind qa"):
        Judging([TASK], Judges(rate=rated(broken), embed=embed)).reward(["0"], ["<answer>x"])


def test_a_similarity_that_is_no_number_stops_the_training():
    judges = Judges(rate=by_words, embed=lambda texts: embed(texts) * np.float32("nan"))
    with pytest.raises(DataError, match="no number"):
        score([TASK], ["<answer>Q: a\nA: b</answer>"], judges=judges)


def test_a_kind_that_the_rater_does_not_know_is_refused_before_the_training():
    def only_qa(samples):
        return np.array([3.0 if sample.kind == "qa" else np.nan for sample in samples])

    judges = Judges(rate=only_qa, embed=embed)
    check_kinds([TASK], judges)
    with pytest.raises(DataError, match="kind para"):
        check_kinds([TASK, Task("para", ("a", "b"), "a b")], judges)


def test_the_means_are_those_since_the_last_line():
    judging = Judging([TASK], JUDGES)
    judging.reward(["0", "0"], [f"<answer>{TASK.reference}</answer>", ""])
    assert judging.means()["alignment"] == 0.5
    judging.reward(["0"], [f"<answer>{TASK.reference}</answer>"])
    assert judging.means()["alignment"] == 1.0
    assert judging.means() == {}


def test_the_continuous_quality_is_the_share_of_a_high_rating():
    assert [quality(r, continuous=True) for r in (0, 1, 3, 4, 5)] == [0, 0.25, 0.75, 1, 1]
    draft = Draft("Q: a\nA: b", "a", "b")
    (one,) = grade([draft], np.array([3.0], dtype=np.float32), continuous=True)
    assert one.quality == 0.75


# the command


def test_every_setting_of_a_training_has_its_option():
    group = cli.get_command(None, "train")  # type: ignore[arg-type]
    configs: dict[str, type[TrainConfig]] = {"sft": SftConfig, "grpo": GrpoConfig}
    for name, kind in configs.items():
        options = {param.name for param in group.commands[name].params}  # type: ignore[union-attr]
        assert set(asdict(kind())) <= options


def test_a_setting_in_yaml_that_there_is_not_is_one_line(tmp_path):
    (tmp_path / "c.yaml").write_text("lora-rank: 8\n")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    given = ["train", "sft", str(tasks), "-o", str(tmp_path / "o"), "-c", str(tmp_path / "c.yaml")]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 1
    assert "lora_rank: no such setting" in done.output


def test_a_folder_without_tasks_is_refused(tmp_path):
    done = CliRunner().invoke(
        cli, ["train", "sft", str(tmp_path), "-o", str(tmp_path / "o"), "--preset", "cpu"]
    )
    assert done.exit_code == 1
    assert "expected a folder of tasks with train.jsonl" in done.output


def test_a_base_without_safetensors_is_refused(tmp_path):
    from minimix.train.base import base_folder

    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="expected weights in safetensors"):
        base_folder(str(tmp_path))
    assert base_folder("owner/name") == "owner/name"
