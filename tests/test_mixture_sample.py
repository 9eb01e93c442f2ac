"""A sample of MIXTURE: tolerant of how its rows are written, strict about what is trained on."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minimix.errors import ConfigError, DataError, FormatError
from minimix.kinds import Record, record
from minimix.mixture.hub.folder import drawing, sample_folder
from minimix.mixture.hub.layout import locate
from minimix.mixture.hub.rows import kind_of, to_example
from minimix.mixture.hub.sample import Sampled, Sampling, counts, sample
from minimix.mixture.lengths import token_counter
from minimix.mixture.likeness import alike, index
from minimix.mixture.split import apart
from minimix.mixture.statistics import Lengths, statistics
from minimix.mixture.tasks import Example, read_examples, target
from minimix.parse import parse
from minimix.prompt import to_messages
from minimix.records import KINDS, Kind, Place, Task

CLUSTER = "Q: whats bread\n A: dough\n\nQ: What is bread?\n A: It is baked."
TARGETS: dict[Kind, str] = {
    "qa": "Q: What is bread?\nA: Baked dough.",
    "mcq": "Q: What is bread?\nA) Dough\nB) Stone\nC) Air\nD) Ink\nAnswer: A) Dough",
    "tfq": "Bread is baked dough.\nAnswer: True",
    "cs": "C: Food\nS: Bread is baked dough.",
    "para": "Bread is baked dough.",
}
NAMES = """ash oak elm fir yew bay fig pear plum lime teak palm pine cedar hazel alder birch rowan
    maple aspen""".split()
SIGHTS = "bark leaf root seed cone twig".split()


def row(**columns: Any) -> Record:
    return record("f", 1, columns)


def made(kind: Kind = "qa", **columns: Any) -> Example | str:
    return to_example(row(**{"input": CLUSTER, "output": TARGETS[kind], **columns}), kind)


def example(kind: Kind = "qa", **columns: Any) -> Example:
    found = made(kind, **columns)
    assert isinstance(found, Example)
    return found


def words(one: Example) -> Lengths:
    """Count words: those of the parts, and of the target."""
    return Lengths(sum(len(part.split()) for part in one.task.parts), len(target(one).split()))


# one row


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_a_task_of_one_part_with_its_target(kind):
    found = example(kind)
    assert found.task == Task(kind, (CLUSTER,), TARGETS[kind])
    assert (found.made, found.sources[0].line) == ("MIXTURE", 1)


@pytest.mark.parametrize(
    "output",
    [
        "<answer>{}</answer>",
        "<answer>\n{}\n</answer>\n",
        "< Answer >{}</ANSWER>",
        "  {}\n",
        "<answer>{}",
    ],
)
def test_the_tags_of_a_target_may_be_there_or_not(output):
    found = example(output=output.format(TARGETS["qa"]))
    assert found.reference == TARGETS["qa"]
    assert not found.task.think


@pytest.mark.parametrize(
    "columns",
    [
        {"cot": "Both say the same."},
        {"COT": "<think>Both say the same.</think>"},
        {"output": f"<think>Both say the same.</think>\n<answer>{TARGETS['qa']}</answer>"},
        {"output": f"<think>\nBoth say the same.\n</think>\n\n{TARGETS['qa']}", "cot": None},
    ],
)
def test_reasoning_asks_for_reasoning_wherever_it_stands(columns):
    found = example(**columns)
    assert found.task.think
    assert target(found) == f"<think>Both say the same.</think>\n<answer>{TARGETS['qa']}</answer>"


def test_reasoning_can_be_left_out():
    found = to_example(row(input=CLUSTER, output=TARGETS["qa"], cot="Why."), "qa", think=False)
    assert isinstance(found, Example)
    assert (found.task.think, found.thought) == (False, "")


@pytest.mark.parametrize(
    ("kind", "flat"),
    [
        ("qa", "Q: What is bread? A: Baked dough."),
        ("mcq", "Q: What is bread? A) Dough B) Stone C) Air D) Ink Answer: A) Dough"),
        ("tfq", "Bread is baked dough. Answer: True"),
        ("cs", "C: Food S: Bread is baked dough."),
    ],
)
def test_labels_that_share_a_line_get_their_own(kind, flat):
    assert parse(Task(kind, ()), f"<answer>{flat}</answer>").problems
    assert example(kind, output=flat).reference.split() == flat.split()
    assert not parse(Task(kind, ()), target(example(kind, output=flat))).problems


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"output": "Bread is baked dough."}, "ill-formed: no Q:"),
        ({"output": "Q: What is bread?"}, "ill-formed: no A:"),
        ({"output": f"{TARGETS['qa']}\nQ: And cake?\nA: Sweet."}, "ill-formed: a second Q:"),
        ({"output": None}, "no output"),
        ({"input": " "}, "no input"),
    ],
)
def test_a_row_that_cannot_be_trained_on_says_why(columns, reason):
    assert made(**columns) == reason


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"task_type": "para_mixup"}, "para"),
        ({"Source": "Paragraph"}, "para"),
        ({"source": "wikipedia", "task_type": "tfq_mixup"}, "tfq"),
        ({"instruction": "Merge these multiple-choice questions into one."}, "mcq"),
        ({"instruction": "Merge these true/false questions."}, "tfq"),
        ({"instruction": "Given some related question-answer pairs, merge them."}, "qa"),
        ({"instruction": "Merge the category-statement pairs."}, "cs"),
        ({"instruction": "Merge."}, None),
    ],
)
def test_a_row_of_a_mixed_file_tells_its_kind(columns, kind):
    assert kind_of(row(**columns)) == kind


# a folder of its layout


def rows(kind: Kind, first: int, last: int) -> list[dict[str, Any]]:
    """Return rows whose targets share few words: one for each pair of a name and a sight."""
    made = []
    for n in range(first, last):
        name, sight = NAMES[n % len(NAMES)], SIGHTS[n // len(NAMES)]
        text = f"{name} {sight} {n} {name}{n} {sight}{n} {kind}{n} grows x{n} y{n} z{n}."
        output = TARGETS[kind].replace("Bread is baked dough.", text).replace("Baked dough.", text)
        output = output.replace("What is bread", text)
        made.append({"input": f"{name}\n\n{text}", "output": output, "task_type": f"{kind}_mixup"})
    return made


Write = Callable[[str, Any], None]


@pytest.fixture
def write(tmp_path) -> Write:
    def put(name: str, content: Any) -> None:
        path = tmp_path / "MIXTURE" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    return put


@pytest.fixture
def folder(tmp_path: Path, write: Write) -> Path:
    for kind in KINDS:
        write(f"data_sft/{kind}/merged_train_{kind}_noisy.json", rows(kind, 0, 60))
        if kind != "para":
            write(f"data_sft/{kind}/merged_test_{kind}_noisy.json", rows(kind, 60, 90))
    write("data_grpo/train.json", [one for kind in KINDS for one in rows(kind, 0, 40)])
    return tmp_path / "MIXTURE"


def drawn(folder: Path, *, stage: Any = "sft", **settings: Any) -> Sampled:
    own = {"train": counts((), 8), "held_out": counts((), 4), "max_tokens": 100, **settings}
    return sample(locate(str(folder), stage=stage), Sampling(**own), words)


def test_as_many_of_each_kind_as_asked_and_the_held_out_ones_from_the_test_files(folder):
    found = drawn(folder)
    assert [(one.kind, len(one.examples)) for one in found.train] == [(kind, 8) for kind in KINDS]
    assert [(one.kind, len(one.examples)) for one in found.held_out] == [(k, 4) for k in KINDS]
    assert [one.part for one in found.held_out] == ["test"] * 4 + ["train"]
    files = {one.kind: one.examples[0].sources[0].file for one in found.held_out}
    assert files["qa"] == f"{folder}/data_sft/qa/merged_test_qa_noisy.json"


def test_held_out_rows_of_a_training_file_are_not_trained_on(folder):
    found = drawn(folder, train=counts(["para=60"], 0), held_out=counts(["para=20"], 0))
    (train,), (held,) = found.train, found.held_out
    lines = [{one.sources[0].line for one in part.examples} for part in (train, held)]
    assert (len(lines[0]), len(lines[1])) == (40, 20)
    assert not lines[0] & lines[1]
    assert (train.wanted, train.read, train.looked) == (60, 60, 40)


def test_a_target_nearly_that_of_a_held_out_row_is_not_trained_on(folder, write):
    known = rows("qa", 60, 90)
    for one in known[:10]:  # capitals, points and two words more
        one["output"] = one["output"].upper().replace("A: ", "A: Indeed, ") + " Yes"
    write("data_sft/qa/merged_train_qa_noisy.json", known[:10] + rows("qa", 0, 5))
    found = drawn(folder, train=counts(["qa=9"], 0), held_out=counts(["qa=30"], 0))
    (train,) = found.train
    assert len(train.examples) == 5
    assert train.left_out == {"like a held-out target": 10}


def test_what_is_left_out_is_counted_and_not_cut(folder, write):
    good = rows("cs", 0, 6)
    long = [{**one, "input": "long " * 200} for one in rows("cs", 6, 9)]
    bad = [{**one, "output": "no form"} for one in rows("cs", 9, 11)]
    write("data_sft/cs/merged_train_cs_noisy.json", [*good, *long, *bad, good[0]])
    found = drawn(folder, train=counts(["cs=20"], 0), held_out=counts(["qa=1"], 0))
    (train,) = found.train
    assert len(train.examples) == 6
    assert train.left_out == {
        "too long": 3,
        "ill-formed: not in the form C: S:": 2,
        "target taken already": 1,
    }


def test_the_same_seed_draws_the_same_rows_and_another_does_not(folder):
    assert drawn(folder) == drawn(folder)
    assert drawn(folder, seed=1).train[0].examples != drawn(folder).train[0].examples


def test_the_grpo_file_of_all_kinds_is_drawn_from_by_kind(folder, write):
    mixed = [one for kind in KINDS for one in rows(kind, 0, 40)]
    write("data_grpo/train.json", [*mixed, {"input": "x", "output": "y"}])
    found = drawn(folder / "data_grpo", stage="grpo")
    assert [(one.kind, one.read, len(one.examples)) for one in found.train] == [
        (kind, 40, 8) for kind in KINDS
    ]
    assert found.nameless == 1
    assert "1 training rows say no kind" in drawing(found)


def test_a_kind_without_a_file_is_shown_with_no_rows(folder):
    (folder / "data_sft" / "tfq" / "merged_train_tfq_noisy.json").unlink()
    (tfq,) = [one for one in drawn(folder).train if one.kind == "tfq"]
    assert (tfq.read, tfq.wanted, tfq.examples) == (0, 8, ())


def test_nothing_to_train_on_is_an_error(folder):
    with pytest.raises(DataError, match=r"MIXTURE: no row that could be trained on \(too long\)"):
        drawn(folder, max_tokens=5)


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"expected data_sft/qa/merged_train_qa_noisy\.json"):
        locate(str(tmp_path), stage="sft")
    with pytest.raises(FormatError, match="nowhere: expected a folder laid out like dokiik/MIX"):
        locate("nowhere", stage="sft")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [7, 7, 7, 7, 7]),
        (["3"], [3, 3, 3, 3, 3]),
        (["qa=5,mcq=2"], [5, 2, 0, 0, 0]),
        (["4", "PARA=9"], [4, 4, 4, 4, 9]),
    ],
)
def test_counts_are_of_all_kinds_or_of_those_named(given, expected):
    assert list(counts(given, 7).values()) == expected


@pytest.mark.parametrize("given", ["many", "qb=5", "qa=", "=5", "-1", "qa=1.5"])
def test_a_count_that_is_none_is_refused(given):
    with pytest.raises(ConfigError, match="expected a number, or KIND=NUMBER"):
        counts([given], 7)


def test_the_folder_holds_both_parts_and_what_was_printed(folder, tmp_path):
    settings = Sampling(train=counts((), 5), held_out=counts((), 2), max_tokens=500)
    output = tmp_path / "out"
    said = sample_folder(locate(str(folder), stage="sft"), output, settings, model="bundled")
    train, held = (read_examples(output / f"{part}.jsonl") for part in ("train", "held_out"))
    assert (len(train), len(held)) == (25, 10)
    readme = (output / "README.md").read_text()
    assert said.removesuffix(f"\n\nwritten {output}") in readme
    assert [line.split("|")[2].strip() for line in said.splitlines() if line[:6] == "| para"] == [
        *("5", "2"),
        *("training", "training"),
    ]
    before = (output / "train.jsonl").read_bytes()
    sample_folder(locate(str(folder), stage="sft"), output, settings, model="bundled")
    assert (output / "train.jsonl").read_bytes() == before


def test_nothing_held_out_leaves_no_file_from_before(folder, tmp_path):
    (tmp_path / "held_out.jsonl").write_text("{}")
    settings = Sampling(train=counts((), 5), held_out=counts(["0"], 0), max_tokens=500)
    said = sample_folder(locate(str(folder), stage="sft"), tmp_path, settings, model="bundled")
    assert "nothing is held out" in said
    assert not (tmp_path / "held_out.jsonl").exists()


# the hub


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as one data set needs."""

    folder: Path
    commit = "c" * 40
    asked: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        files = {
            file.relative_to(self.folder).as_posix(): file for file in self.folder.rglob("*.*")
        }
        found = b""
        if path.startswith("/api/datasets/dokiik/MIXTURE") and "other" not in path:
            siblings = [{"rfilename": name} for name in files]
            about = {"id": "dokiik/MIXTURE", "sha": self.commit, "siblings": siblings}
            found = json.dumps(about).encode()
        elif path.startswith(f"/datasets/dokiik/MIXTURE/resolve/{self.commit}/"):
            found = files[path.partition(f"{self.commit}/")[2]].read_bytes()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", f'"{len(found)}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else found)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(folder) -> Iterator[ThreadingHTTPServer]:
    handler = type("Here", (Hub,), {"folder": folder, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def minimix(tmp_path: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = f"http://127.0.0.1:{port}"
    settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}
    settings.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-m", "minimix", "mixture", "sample", *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, cwd=tmp_path)


def test_from_the_hub_only_what_is_needed_is_fetched_at_one_commit(hub, tmp_path):
    given = ["--per-kind", "qa=5", "--held-out", "qa=2", "--output", "out"]
    done = minimix(tmp_path, hub.server_port, *given)
    assert done.returncode == 0, done.stderr
    fetched = {path for path in hub.RequestHandlerClass.asked if "/resolve/" in path}
    assert {path.rpartition("/")[2] for path in fetched} == {
        "merged_train_qa_noisy.json",
        "merged_test_qa_noisy.json",
    }
    first = read_examples(tmp_path / "out" / "train.jsonl")[0]
    assert first.sources[0].file == "dokiik/MIXTURE/data_sft/qa/merged_train_qa_noisy.json"
    assert "c" * 40 in (tmp_path / "out" / "README.md").read_text()


def test_a_hub_that_has_no_such_revision_is_one_line(hub, tmp_path):
    done = minimix(tmp_path, hub.server_port, "--revision", "other", "--output", "out")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: dokiik/MIXTURE: not to be had from the hub (")
    assert "download the data set elsewhere and give its folder instead" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.network
def test_rows_of_the_real_hub_are_read(tmp_path):
    for stage in ("sft", "grpo"):
        given = ["--stage", stage, "--per-kind", "cs=20", "--held-out", "0", "--output", stage]
        command = [sys.executable, "-m", "minimix", "mixture", "sample", *given]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(read_examples(tmp_path / stage / "train.jsonl")) == 20


# what both commands share


def at(line: int, text: str, kind: Kind = "qa", *more: int) -> Example:
    """Return an example that comes from a line of a file, or from several."""
    places = tuple(Place("f", number, 0, "") for number in (line, *more))
    return Example(Task(kind, ("x",), text), "neighbours" if more else "variants", places)


def lone(number: int) -> str:
    """Return a text that shares no three words with that of another number."""
    return " ".join(f"w{number}x{n}" for n in range(10))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def lines(examples: list[Example]) -> set[int]:
    return {place.line for example in examples for place in example.sources}


def test_a_share_of_each_kind_is_held_out_in_order():
    examples = [at(n, lone(n), "qa" if n < 60 else "cs") for n in range(100)]
    train, held, lost = apart(examples, share=0.1, rng=rng())
    assert (len(train), len(held), lost) == (90, 10, 0)
    assert sum(one.task.kind == "cs" for one in held) == 4
    assert train + held == sorted(train, key=examples.index) + sorted(held, key=examples.index)


def test_examples_of_one_record_stay_on_one_side():
    examples = [at(n // 5, lone(n)) for n in range(100)]
    train, held, lost = apart(examples, share=0.2, rng=rng())
    assert (len(train), len(held), lost) == (80, 20, 0)
    assert not lines(train) & lines(held)


def test_examples_of_like_targets_stay_on_one_side():
    examples = [at(n, f"{lone(n // 2)} {'Yes' * (n % 2)}") for n in range(100)]
    train, held, _ = apart(examples, share=0.1, rng=rng())
    assert len(held) == 10
    known = index([one.reference for one in held])
    assert not [one for one in train if alike(one.reference, known)]


def test_a_chain_of_records_is_cut_and_what_is_between_is_left_out():
    chain = [at(n, lone(n), "qa", n + 1) for n in range(100)]
    train, held, lost = apart(chain, share=0.1, rng=rng())
    assert len(train) + len(held) + lost == 100
    assert len(held) == 5  # each costs its two neighbours, and as many as wanted may be lost
    assert lost == 10
    assert not lines(train) & lines(held)


def test_nothing_can_be_held_out_of_one_record():
    train, held, lost = apart([at(1, lone(n)) for n in range(9)], share=0.3, rng=rng())
    assert (len(train), held, lost) == (9, [], 0)


def test_a_share_of_all_is_refused():
    with pytest.raises(DataError, match="expected 0 or more and less than 1, found 1"):
        apart([], share=1, rng=rng())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Tower of Dunmoor has 212 steps, and its lamp is dark!", {0}),
        ("the tower of dunmoor has 212 steps and its lamp is dark, people say", {0}),
        ("The tower of Dunmoor has 319 steps and its door is open.", set()),
        ("A tower.", {1}),
        ("?!", set()),
    ],
)
def test_texts_are_alike_that_share_half_of_their_runs_of_three_words(text, found):
    known = index(["The tower of Dunmoor has 212 steps and its lamp is dark.", "a tower", "..."])
    assert alike(text, known) == found


def test_the_table_counts_tokens_and_what_is_ill_formed():
    bad = Example(Task("qa", ("a b",), "no form"), "by hand", ())
    text = statistics([*(at(n, TARGETS["qa"]) for n in range(3)), bad], words)
    (line,) = [line for line in text.splitlines() if line.startswith("| qa")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:5] == ["4", "by hand 1, variants 3", "1.0", "1 / 2 / 2"]
    assert cells[-1] == "1"


def test_tokens_are_counted_as_the_prompt_is_trained_on():
    from minimix.engines.bundled import packaged_model
    from minimix.engines.model import LlamaModel

    one = example("mcq", cot="Why.")
    with LlamaModel(packaged_model(), gpu_layers=0, repack=False) as model:
        exact = len(model.prompt_ids(to_messages(one.task)))
        assert token_counter()(one).prompt == exact
