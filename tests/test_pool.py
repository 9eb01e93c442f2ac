"""Reading a source into a pool: bad rows are dropped with a reason, ratings never guessed."""

import gzip
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.columns import Columns
from minimix.disk import record_sha256
from minimix.errors import ConfigError, DataError, FormatError
from minimix.pool import Pool, read_pool

GOOD = {"instruction": "Name a fruit.", "output": "An apple."}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def pool_of(tmp_path):
    """Return a function that reads lines, given as objects or as text, from a file."""

    def read(*lines, name="data.jsonl", **options):
        path = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
        return read_pool(str(path), **options)

    return read


def rated(pool: Pool) -> list[float | None]:
    return [sample.rating for sample in pool.samples]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"instruction": ', "not JSON (Expecting value"),
        ("hello", "not JSON (Expecting value"),
        ("[1, 2]", "expected an object, found list"),
        ("null", "expected an object, found null"),
        ("{}", "found no fields"),
        ('{"instruction": "Name a fruit."}', "found 'instruction'"),
        ('{"instruction": "", "output": "x"}', "'instruction' is empty"),
        ('{"instruction": NaN, "output": "x"}', "expected text, found float"),
        ('{"instruction": %s, "output": "x"}' % ("9" * 5000), "not JSON (Exceeds the limit"),
        ('{"instruction": "\\ud800", "output": "x"}', "not Unicode text (a lone surrogate)"),
        ('{"instruction": "x", "output": "\ud800"}', "not JSON ('utf-8' codec can't decode"),
        ('{"a": %s}' % ("[" * 10_000 + "]" * 10_000), "nested too deep"),
    ],
    ids=range(12),
)
def test_a_bad_row_is_dropped_with_its_line_and_reason(pool_of, line, reason):
    pool = pool_of(GOOD, "", line, GOOD, max_bad=0.5)
    (drop,) = pool.dropped
    assert str(drop.place).endswith("data.jsonl:2")  # the blank line is no record
    assert (drop.stage, reason in drop.reason) == ("read", True)
    assert [sample.place.line for sample in pool.samples] == [1, 3]
    assert pool.records == 3


@pytest.mark.parametrize("depth", range(940, 1000, 3))
def test_no_depth_of_nesting_is_more_than_a_bad_row(pool_of, depth):
    deep = '{"messages": [{"role": "user"}, %s]}' % ("[" * depth + "]" * depth)
    pool = pool_of(GOOD, deep, max_bad=0.5)
    assert pool.dropped[0].place.sha256 == sha256(deep) or "found list" in pool.dropped[0].reason


def test_more_than_one_bad_row_in_twenty_ends_the_run(pool_of):
    assert len(pool_of(*[GOOD] * 19, "oops").dropped) == 1
    with pytest.raises(FormatError, match=r"only 18 of 19 .*data\.jsonl:19: not JSON.*--max-bad"):
        pool_of(*[GOOD] * 18, "oops")
    assert len(pool_of(*[GOOD] * 18, "oops", max_bad=0.1).samples) == 18


def test_a_source_without_one_readable_record_always_ends_the_run(pool_of):
    with pytest.raises(FormatError, match="none of 2 records can be read"):
        pool_of("oops", "oops", max_bad=1.0)
    with pytest.raises(FormatError, match="no records"):
        pool_of("[]", name="data.json")


@pytest.mark.parametrize("cells", ["only one", "a,b,c"])
def test_a_csv_row_with_other_cells_than_its_header_is_bad(pool_of, cells):
    pool = pool_of("instruction,output", "x,y", cells, name="a.csv", max_bad=0.5)
    found = cells.count(",") + 1
    assert [drop.reason for drop in pool.dropped] == [f"expected 2 cells, found {found}"]


def test_a_single_object_is_one_record_even_with_a_field_named_data(pool_of):
    assert len(pool_of({**GOOD, "data": "of last year"}, name="a.json").samples) == 1


def test_a_utf_16_file_has_not_one_readable_record(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(GOOD).encode("utf-16"))
    with pytest.raises(FormatError, match=r"none of 1 records can be read .*not JSON"):
        read_pool(str(path))


def test_only_so_many_records_are_read(pool_of):
    assert (pool_of(*[GOOD] * 9, limit=4).records, pool_of(GOOD, limit=4).records) == (4, 1)


def test_the_commonest_shape_is_the_pools(pool_of):
    pool = pool_of(GOOD, *[{"prompt": "Name a fruit.", "completion": "A fig."}] * 2)
    assert (pool.shape, dict(pool.shapes)) == (
        "prompt-completion",
        {"alpaca-no-input": 1, "prompt-completion": 2},
    )


def test_the_hash_is_that_of_canonical_json(pool_of):
    pool = pool_of('{"output":  "caf\\u00e9", "instruction": "Où?", "n": [1.50, null, true]}')
    canonical = '{"instruction":"Où?","n":[1.5,null,true],"output":"café"}'
    assert pool.samples[0].place.sha256 == sha256(canonical)


