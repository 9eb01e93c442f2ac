"""What real files are like at their worst, and the row, the drop or the line that each gives."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from minimix import array, files, kinds, lines
from minimix.columns import Columns
from minimix.config import read_yaml
from minimix.disk import parse_json
from minimix.errors import ConfigError, FormatError
from minimix.files import read_records
from minimix.kept import answer_of
from minimix.pool import find, pool_of
from minimix.records import Answer
from minimix.rows import rows_of
from minimix.spool import record_writer

GOOD = {"instruction": "Name a moon.", "output": "Io."}
LINE = json.dumps(GOOD).encode() + b"\n"
CSV = b"instruction,output\nName a moon.,Io.\n"
DEEP = b'{"instruction": "a", "output": "b", "more": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"
SURROGATE = "not Unicode text (a lone surrogate)"
Outcome = list[Any] | str


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def row(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


UGLY: dict[str, tuple[str, bytes, Outcome]] = {
    "a BOM": ("a.jsonl", b"\xef\xbb\xbf" + LINE, [GOOD]),
    "a BOM in the middle": (
        "a.jsonl",
        LINE + b"\xef\xbb\xbf" + LINE,
        [GOOD, "not JSON (Unexpected UTF-8 BOM (decode using utf-8-sig)"],
    ),
    "CRLF": ("a.jsonl", (LINE * 2).replace(b"\n", b"\r\n"), [GOOD, GOOD]),
    "CR alone is white space and ends no line": (
        "a.jsonl",
        LINE.strip() + b"\r" + LINE,
        ["not JSON (Extra data"],
    ),
    "UTF-16 with a BOM": (
        "a.jsonl",
        LINE.decode().encode("utf-16"),
        ["not JSON ('utf-8' codec can't decode byte 0xff in position 0", "not JSON (Expecting"],
    ),
    "UTF-16 without": (
        "a.json",
        LINE.decode().encode("utf-16-le"),
        ["not JSON (Expecting property name", "not JSON (Expecting value"],
    ),
    "UTF-16 as CSV": ("a.csv", CSV.decode().encode("utf-16"), "a.csv:1: not CSV in UTF-8"),
    "Latin-1": (
        "a.jsonl",
        LINE + '{"instruction": "Où?", "output": "Là."}'.encode("latin-1"),
        [GOOD, "not JSON ('utf-8' codec can't decode byte 0xf9"],
    ),
    "half a character": (
        "a.jsonl",
        LINE + b'{"instruction": "\\ud83c", "output": "x"}\n{"\\udf4e": 1}\n',
        [GOOD, SURROGATE, SURROGATE],
    ),
    "both halves": (
        "a.jsonl",
        b'{"instruction": "\\ud83c\\udf4e?", "output": "Io."}',
        [row(instruction="\U0001f34e?")],
    ),
    "half a character in bytes": (
        "a.jsonl",
        LINE + b'{"instruction": "\xed\xa0\xbc"}',
        [GOOD, "not JSON ('utf-8' codec can't decode byte 0xed"],
    ),
    "NaN where text should be": (
        "a.jsonl",
        LINE + b'{"instruction": NaN, "output": "x"}',
        [GOOD, "'instruction': expected text, found float"],
    ),
    "NaN and Infinity as ratings": (
        "a.jsonl",
        LINE.replace(b"}", b', "rating_detail": {"Overall": Infinity}}') + LINE,
        ["'rating_detail.Overall': expected 1..10, found inf", GOOD],
    ),
    "a number of 5,000 digits": (
        "a.jsonl",
        LINE + b'{"instruction": "a", "output": "b", "n": ' + b"9" * 5_000 + b"}",
        [GOOD, "not JSON (Exceeds the limit (4300 digits)"],
    ),
    "a number of 4,000 digits": (
        "a.jsonl",
        LINE.replace(b"}", b', "n": ' + b"9" * 4_000 + b"}"),
        [row(n=int("9" * 4_000))],
    ),
    "a number beyond floats": ("a.jsonl", LINE.replace(b"}", b', "n": -1e999}'), [row(n=-1e999)]),
    "10,000 levels in a line": ("a.jsonl", LINE + DEEP, [GOOD, "not JSON (nested too deep)"]),
    "10,000 levels in an array": (
        "a.json",
        b"[" + LINE + b"," + DEEP + b"]",
        "a.json:2: not JSON (nested too deep)",
    ),
    "101 levels": (
        "a.jsonl",
        LINE.replace(b"}", b', "n": ' + b"[" * 100 + b"]" * 100 + b"}"),
        ["nested too deep"],
    ),
    "100 levels": (
        "a.jsonl",
        LINE.replace(b"}", b', "n": ' + b"[" * 99 + b"]" * 99 + b"}"),
        [row(n=json.loads("[" * 99 + "]" * 99))],
    ),
    "a key twice: the last counts, as Python, Go and JavaScript have it": (
        "a.jsonl",
        b'{"instruction": "Old?", "instruction": "Name a moon.", "output": "Io."}',
        [GOOD],
    ),
    "a column twice": (
        "a.csv",
        b"instruction,instruction,output\na,b,c\n",
        "a.csv: two columns are named 'instruction'",
    ),
    "a column of parquet twice": (
        "a.parquet",
        parquet(pa.table([["a"], ["b"], ["c"]], names=["output", "output", "instruction"])),
        "a.parquet: two columns are named 'output'",
    ),
    "formulas are text": (
        "a.csv",
        b'instruction,output\n=1+1,"=HYPERLINK(""http://x"",""y"")"\n@SUM(A1),-2+3\n',
        [
            {"instruction": "=1+1", "output": '=HYPERLINK("http://x","y")'},
            {"instruction": "@SUM(A1)", "output": "-2+3"},
        ],
    ),
    "a quote that does not end": (
        "a.csv",
        CSV + b'"x,y\n',
        "a.csv:2: not CSV in UTF-8 (unexpected end of data)",
    ),
    "a row of other length": (
        "a.csv",
        CSV + b"x\n" + b"a,b,c\n",
        [GOOD, "expected 2 cells, found 1", "expected 2 cells, found 3"],
    ),
    "a NUL in a cell is kept": (
        "a.csv",
        CSV + b"a\x00b,c\n",
        [GOOD, {"instruction": "a\x00b", "output": "c"}],
    ),
    "another separator": (
        "a.csv",
        CSV.replace(b",", b";"),
        ["expected instruction + output"],
    ),
    "every shape in one file": (
        "a.jsonl",
        LINE
        + b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
        + b'\n{"question": "c", "answer": "d"}\n[1]\n"text"\nnull\n3\n\n{}\n',
        [
            GOOD,
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            {"question": "c", "answer": "d"},
            "expected an object, found list",
            "expected an object, found str",
            "expected an object, found null",
            "expected an object, found int",
            "expected instruction + output",
        ],
    ),
    "a line cut off": ("a.jsonl", LINE + LINE[:20], [GOOD, "not JSON (Unterminated string"]),
    "a gzip cut off": ("a.jsonl.gz", gzip.compress(LINE)[:-6], "a.jsonl.gz: damaged or truncated"),
    "a zst cut off": (
        "a.jsonl.zst",
        zstandard.compress(LINE * 99)[:-6],
        "a.jsonl.zst: damaged or truncated",
    ),
    "a parquet cut off": (
        "a.parquet",
        parquet(pa.Table.from_pylist([GOOD]))[:-9],
        "a.parquet: not parquet, or damaged",
    ),
    "a parquet cut off at its front": (
        "a.parquet",
        parquet(pa.Table.from_pylist([GOOD]))[9:],
        "a.parquet: not parquet, or damaged",
    ),
    "a gzip that is none": ("a.jsonl.gz", LINE, "a.jsonl.gz: damaged or truncated"),
    "a web page": ("a.jsonl", b"<!DOCTYPE html>\n", ["not JSON (Expecting value"]),
    "control characters in text are kept": (
        "a.jsonl",
        b'{"instruction": "a\\u0000\\u001b[2J", "output": "b"}',
        [{"instruction": "a\x00\x1b[2J", "output": "b"}],
    ),
    "a raw tab in text": (
        "a.jsonl",
        LINE + b'{"instruction": "a\tb", "output": "c"}',
        [GOOD, "not JSON (Invalid control character"],
    ),
    "nothing": ("a.jsonl", b"", "a.jsonl: the file is empty"),
    "nothing but NUL": ("a.jsonl", bytes(100), ["not JSON (Expecting value"]),
}


def outcome(name: str) -> Outcome:
    """Return what each record gave: its row or its problem; one line where the file is refused."""
    try:
        records = list(read_records(name))
    except FormatError as error:
        return str(error)
    kept = record_writer()
    kept.extend(records)
    assert [one.place for one in kept.spool()] == [one.place for one in records]
    found = [find(one, Columns()) for one in records]
    pairs = zip(records, found, strict=True)
    return [gave.problem or record.row for record, gave in pairs]


@pytest.mark.parametrize(("name", "data", "expected"), UGLY.values(), ids=UGLY)
def test_each_ugliness_has_its_row_drop_or_line(tmp_path, monkeypatch, name, data, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    found = outcome(name)
    if isinstance(expected, str):
        assert isinstance(found, str)
        assert found.startswith(expected)
        assert "\n" not in found
        return
    assert len(found) == len(expected)
    for one, wanted in zip(found, expected, strict=True):
        if isinstance(wanted, str):
            assert one.startswith(wanted)
            assert "\n" not in one
        else:
            assert one == wanted


def test_a_file_of_nothing_but_ugly_lines_is_refused_and_a_few_are_dropped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE * 99 + DEEP)
    columns = Columns()
    pool = pool_of((find(one, columns) for one in read_records(str(path))), "a", columns=columns)
    assert (len(pool.samples), [drop.reason for drop in pool.dropped]) == (
        99,
        ["not JSON (nested too deep)"],
    )


def test_a_callers_rows_may_hold_what_json_cannot():
    loop: list[Any] = []
    loop.append(loop)
    odd = [10**5_000, {(1, 2): 3}, {None: 1, "a": 2}, loop, 1j, {1, 2}, GOOD]
    found = [one.problem.split(" (")[0] or one.row for one in rows_of(odd).records()]
    assert found == [
        "not a row of JSON",
        {"(1, 2)": 3},
        {"None": 1, "a": 2},
        "nested too deep",
        "expected an object, found complex",
        "expected an object, found set",
        GOOD,
    ]


@pytest.fixture
def small(monkeypatch) -> None:
    """Make the bounds small enough to be met by small files."""
    for module in (lines, array, kinds):
        monkeypatch.setattr(module, "LONGEST", 200)
    for module in (array, kinds, lines):
        monkeypatch.setattr(module, "BLOCK_BYTES", 50)
    monkeypatch.setattr(kinds, "MOST_WHOLE", 400)
    monkeypatch.setattr(files, "UNCOUNTED", 1_000)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_too_long_to_hold_is_dropped_with_the_hash_of_its_bytes(tmp_path, number):
    long = b'{"instruction": "' + b"a" * 1_000 + b'", "output": "b"}'
    rows = [LINE.strip()] * 3
    rows[number] = long
    (tmp_path / "a.jsonl").write_bytes(b"\r\n".join(rows))
    found = list(read_records(str(tmp_path / "a.jsonl")))
    assert [one.problem for one in found].count("longer than 200 bytes") == 1
    assert found[number].place.sha256 == hashlib.sha256(long).hexdigest()
    assert [one.row for one in found].count(GOOD) == 2


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("a.json", b"[" + LINE + b',"' + b"a" * 999 + b'"]', "a.json:2: not JSON (an element long"),
        ("a.json", b'{"data": ["' + b"a" * 999 + b'"]}', "a.json: a single JSON value of over 400"),
        ("a.csv", CSV + b"a" * 999 + b",b\n", "a.csv:2: not CSV in UTF-8 (a row longer than 200"),
        ("a.csv", CSV + b'"\n",' * 99 + b"b\n", "a.csv:2: not CSV in UTF-8 (a row longer than 200"),
    ],
)
def test_what_is_too_long_to_hold_ends_the_file(tmp_path, monkeypatch, name, data, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    assert str(outcome(name)).startswith(line)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_unpacks_out_of_all_proportion_is_refused(tmp_path, suffix):
    pack = gzip.compress if suffix == ".gz" else zstandard.compress
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack(LINE * 3))
    assert len(list(read_records(str(path)))) == 3
    path.write_bytes(pack(LINE * 200_000))
    with pytest.raises(FormatError, match="unpacks to more than 200 times its size"):
        list(read_records(str(path)))


READ = """
import resource, sys, time
from minimix.columns import Columns
from minimix.errors import FormatError
from minimix.files import read_records
from minimix.pool import find
list(read_records(sys.argv[1]))
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    said = [len(one.problem) for one in (find(r, Columns()) for r in read_records(sys.argv[2]))]
except FormatError as error:
    said = str(error)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) >> 10, said)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "most_mb", "says"),
    [("a line of 100 MB", 700, "[0, 0]"), ("a bomb", 450, "unpacks to more than 200 times")],
)
def test_memory_stays_within_bounds(tmp_path, what, most_mb, says):
    """A line is held as bytes, text and value; a bomb is over before any of it is whole."""
    (tmp_path / "a.jsonl").write_bytes(LINE)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINE))
    long = b'{"instruction": "' + b"a" * 100_000_000 + b'", "output": "b"}\n'
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join([packer.compress(bytes(2**24)) for _ in range(256)]) + packer.flush()
    path = tmp_path / ("long.jsonl" if "line" in what else "bomb.jsonl.zst")
    path.write_bytes(LINE + long if "line" in what else bomb)
    known = tmp_path / ("a.jsonl" if "line" in what else "a.jsonl.gz")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(known), str(path)], capture_output=True, text=True
    )
    taken, _, said = done.stdout.partition(" ")
    assert says in said, done.stderr
    assert int(taken) < most_mb


