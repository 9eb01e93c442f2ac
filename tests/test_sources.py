"""Rows of mixed pools keep to their source, where a column with few names says which that is."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.card import card
from minimix.cli import cli
from minimix.columns import LONGEST, Columns, names_in
from minimix.config import DistillConfig
from minimix.errors import ConfigError, DataError
from minimix.kinds import Record
from minimix.pool import Pool, find, pool_of
from minimix.prepare import prepare
from minimix.records import Place, Sample
from minimix.run import load_pool
from minimix.sources import MOST, ROWS_EACH, SHOWN, Sources, table
from tests import fakes
from tests.fakes import CONFIG, by_words, embed, near_rows, run
from tests.test_card import POOL, about

MOON = {"instruction": "How far is the moon?", "output": "It is far."}
CHAT = {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hi."}]}


def read(*rows: Mapping[str, Any], source: str | None = None) -> Pool:
    """Return the pool of rows, each of them a record of file "f"."""
    columns = Columns(source=source)
    records = (Record(Place("f", line, 0, ""), row) for line, row in enumerate(rows, 1))
    return pool_of((find(one, columns) for one in records), "f", columns=columns)


def sources(pool: Pool) -> list[str]:
    return [sample.source for sample in pool.samples]


@pytest.mark.parametrize("row", [MOON, CHAT, {**MOON, "task_type": "qa"}])
@pytest.mark.parametrize("field", ["source", "dataset"])
def test_a_column_whose_names_repeat_names_the_sources(row, field):
    pool = read(*[{**row, field: "flan_v2"}] * 6, *[{**row, field: " dolly "}] * 4)
    assert sources(pool) == ["flan_v2"] * 6 + ["dolly"] * 4
    assert (pool.source_field, dict(pool.sources)) == (field, {"flan_v2": 6, "dolly": 4})


def test_names_are_sources_from_five_rows_to_a_name_on():
    rows = [{**MOON, "source": name} for name in "ab" for _ in range(ROWS_EACH)]
    assert set(sources(read(*rows))) == {"a", "b"}
    pool = read(*rows[1:])
    assert (set(sources(pool)), pool.source_field, pool.free_field) == ({""}, "", "source")
    assert pool.sources == {}


def test_more_than_a_thousand_names_part_nothing_however_many_rows_there_are():
    few, many = Sources(Columns()), Sources(Columns())
    for row in range(2 * ROWS_EACH * MOST):
        few.add((f"page {row % MOST}", ""), 1)
        many.add((f"page {row % (MOST + 1)}", ""), 1)
    assert (few.fields, len(few.counts()), few.called("page 0\n")) == (["source"], MOST, "page 0")
    assert (many.free, many.counts(), many.called("page 0\n")) == (["source"], {}, "")


def test_memory_holds_no_more_names_than_sources_may_have():
    counted = Sources(Columns())
    kept = {counted.add((f"page {row}", ""), 1) for row in range(3 * MOST)}
    assert len(kept) == MOST + 1  # and one for all the others


def test_where_one_column_has_free_text_the_other_may_name_the_source():
    rows = [{**MOON, "source": f"Title {n}", "dataset": "oasst1"} for n in range(9)]
    pool = read(*rows, {**MOON, "dataset": "dolly"})
    assert (sources(pool), pool.source_field) == (["oasst1"] * 9 + ["dolly"], "dataset")


def test_of_two_columns_with_names_the_second_counts_where_the_first_is_silent():
    rows: list[Any] = [
        {**MOON, "source": "a", "dataset": "b"},
        {**MOON, "source": None, "dataset": "b"},
    ] * 5
    pool = read(*rows, MOON)
    assert sources(pool) == ["a", "b"] * 5 + [""]
    assert pool.source_field == "source, dataset"
    assert dict(pool.sources) == {"a": 5, "b": 5, "": 1}


@pytest.mark.parametrize(
    "value",
    ["a paragraph\nof two lines", "x" * (LONGEST + 1), 3, True, None, ["a"], {"a": "b"}, "", " "],
)
def test_what_is_no_short_line_of_text_is_no_name(value):
    assert sources(read(*[{**MOON, "source": value}] * 9)) == [""] * 9


def test_a_named_column_counts_whatever_is_in_it_and_dots_lead_into_objects():
    rows: list[Any] = [{**MOON, "meta": {"from": "a\nb\x1b"}}, {**MOON, "meta": {"from": 3}}, MOON]
    pool = read(*rows, source="meta.from")
    assert sources(pool) == ["a b\\x1b", "3", ""]
    assert pool.source_field == "meta.from"
    assert dict(pool.sources) == {"a b\\x1b": 1, "3": 1, "": 1}


def test_a_named_column_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="f: no record has a name in 'origin'"):
        read(MOON, source="origin")


@pytest.mark.parametrize("off", ["none", ""])
def test_sources_can_be_left_out_of_account(off):
    pool = read(*[{**MOON, "source": "a"}] * 9, source=off)
    assert (sources(pool), pool.source_field, pool.free_field) == ([""] * 9, "", "")


def test_the_setting_is_text():
    with pytest.raises(ConfigError, match="source_field: expected text, found 3"):
        DistillConfig(source_field=3)  # type: ignore[arg-type]


VALUES = st.recursive(
    st.sampled_from(["a", "b", None, 1]) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@settings(deadline=None)
@given(
    values=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4),
    times=st.integers(1, 9),
    field=st.sampled_from([None, "source", "none"]),
)
def test_any_value_comes_back_from_disk_as_its_name_and_every_sample_is_counted(
    values, times, field
):
    rows = [{**MOON, "source": source, "dataset": name} for source, name in values] * times
    columns = Columns(source=field)
    names = [names_in(row, columns) for row in rows]
    if field == "source" and not any(map(any, names)):
        with pytest.raises(DataError):
            read(*rows, source=field)
        return
    pool = read(*rows, source=field)
    taken = [n for n, one in enumerate(columns.sources) if one in pool.source_field.split(", ")]
    expected = [next((name[n] for n in taken if name[n]), "") for name in names]
    assert sources(pool) == expected
    assert dict(pool.sources) == (dict(Counter(expected)) if taken else {})
    assert all(name.isprintable() for name in expected)


def test_the_source_is_no_part_of_a_samples_id():
    one = fakes.sample("a?", "b")
    assert replace(one, source="flan").id == one.id


def clusters(*rows: Sample) -> list[tuple[int, ...]]:
    prepared = prepare(fakes.pool(*rows), config=CONFIG, embed=embed, rate=by_words)
    return [cluster.rows for cluster in prepared.clusters]


def test_low_rows_of_one_source_share_a_cluster_and_those_of_two_never_do():
    one, two = near_rows(4)[0::3]  # both on the moon
    same = replace(one, source="flan"), replace(two, source="flan")
    assert clusters(*same) == clusters(one, two) == [(0, 1)]
    assert clusters(replace(one, source="flan"), replace(two, source="dolly")) == []
    assert clusters(replace(one, source="flan"), two) == []


def test_a_copy_goes_whatever_its_source():
    one = replace(near_rows(1)[0], source="flan")
    copy = replace(one, source="dolly", sources=(Place("f", 2, 0, ""),))
    prepared = prepare(fakes.pool(one, copy), config=CONFIG, embed=embed, rate=by_words)
    assert [sample.source for sample in prepared.samples] == ["flan"]


def test_a_fusion_is_of_the_source_of_its_cluster(tmp_path):
    rows = [replace(row, source="ab"[n // 3 % 2]) for n, row in enumerate(near_rows(12))]
    result = run(tmp_path, rows, replace(CONFIG, budget="12"))
    fusions = [entry.sample for entry in result.entries if entry.fusion]
    source_of = {row.place: row.source for row in rows}
    assert fusions
    for fusion in fusions:
        assert {source_of[place] for place in fusion.sources} == {fusion.source}


def test_a_table_shows_the_first_sources_and_sums_up_the_others():
    assert table({"a": (3, 1), "": (2, 0)}) == [("a", [3, 1]), ("(none named)", [2, 0])]
    many = table({f"{n}": (1, 2) for n in range(SHOWN + 3)})
    assert (len(many), many[-1]) == (SHOWN + 1, ("(3 others)", [3, 6]))


def test_names_mean_nothing_to_the_markdown_of_the_card():
    text = card(about(pool=replace(POOL, sources={"<b>`a`|b": 1_200})))
    assert "| source | samples | rows |\n|---|---|---|\n| `<b>'a'\\|b` | 1,200 | 0 |\n" in text


@pytest.fixture
def mixed(tmp_path):
    """Return a file of low rows on three topics, of two sources."""
    path = tmp_path / "mixed.jsonl"
    rows = [
        {"instruction": row.instruction, "output": row.response, "source": "ab"[n % 2]}
        for n, row in enumerate(near_rows(12))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_inspect_shows_the_samples_of_each_source(mixed):
    asked = ["inspect", str(mixed), "--quiet", "--near-copy", "1", "--embedder", "static"]
    found = CliRunner().invoke(cli, asked, catch_exceptions=False).stdout
    assert "sources        2 in 'source', clusters keep to one\n" in found
    assert "         6, of them 0 high, 6 low: a\n" in found
    off = CliRunner().invoke(cli, [*asked, "--source-field", "none"], catch_exceptions=False)
    assert "sources" not in off.stdout
    assert off.exit_code == 0


def test_rate_writes_rows_as_they_are_whatever_their_source(mixed, tmp_path):
    output = tmp_path / "rated.jsonl"
    asked = ["rate", str(mixed), "-o", str(output), "--quiet", "--source-field", "source"]
    assert CliRunner().invoke(cli, asked, catch_exceptions=False).exit_code == 0
    before = [json.loads(line) for line in mixed.read_text().splitlines()]
    after = [json.loads(line) for line in output.read_text().splitlines()]
    assert [{k: v for k, v in row.items() if k != "minimix_rating"} for row in after] == before
    assert load_pool(str(output), DistillConfig()).sources == {"a": 6, "b": 6}
