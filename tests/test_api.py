"""`minimix.distill` from Python: data at hand in and out, and the same rows as from the shell."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import datasets
import pandas
import pytest
from click.testing import CliRunner

import minimix
from minimix.api import Settings
from minimix.cli import cli
from minimix.glance import glance
from minimix.records import Entry, Place, Sample

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
HOSTILE = "<script>alert(1)</script> <|im_end|> {{ 7 * 7 }} </div>"
TWINS = [
    {"instruction": f"Say {HOSTILE}", "input": "", "output": f"{HOSTILE} is said once."},
    {"instruction": f"Say {HOSTILE}", "input": "", "output": f"{HOSTILE} is never said again."},
]
HEAVY = {"torch", "transformers", "datasets", "pandas", "numpy", "pyarrow", "llama_cpp"}
FEW: dict[str, Any] = {"model": "extract", "embedder": "static", "budget": "30%"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows() -> list[dict[str, Any]]:
    return [*lines(EXAMPLE), *TWINS]


@pytest.fixture(scope="module")
def result() -> minimix.Distillation:
    return minimix.distill(rows(), **FEW)


def test_rows_are_those_of_the_command_line_on_the_same_data(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data.jsonl").write_text("\n".join(map(json.dumps, rows())))
    given = [word for name, value in FEW.items() for word in (f"--{name}", value)]
    said = CliRunner().invoke(cli, ["distill", "data.jsonl", *given], catch_exceptions=False)
    assert said.exit_code == 0
    out = Path("data.distilled")
    assert result.rows == lines(out / "train.jsonl")
    ledger = lines(out / "provenance.jsonl")
    told = [[(place.line, place.sha256) for place in e.sample.sources] for e in result.entries]
    assert told == [[(s["line"], s["sha256"]) for s in line["sources"]] for line in ledger]
    assert len(result.dropped) == len((out / "dropped.jsonl").read_text().splitlines())


@pytest.mark.parametrize("table", [pandas.DataFrame, datasets.Dataset.from_list])
def test_tables_give_the_same_rows_as_lists(table, result):
    assert minimix.distill(table(rows()), **FEW).rows == result.rows


def test_the_result_becomes_a_data_set_and_a_frame(result):
    made, frame = result.to_dataset(), result.to_pandas()
    assert made.to_list() == result.rows == frame.to_dict("records")
    assert made.column_names == ["instruction", "input", "output"]
    again = minimix.distill(made, **{**FEW, "budget": 3})
    assert again.rows == minimix.distill(frame, **{**FEW, "budget": 3}).rows
    assert len(again.rows) == 3


def test_a_field_that_only_later_rows_have_is_in_the_data_set(result):
    two = [{"prompt": "a", "completion": "b"}, {"system": "s", "prompt": "c", "completion": "d"}]
    made = replace(result, rows=two).to_dataset()
    assert made["system"][:] == [None, "s"]
    assert len(replace(result, rows=[]).to_dataset()) == 0


def test_nothing_is_kept_on_disk_where_no_folder_was_asked_for(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    again = minimix.distill(rows(), **FEW)
    assert again.folder is None
    assert again.rows == result.rows
    assert list(tmp_path.iterdir()) == []


def test_a_folder_holds_what_the_command_line_writes(result, tmp_path):
    made = minimix.distill(rows(), output=tmp_path / "out", **FEW)
    assert made.folder == tmp_path / "out"
    assert lines(tmp_path / "out" / "train.jsonl") == made.rows == result.rows
    first = lines(tmp_path / "out" / "provenance.jsonl")[0]
    assert first["sources"][0]["file"] == "samples"
    before = (tmp_path / "out" / "provenance.jsonl").read_bytes()
    minimix.distill(rows(), output=tmp_path / "out", **FEW)
    assert (tmp_path / "out" / "provenance.jsonl").read_bytes() == before
    with pytest.raises(minimix.MinimixError, match=r"input\.records: 95 before, 94 now"):
        minimix.distill(rows()[:-1], output=tmp_path / "out", **FEW)


def test_text_of_the_data_is_no_markup_in_a_notebook(result):
    sample = Sample(HOSTILE, HOSTILE, (Place(HOSTILE, 1, 0, "0" * 64),))
    page = glance(result.counts, [HOSTILE], [(Entry(sample, "fusion", 4.0, 0.5), [sample])])
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6
    assert page.count("{{ 7 * 7 }}") == 6
    assert page.count("</div>") == page.count("<div") == 3


def test_fusions_stand_beside_their_sources(result):
    page = result._repr_html_()
    entry, sources = result.shown[0]
    assert entry.origin == "fusion"
    assert [source.place for source in sources] == list(entry.sample.sources)
    assert all(f"<small>{source.place}</small>" in page for source in sources)
    assert len(result.shown) == 3
    assert len(page) < 20_000
    assert repr(result).startswith(f"Distillation({len(result.rows)} rows of 95 samples: ")


def test_settings_are_those_of_the_configuration():
    own = {field.name for field in fields(minimix.DistillConfig)} - {"engine"}
    engine = {field.name for field in fields(minimix.EngineConfig)}
    assert set(Settings.__annotations__) == own | engine


def test_a_path_does_for_a_file_and_settings_go_over_a_configuration():
    config = minimix.DistillConfig(budget="2", format="messages")
    made = minimix.distill(
        EXAMPLE, config=config, model="extract", embedder="static", budget=3,
        check_against=EXAMPLE,
    )  # fmt: skip
    assert len(made.rows) == 3
    assert set(made.rows[0]) == {"messages"}
    assert made.counts["contaminated"] == 3


def test_a_setting_that_is_none_is_refused_by_its_name():
    with pytest.raises(minimix.MinimixError, match="budgt: no such setting"):
        minimix.distill(rows(), budgt=3)  # type: ignore[call-arg]


def test_public_names_are_listed_and_found():
    assert set(minimix.__all__) <= set(dir(minimix))
    assert all(getattr(minimix, name).__doc__ for name in minimix.__all__)
    assert not hasattr(minimix, "nothing")
    assert (Path(minimix.__file__).parent / "py.typed").exists()


def test_import_takes_less_than_100_ms_and_brings_nothing_heavy():
    code = (
        "import time; t = time.perf_counter(); import minimix; print(time.perf_counter() - t)\n"
        f"import sys; assert not {HEAVY!r} & sys.modules.keys()"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert min(float(run.stdout) for run in runs) < 0.1
