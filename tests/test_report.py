"""The report holds text from strangers, and shows it as text; its figures are those of the run."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from minimix.cli import cli
from minimix.errors import DataError
from minimix.report import DATA, PAGE, VERSION, remake, render, write
from minimix.report.charts import Flow, bars, flow, points
from minimix.shown import LONGEST, _text, shown
from tests.fakes import CONFIG, near_rows, run, sample

HOSTILE = '<script>alert(1)</script> </script><!-- {{ 7 * 7 }} "onclick="x \0 \u202eevil'


def data(folder: Path, text: str = "") -> dict[str, Any]:
    """Return what the page of a small run shows; `text` stands wherever a stranger's text may."""
    rows = [replace(one, response=f"{one.response} {text}") for one in near_rows(9)]
    high = replace(sample(f"Why? {text}", f"Because. {text}", 99), rating=4.5)
    result = run(folder, [*rows, high], CONFIG)
    made = shown(result, title=f"t {text}", trust=[f"u {text}"], settings={f"n {text}": text})
    made["notes"] = [f"o {text}"]
    made["reasons"].append({"stage": "read", "reason": f"r {text}", "number": 1})
    return made


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, Any]:
    return data(tmp_path_factory.mktemp("run"))


def elements(page: str) -> list[str]:
    """Return the tags of a page by name, without what stands in its own script and data."""
    outside = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    return re.findall(r"<([a-z]+[^>]*)>", outside)


def test_text_from_data_is_text_wherever_it_stands(tmp_path):
    page = render(data(tmp_path, HOSTILE))
    assert page.count("<script") == page.count("</script>") == 2
    assert "<!--" not in page
    assert not [tag for tag in elements(page) if "onclick" in tag.partition(" ")[0]]
    assert not [tag for tag in elements(page) if re.search(r"\bon\w+=\"", tag)]
    assert "{{ 7 * 7 }}" in page
    assert "\0" not in page
    page.encode("utf-8")


def test_what_stands_in_the_script_is_read_as_it_was(plain):
    made = {**plain, "fusions": [{**one, "prompt": HOSTILE} for one in plain["fusions"]]}
    page = render(made)
    assert page.count("<script") == page.count("</script>") == 2
    found = re.search(r'<script type="application/json" id="fusions">(.*?)</script>', page)
    assert found is not None
    assert json.loads(found[1]) == made["fusions"] != []


def test_the_page_asks_nobody_for_anything_and_lets_only_its_own_script_in(plain):
    page = render(plain)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "unsafe" not in policy[1]
    assert "http" not in page.replace("http-equiv", "")
    assert "src=" not in page
    assert "style=" not in page


def test_the_flow_adds_up_to_the_samples_that_were_read(plain):
    assert sum(part["samples"] for part in plain["flow"]) == plain["counts"]["samples"] == 10


def test_a_band_is_as_thick_as_its_share():
    picture = flow("all", [Flow("a", 30, "kept"), Flow("b", 10, "dropped"), Flow("none", 0, "x")])
    assert 'aria-label="all: 30 a; 10 b"' in picture
    assert picture.count("<path") == 2
    assert 'height="240.0"' in picture  # the whole; 180 of it are a, so b begins there
    assert "190.0" in picture


def test_bars_are_as_tall_as_their_values():
    picture = bars("lengths", ["1", "2"], {"before": [0.25, 0.5], "after": [0.0, 0.25]})
    assert re.findall(r'height="([\d.]+)"', picture) == ["78.0", "156.0", "0.0", "78.0"]
    assert "1: 25% before, 0 after; 2: 50% before, 25% after" in picture
    assert bars("none", [], {"one": []}).startswith("<svg")


def test_fusions_are_drawn_last_and_larger():
    assert points("map", [(0, 0, "dropped"), (9, 9, "fusion")]).endswith('cy="9" r="9"/></svg>')


def test_every_fusion_stands_beside_its_sources_with_what_the_audit_found(plain):
    assert len(plain["fusions"]) == plain["counts"]["fusions"] > 0
    for fusion in plain["fusions"]:
        assert len(fusion["sources"]) >= 2
        assert fusion["lost"] == []
        assert all(source["place"].startswith("f:") for source in fusion["sources"])


def test_a_long_text_is_cut_and_says_by_how_much():
    found = _text(sample("Why?", "x" * (LONGEST + 7)))
    assert (len(found["response"]), found["more"]) == (LONGEST, 7)


def test_half_a_character_in_a_setting_does_not_keep_the_page_from_the_disk(plain, tmp_path):
    write(tmp_path, {**plain, "notes": ["half \ud800"]})
    assert "half ?" in (tmp_path / PAGE).read_text("utf-8")


def test_what_does_not_fit_the_page_is_counted(plain):
    assert plain["more_fusions"] == 0
    assert "1,234 more stand in train.jsonl" in render({**plain, "more_fusions": 1234})


def test_a_report_is_made_again_byte_for_byte(plain, tmp_path):
    write(tmp_path, plain)
    first = (tmp_path / PAGE).read_bytes()
    (tmp_path / PAGE).unlink()
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.output.strip() == str(tmp_path / PAGE)
    assert (tmp_path / PAGE).read_bytes() == first


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"counts": None}, "counts: expected an object with fusions, questions, found NoneType"),
        ({"charts": 5}, "charts: expected a list, found int"),
        ({"flow": [{"name": "x"}]}, "flow.0: expected an object with name, samples, kind"),
        ({"flow": [{"name": "x", "samples": -1, "kind": "kept"}]}, "samples: expected a count"),
        ({"other_reasons": 10**400}, "other_reasons: expected a count, found int"),
        ({"map": {"title": "", "note": "", "points": [[1, 2, '"><a>']]}}, "dropped or fusion or"),
        ({"a\nb": 1}, "the page: expected an object with version, title"),
    ],
)
def test_a_page_of_another_form_is_refused_in_one_line(plain, tmp_path, damage, problem):
    write(tmp_path, plain)
    before = (tmp_path / PAGE).read_bytes()
    (tmp_path / DATA).write_text(json.dumps({"version": VERSION, **plain, **damage}))
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    (line,) = done.output.splitlines()
    assert problem in line
    assert "start minimix distill again" in line
    assert (tmp_path / PAGE).read_bytes() == before


@pytest.mark.parametrize("series", [{"before": [1]}, {'x"><a': [1, 2]}])
def test_a_chart_needs_a_value_for_each_label(plain, tmp_path, series):
    chart = {"title": "t", "note": "", "labels": ["a", "b"], "series": series}
    write(tmp_path, plain)
    (tmp_path / DATA).write_text(json.dumps({"version": VERSION, **plain, "charts": [chart]}))
    with pytest.raises(DataError, match=r"charts\.0: expected a value of each series"):
        remake(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 0}', '{"version": 2}'])
def test_a_folder_without_its_data_is_refused_in_one_line(tmp_path, text):
    if text:
        (tmp_path / DATA).write_text(text)
    with pytest.raises(DataError, match="expected"):
        remake(tmp_path)
