"""A source by name gives the same records whatever it is packed in; what is damaged says so."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from minimix.errors import FormatError
from minimix.files import data_files, read_records, stem

ROWS = [
    {"instruction": "Name a fruit.", "output": "An apple."},
    {"instruction": "Où est\u2028le café ?", "output": 'Là,\n"ici" 🍎'},
    {"instruction": "Count.", "output": "1, 2"},
]
BOM = b"\xef\xbb\xbf"
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
ARRAY = json.dumps(ROWS, indent=1, ensure_ascii=False).encode()


def as_csv() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["instruction", "output"])
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


PACKED = {
    "data.jsonl": LINES,
    "crlf.jsonl": BOM + b"\r\n" + LINES.replace(b"\n", b"\r\n \r\n"),
    "array.jsonl": b"\n " + ARRAY,
    "unended.jsonl": LINES.rstrip(),
    "data.json": BOM + ARRAY,
    "wrapped.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "lines.json": BOM + LINES,
    "data.csv": as_csv(),
    "excel.csv": BOM + b"\r\n" + as_csv().replace(b"\r\n", b"\r\n\r\n  \r\n"),
    "data.parquet": as_parquet(),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".ZST": zstandard.compress,
}


def rows_of(source: object) -> list[object]:
    return [record.row for record in read_records(str(source))]


def problem_with(source: object) -> str:
    with pytest.raises(FormatError) as caught:
        list(read_records(str(source)))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", PACKED)
def test_a_file_gives_the_same_rows_in_whatever_it_is_packed(tmp_path, name, suffix):
    path = tmp_path / (name + suffix)
    path.write_bytes(PACKERS[suffix](PACKED[name]))
    records = list(read_records(str(path)))
    assert [record.row for record in records] == ROWS
    assert [str(record.place) for record in records] == [f"{path}:{line}" for line in (1, 2, 3)]
    assert len({record.place.sha256 for record in records}) == 3


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv", "data.parquet"])
def test_stdin_gives_the_same_rows(monkeypatch, name, suffix):
    data = PACKERS[suffix](PACKED[name])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert rows_of("-") == ROWS


def test_lines_on_stdin_may_be_bad_one_by_one(monkeypatch):
    data = b" " * 99 + LINES + b'{"instruction": "\xff"}\n'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert rows_of("-") == [*ROWS, None]


def test_compressed_files_may_have_been_joined(tmp_path):
    for suffix, pack in (".gz", gzip.compress), (".zst", zstandard.compress):
        path = tmp_path / f"data.jsonl{suffix}"
        path.write_bytes(pack(LINES) + pack(LINES))
        assert rows_of(path) == ROWS + ROWS


def test_a_folder_is_read_in_order_without_hidden_files_and_outputs(tmp_path):
    for name in ("b.jsonl", "a/z.json", ".hidden.jsonl", ".git/x.jsonl", "old.distilled/t.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PACKED["data.jsonl"])
    (tmp_path / "notes.txt").write_text("not data")
    assert data_files(tmp_path) == [tmp_path / "a/z.json", tmp_path / "b.jsonl"]
    assert rows_of(tmp_path) == ROWS + ROWS


def test_a_folder_without_data_says_what_it_looked_for(tmp_path):
    assert "expected files named .jsonl, .json, .csv, .parquet" in problem_with(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.jsonl", b"", "the file is empty"),
        ("a.jsonl", BOM + b"\n \r\n", "the file is empty"),
        ("a.jsonl.gz", gzip.compress(b""), "the file is empty"),
        ("a.json", b"3", "expected an array or {'data': [...]}, found int"),
        ("a.json", b"[" * 10_000 + b"]" * 10_000, "not JSON (nested too deep)"),
        ("a.json", b"[" + b"9" * 5000 + b"]", "not JSON (Exceeds the limit"),
        ("a.json", ARRAY[:-2], "not JSON (Expecting"),
        ("a.json", LINES.decode().encode("utf-16"), "not JSON ('utf-8' codec can't decode"),
        ("a.csv", as_csv().decode().encode("utf-16"), "not CSV in UTF-8"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00", "not CSV in UTF-8"),
        ("a.csv", b'a,b\n"x,y\n', "a.csv:1: not CSV in UTF-8 (unexpected end of data)"),
        ("a.csv", b"output,,,output\n1,2,3,4\n", "two columns are named 'output'"),
        ("a.parquet", LINES, "not parquet, or damaged"),
        ("a.parquet", as_parquet()[:-5], "not parquet, or damaged"),
        ("a.jsonl.gz", gzip.compress(LINES)[:-9], "damaged or truncated"),
        ("a.jsonl.gz", gzip.compress(LINES)[:30] + b"\xff" * 99, "damaged or truncated"),
        ("a.csv.gz", b"not gzip", "damaged or truncated"),
        ("a.jsonl.zst", zstandard.compress(LINES)[:-9], "damaged or truncated"),
        ("a.parquet.zst", zstandard.compress(as_parquet())[:-9], "damaged or truncated"),
        ("a.txt", LINES, "expected a file named .jsonl"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, data, problem):
    path = tmp_path / name
    path.write_bytes(data)
    assert problem in problem_with(path)


def test_parquet_text_that_is_not_utf_8_is_one_line(tmp_path):
    bad = pa.array([b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"instruction": bad}), tmp_path / "a.parquet")
    assert "not parquet, or damaged ('utf-8' codec" in problem_with(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "name", ["no/such/file", "none.jsonl", "data/none.json", "../x", "\U0001f34e"]
)
def test_a_name_that_leads_nowhere_says_so(name):
    assert problem_with(name) == f"{name}: no such file or folder"


@pytest.mark.parametrize("name", ["two\nlines.jsonl", "bell\x07", "\udcff.jsonl", "a\x00b"])
def test_a_name_that_no_ledger_can_hold_is_refused(name, tmp_path):
    assert "rename it" in problem_with(name)
    if "\x00" not in name:
        (tmp_path / name).with_suffix(".jsonl").write_bytes(LINES)
        assert "rename it" in problem_with(tmp_path)


def test_what_the_system_refuses_is_one_line(tmp_path):
    assert "cannot be read (File name too long)" in problem_with("x" * 5000)
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    assert "cannot be read (No such file or directory)" in problem_with(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("-", "stdin"),
        ("x/pets.v2.JSONL.gz", "pets.v2"),
        ("a.csv", "a"),
        ("me/pets:test", "pets-test"),
    ],
)
def test_the_stem_names_the_source(source, name):
    assert stem(source) == name


HUB = {
    "me/mine": {"README.md": b"# Mine\n", "train.jsonl": LINES},
    "me/broken": {"README.md": b"# Broken\n", "train.jsonl": b'{"a": 1}\n{"a": \n'},
}
asked: list[str] = []
"""The paths that the hub was asked for."""
ASK = """
import sys
from minimix.errors import FormatError
from minimix.files import hub_commit, read_records
for source in sys.argv[1:]:
    try:
        print(source, [record.row["output"] for record in read_records(source)], hub_commit(source))
    except FormatError as error:
        print(error)
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as `datasets` asks for."""

    def do_GET(self) -> None:
        path, commit = self.path.partition("?")[0], "a" * 40
        files = next((files for name, files in HUB.items() if f"/{name}/" in f"{path}/"), {})
        tree = [{"type": "file", "path": name, "size": 1, "oid": commit} for name in files]
        found = files.get(path.rpartition("/")[2], b"")
        asked.append(path)
        if files and ("/revision/" in path or "/tree/" in path or path.endswith(tuple(HUB))):
            found = json.dumps(tree if "/tree/" in path else {"id": "x", "sha": commit}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", f'"{len(found)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Error-Code", "" if found else "EntryNotFound")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else found)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_hub_id_is_read_from_the_hub(tmp_path):
    asked.clear()
    named = ["me/mine", "me/mine:train", "me/mine@v1:test", "me/broken", "me/nothing"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-c", ASK, *named]
        done = subprocess.run(command, env=settings, capture_output=True, text=True, cwd=tmp_path)
        server.shutdown()
    lines = done.stdout.splitlines()
    outputs = [row["output"] for row in ROWS]
    commit = "a" * 40
    expected = [f"me/mine {outputs} {commit}", f"me/mine:train {outputs} {commit}"]
    assert lines[:2] == expected, done.stderr
    assert any(path.endswith("/revision/v1") for path in asked)
    fetched = [path for path in asked if "/resolve/" in path and "/nothing/" not in path]
    assert fetched
    assert all(f"/resolve/{commit}/" in path for path in fetched)
    assert "me/mine@v1:test: no such file or folder, and not to be had" in lines[2]
    assert 'Unknown split "test"' in lines[2]
    assert lines[3].startswith("me/broken: ")
    assert lines[4].startswith("me/nothing: ")
    assert len(lines) == 5
