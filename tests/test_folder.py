"""Folders of tasks: what is in one belongs together, and what is not used is counted."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from minimix.cli import cli
from minimix.mixture.likeness import alike, index
from minimix.mixture.readme import write_tasks
from minimix.mixture.rule.folder import NONE, BuildConfig, build_folder, build_tasks
from minimix.mixture.split import apart
from minimix.mixture.tasks import Example, read_examples
from minimix.records import Kind, Place, Task, Vectors
from tests.test_mixture_sample import CLUSTER, TARGETS

HILLS = " ".join(f"Hill number {n} is {n * 3 + 100} metres high and bare." for n in range(6))


def task(text: str, kind: Kind = "qa", line: int = 1) -> Example:
    return Example(Task(kind, ("x",), text), "variants", (Place("f", line, 0, ""),))


def spread(texts: Sequence[str]) -> Vectors:
    """Embed each text in a direction of its own."""
    return np.eye(len(texts), dtype=np.float32)


def rows_file(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def rated(output: str, overall: int, **more: str) -> dict[str, Any]:
    return {
        "instruction": "Tell me of hills.",
        "input": "",
        "output": output,
        "rating_detail": {"Overall": overall},
        **more,
    }


# both parts belong together


class Stopped(list[Example]):
    """Examples during whose writing the program is stopped."""

    def __iter__(self) -> Iterator[Example]:
        yield task("new")
        raise KeyboardInterrupt


@pytest.mark.parametrize("stopped", ["train", "held out"])
def test_a_write_that_is_stopped_leaves_nothing_to_train_on(tmp_path, stopped):
    write_tasks(tmp_path, [task("old")], [task("old, held out")])
    train, held_out = [task("new")], [task("new, held out")]
    cut = Stopped([task("new")])
    with pytest.raises(KeyboardInterrupt):
        write_tasks(tmp_path, *((cut, held_out) if stopped == "train" else (train, cut)))
    assert not (tmp_path / "train.jsonl").exists()
    found = tmp_path / "held_out.jsonl"
    assert not found.exists() or read_examples(found) == tuple(held_out)


def test_a_build_that_holds_nothing_out_leaves_no_file_from_before(tmp_path):
    (tmp_path / "held_out.jsonl").write_text("{}")
    rows = rows_file(tmp_path / "rows.jsonl", rated(HILLS, 9))
    build_tasks([str(rows)], [], tmp_path, BuildConfig(held_out=0.0), embed=spread)
    assert read_examples(tmp_path / "train.jsonl")
    assert not (tmp_path / "held_out.jsonl").exists()


def test_what_is_like_a_held_out_target_in_very_common_words_alone_is_left_out():
    common = [f"c{n}" for n in range(10)]  # eight runs of three words, each in fifty other texts
    runs = [" ".join(common[n : n + 3]) for n in range(8) for _ in range(50)]
    others = [task(f"{run} a{n} b{n} d{n}", line=n) for n, run in enumerate(runs)]
    pair = [task(f"{' '.join(common)} {end}", "cs", 1000 + n) for n, end in enumerate("xy")]
    train, held, lost = apart([*others, *pair], share=0.5, rng=np.random.default_rng(0))
    known = index([one.reference for one in held])
    assert [one.task.kind for one in held].count("cs") == 1
    assert not [one for one in train if alike(one.reference, known)]
    assert (len(train), len(held), lost) == (200, 201, 1)


def test_what_all_hangs_together_is_trained_on_and_not_held_out():
    both = [task("one of a row"), task("another of the row")]
    assert apart(both, share=0.5, rng=np.random.default_rng(0)) == (both, [], 0)


# what is not used


def test_rows_that_are_not_used_are_counted_by_reason_and_shown(tmp_path):
    other = {"input": CLUSTER, "output": TARGETS["mcq"], "cot": "", "source": "mcq_mixup"}
    rows = rows_file(
        tmp_path / "rows.jsonl",
        rated(HILLS, 9),
        rated(HILLS.replace("Hill", "Dune"), 5),
        rated("Yes.", 9),
        {**rated(HILLS.replace("Hill", "Fell"), 9), "input": "A passage."},
        rated("It is broken off after these few", 9),
        {"instruction": "Merge.", **other},
    )
    config, output = BuildConfig(), tmp_path / "out"
    said = build_folder([str(rows)], [], output, config, embed=spread)
    start = said.index("| samples of the rows")
    cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in said[start:].split("\n")]
    assert dict(cells[2:9]) == {
        "read": "6",
        "used": "1",
        "about a passage": "1",
        "of unfit length": "1",
        NONE: "1",
        "of another kind than qa": "1",
        "rated too low": "1",
    }
    assert said[start:].split("\n\n")[0] in (output / "README.md").read_text()


# settings in a file


def build(tmp_path: Path, yaml: str) -> Any:
    rows = rows_file(tmp_path / "rows.jsonl", rated(HILLS, 9))
    (tmp_path / "c.yaml").write_text(yaml)
    given = ["-c", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out"), "-q"]
    return CliRunner().invoke(cli, ["mixture", "build", str(rows), *given])


def test_a_build_takes_its_own_settings_from_a_file_and_a_model_there_does_not_write(tmp_path):
    done = build(tmp_path, "model: other.gguf\nper-row: 3\nper-kind: qa=2\n")
    assert done.exit_code == 0, done.output
    assert len(read_examples(tmp_path / "out" / "train.jsonl")) == 2


def test_a_setting_that_is_none_of_a_build_is_one_line(tmp_path):
    done = build(tmp_path, "per_knid: 3\n")
    assert done.exit_code == 1
    assert "c.yaml: per_knid: no such setting" in done.output


def test_a_setting_of_distill_in_a_file_that_both_read_is_passed_over(tmp_path):
    assert build(tmp_path, "budget: 3\n").exit_code == 0


# reasoning


@pytest.mark.parametrize(("flags", "think"), [([], False), (["--think"], True)])
def test_a_sample_asks_for_reasoning_only_where_that_is_wanted(tmp_path, flags, think):
    path = tmp_path / "MIXTURE" / "data_sft" / "qa" / "merged_train_qa_noisy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"input": CLUSTER, "output": TARGETS["qa"], "cot": "Why."}]))
    given = [str(tmp_path / "MIXTURE"), "--per-kind", "qa=1", "--held-out", "0"]
    output = tmp_path / "out"
    done = CliRunner().invoke(cli, ["mixture", "sample", *given, "-o", str(output), "-q", *flags])
    assert done.exit_code == 0, done.output
    (one,) = read_examples(output / "train.jsonl")
    assert one.task.think is think