ANSWER = {"task": 0, "candidate": 1, "text": "a", "finish": "stop", "note": ""}


def test_an_answer_on_disk_is_one_or_says_that_it_is_none():
    assert answer_of(ANSWER) == Answer(0, 1, "a", "stop")
    odd: list[object] = [
        {**ANSWER, name: value} for name, value in (("task", -1), ("text", 3), ("finish", "x"))
    ]
    for plain in (*odd, [], None, {"task": 0}, {**ANSWER, "more": 1}, {**ANSWER, "task": True}):
        with pytest.raises(ValueError, match="expected an answer, found"):
            answer_of(plain)


def test_json_that_is_nested_too_deep_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 10_000)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[" * 5_000, "not YAML (maximum recursion depth exceeded"),
        ("a: !!int ''", "not YAML (string index out of range)"),
        ("a: !!bool x", "not YAML ('x')"),
        ("a: 2026-13-45", "not YAML (month must be in 1..12)"),
        ("a: {b: 1}", "'a': expected a value, or a list of values"),
        ("a: &x [1, 2]\nb: [*x, *x]", "'b': expected a value, or a list of values"),
        ("3", "expected settings as 'name: value', found int"),
        ("- a", "expected settings as 'name: value', found list"),
    ],
)
def test_a_settings_file_that_is_none_is_one_line(tmp_path, text, line):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: {line}")
    assert len(str(caught.value).splitlines()) == 1