@pytest.mark.parametrize("line", ["  oops", '{"instruction": "\\udead", "output": "x"}'])
def test_the_hash_of_an_unreadable_line_is_that_of_its_bytes(pool_of, line):
    pool = pool_of(GOOD, line, max_bad=0.5)
    assert pool.dropped[0].place.sha256 == sha256(line.strip())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aé\n"), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text("abé"), JSON, max_size=3))
def test_the_hash_depends_on_what_a_record_says_and_not_on_how(row):
    backwards = dict(reversed(row.items()))
    again = json.loads(json.dumps(backwards, indent=3, ensure_ascii=True))
    assert record_sha256(again) == record_sha256(row)


def detail(**fields: float) -> dict[str, object]:
    return {**GOOD, "rating_detail": fields}


def test_compressed_ratings_are_taken_as_they_are(pool_of):
    pool = pool_of(detail(Overall_compressed=0), detail(Overall_compressed=5, Overall=1), GOOD)
    assert rated(pool) == [0.0, 5.0, None]
    assert pool.rating_field == "rating_detail.Overall_compressed"


def test_overall_ratings_are_compressed_as_the_paper_does(pool_of):
    pool = pool_of(*(detail(Overall=value) for value in (1, 4, 5, 9, 10)))
    assert rated(pool) == [0.0, 0.0, 1.0, 5.0, 5.0]
    named = Columns(rating="rating_detail.Overall")
    assert rated(pool_of(detail(Overall=7), columns=named)) == [3.0]


def test_a_flat_column_may_bear_the_dotted_name(pool_of):
    name = "rating_detail.Overall_compressed"
    pool = pool_of(f"instruction,output,{name}", "Name a fruit.,An apple.,3.5", name="data.csv")
    assert (rated(pool), pool.rating_field) == ([3.5], name)


@pytest.mark.parametrize("field", ["score", "rating", "quality"])
def test_a_scale_is_never_guessed(pool_of, field):
    pool = pool_of({**GOOD, field: 4})
    assert (rated(pool), pool.rating_field, pool.unscaled) == ([None], "", field)
    pool = pool_of({**GOOD, field: 4}, columns=Columns(low=0, high=10))
    assert (rated(pool), pool.rating_field, pool.unscaled) == ([2.0], field, "")


def test_a_named_field_is_used_and_its_dots_lead_into_objects(pool_of):
    row = {**GOOD, "score": 9, "meta": {"judge": {"stars": "2"}}}
    named = Columns(rating="meta.judge.stars", low=1, high=5)
    assert rated(pool_of(row, GOOD, columns=named)) == [1.25, None]


def test_a_named_field_without_a_known_scale_is_refused(pool_of):
    with pytest.raises(
        ConfigError, match=r"scale of 'stars' is not known \(found 3\).*RANGE|range"
    ):
        pool_of({**GOOD, "stars": 3}, columns=Columns(rating="stars"))


@pytest.mark.parametrize("value", ["good", None, True, [3], ""])
def test_a_named_field_without_numbers_is_refused(pool_of, value):
    with pytest.raises(DataError, match="no record has a number in 'stars'"):
        pool_of({**GOOD, "stars": value}, columns=Columns(rating="stars", low=1, high=5))


def test_a_rating_that_is_no_number_is_no_rating(pool_of):
    pool = pool_of(detail(Overall_compressed=3), detail(Overall_compressed=float("nan")))
    assert rated(pool) == [3.0, None]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Overall_compressed", 5.5, "expected 0..5, found 5.5"),
        ("Overall_compressed", 10**400, "expected 0..5, found inf"),
        ("Overall", 0, "expected 1..10, found 0"),
        ("Overall", 11, "expected 1..10, found 11"),
    ],
)
def test_a_rating_outside_its_scale_is_a_bad_row(pool_of, field, value, reason):
    pool = pool_of(detail(Overall_compressed=3), detail(**{field: value}), max_bad=0.5)
    assert (rated(pool), len(pool.dropped)) == ([3.0], 1)
    assert reason in pool.dropped[0].reason


def test_every_exchange_of_a_rated_chat_has_its_rating(pool_of):
    turns = [("user", "Name a red fruit."), ("assistant", "A cherry.")] * 2
    messages = [{"role": role, "content": text} for role, text in turns]
    pool = pool_of({"messages": messages, "rating_detail": {"Overall_compressed": 4}})
    assert (rated(pool), [s.place.part for s in pool.samples]) == ([4.0, 4.0], [0, 1])


def test_a_packed_pool_is_the_plain_one(pool_of, tmp_path):
    plain = pool_of(GOOD, "oops", max_bad=0.5)
    packed = tmp_path / "data.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "data.jsonl").read_bytes()))
    again = read_pool(str(packed), max_bad=0.5)
    assert [s.text for s in again.samples] == [s.text for s in plain.samples]
    assert [d.place.sha256 for d in again.dropped] == [d.place.sha256 for d in plain.dropped]
    assert read_pool(str(packed), limit=1).samples[0].text == plain.samples[0].text
