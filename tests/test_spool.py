"""Samples on disk come back as they were, by row, and leave nothing behind."""

import gc
import io
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.arrow import Distilled, distill
from minimix.config import DistillConfig
from minimix.dedupe import drop_exact_copies
from minimix.disk import BLOCK_BYTES, nearest_folder
from minimix.errors import OutputError
from minimix.journal import open_journal
from minimix.kinds import Record, read_json
from minimix.pool import Pool, read_pool
from minimix.records import KINDS, Place, Sample
from minimix.spool import Spool, Texts, record_writer, sample_writer, subset
from minimix.unnamed import Unnamed
from tests.fakes import CONFIG, models, near_rows, sample

ANY = st.text(st.characters(codec=None) | st.sampled_from("\0\n\ud83d\ude00🍎"), max_size=20)
PLACES = st.builds(Place, ANY, st.integers(1, 2**40), st.integers(0, 9), ANY)
SAMPLES = st.builds(
    Sample,
    ANY,
    ANY,
    st.lists(PLACES, min_size=1, max_size=3).map(tuple),
    ANY,
    ANY,
    st.sampled_from(KINDS),
    st.none() | st.floats(0, 5),
    ANY,
)
THREE = [sample("Name a fruit.", "An apple.", 1), sample("Où ?", "Là.", 2), sample("", "", 3, 4.5)]


def spooled(samples) -> Spool[Sample]:
    writer = sample_writer()
    writer.extend(samples)
    return writer.spool()


def open_files() -> int:
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


@settings(deadline=None)
@given(samples=st.lists(SAMPLES, max_size=8), data=st.data())
def test_samples_come_back_as_they_were(samples, data):
    spool = spooled(samples)
    assert list(spool) == samples == [spool[row] for row in range(len(samples))]
    assert list(Texts(spool)) == [one.text for one in samples] == Texts(spool)[:]
    rows = st.lists(st.integers(0, len(samples) - 1), max_size=12) if samples else st.just([])
    taken = data.draw(rows)
    assert list(spool.take(taken)) == [samples[row] for row in taken]


def test_rows_are_counted_as_in_a_list():
    spool = spooled(THREE)
    assert (len(spool), spool[-1], THREE[1] in spool) == (3, THREE[2], True)
    assert list(spool[1:]) == THREE[1:]
    assert list(spool[::-1]) == THREE[::-1]
    with pytest.raises(IndexError):
        spool[3]


def test_a_view_of_a_view_is_of_the_same_file():
    assert list(spooled(THREE).take([2, 0]).take([1, 1])) == [THREE[0], THREE[0]]


def test_no_samples_make_an_empty_spool():
    assert list(spooled([])) == list(spooled(THREE).take([])) == []
    assert Texts(spooled([]))[:] == []


def test_samples_longer_than_a_block_come_back_from_near_and_far():
    long = [sample("a" * (BLOCK_BYTES // 2), "b" * line, line) for line in range(1, 20)]
    spool = spooled(long)
    assert list(spool) == long
    assert list(spool.take([18, 0])) == [long[18], long[0]]


def test_threads_may_read_together():
    many = [replace(THREE[0], response=str(row)) for row in range(2_000)]
    spool, found = spooled(many), {}

    def read(number: int) -> None:
        found[number] = [spool[row] for row in range(number, 2_000, 4)]

    threads = [Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == many[number::4] for number in range(4))


def test_a_subset_is_a_view_of_a_spool_and_a_list_of_a_list():
    assert subset(THREE, [2, 0]) == [THREE[2], THREE[0]]
    view = subset(spooled(THREE), [2, 0])
    assert isinstance(view, Spool)
    assert list(view) == [THREE[2], THREE[0]]


def test_the_texts_of_a_list_are_lazy_too():
    texts = Texts(THREE)
    assert (len(texts), texts[0], texts[1:]) == (3, "Name a fruit.\nAn apple.", ["Où ?\nLà.", "\n"])


LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text()


@given(value=st.recursive(LEAVES, st.lists))
def test_records_come_back_as_they_were(value):
    records = [
        Record(Place("f\n", 1, 0, "a"), {"field": value, "other": 2**70}),
        Record(Place("g", 2, 0, "b"), None, "not JSON"),
    ]
    writer = record_writer()
    writer.extend(records)
    assert list(writer.spool()) == records


def test_a_pool_keeps_its_text_on_disk_and_leaves_no_name(tmp_path):
    source, folder = tmp_path / "data.csv", tmp_path / "disk"
    source.write_text("instruction,output\nName a fruit.,An apple.\n")
    folder.mkdir()
    before = open_files()
    pool = read_pool(str(source), folder=folder)
    assert isinstance(pool.samples, Spool)
    assert pool.samples[0].response == "An apple."
    assert (list(folder.iterdir()), open_files()) == ([], before + 1)
    view = pool.samples.take([0])
    del pool
    assert (view[0].instruction, open_files()) == ("Name a fruit.", before + 1)
    del view
    assert open_files() == before


def test_a_disk_that_takes_no_more_is_one_line(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = sample_writer(tmp_path)
    writer.add(sample("a" * 10_000, "b"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    try:
        with pytest.raises(OutputError, match=f"^{tmp_path}: cannot be written .File too large."):
            writer.spool()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_lost_its_end_is_one_line_and_no_shorter_sample(tmp_path):
    writer = sample_writer(tmp_path)
    writer.extend(THREE)
    spool = writer.spool()
    os.ftruncate(spool._file._number, int(spool._starts[2]) + 9)
    assert list(spool[:2]) == THREE[:2]
    line = f"^{tmp_path}: what .* cannot be read back .expected .* bytes at .*, found .*$"
    for read in (lambda: spool[2], lambda: list(spool), lambda: list(spool.take([2, 0]))):
        with pytest.raises(OutputError, match=line):
            read()


def test_a_disk_that_gives_nothing_back_is_one_line(tmp_path):
    writer = sample_writer(tmp_path)
    writer.extend(THREE)
    spool = writer.spool()
    folder = os.open(tmp_path, os.O_RDONLY)
    os.dup2(folder, spool._file._number)  # a folder's bytes are not to be had
    os.close(folder)
    with pytest.raises(OutputError, match=f"^{tmp_path}: what .* read back .Is a directory"):
        spool[0]


def test_what_is_shorter_than_the_bytes_asked_for_does_not_begin_with_them(tmp_path):
    file = Unnamed(tmp_path)
    file.write(b"PA")
    assert (file.begins_with(b"PA"), file.begins_with(b"PAR1")) == (True, False)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="none: cannot be written"):
        sample_writer(tmp_path / "none")


def test_an_output_still_to_be_made_lies_on_the_disk_of_the_nearest_folder(tmp_path):
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_stdin_and_packed_columns_are_read_from_that_disk(tmp_path, monkeypatch):
    row = {"instruction": "Name a fruit.", "output": "An apple."}
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), file)
    packed = pa.compress(file.getvalue(), codec="gzip", asbytes=True)
    (tmp_path / "data.parquet.gz").write_bytes(packed)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(packed)))
    before = open_files()
    for source in ("-", str(tmp_path / "data.parquet.gz")):
        assert read_pool(source, folder=tmp_path).samples[0].response == "An apple."
    assert open_files() == before
    assert [path.name for path in tmp_path.iterdir()] == ["data.parquet.gz"]


def test_json_lines_are_read_line_by_line_whatever_their_file_is_named():
    lines = io.BytesIO(b'\n{"a": 1}\n' + b'{"a": 2}\n' * BLOCK_BYTES)
    records = read_json("lines.json", lines)
    assert [next(records).row for _ in range(3)] == [{"a": 1}, {"a": 2}, {"a": 2}]
    assert lines.tell() < 100


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        (b'{"a":\n1}\n', [{"a": 1}]),
        (b'{"a": 1}\n\n', [{"a": 1}]),
        (b'{"broken\n{"a": 2}\n', [None, {"a": 2}]),
        (b'{"a": 1}\nbroken\n', [{"a": 1}, None]),
        (b'{"data": [{"a": 1}]}\n', [{"a": 1}]),
        (b'{"data": [{"a": 1}]}\n{"a": 2}', [{"data": [{"a": 1}]}, {"a": 2}]),
    ],
)
def test_objects_are_lines_where_one_ends_and_another_follows(data, rows):
    assert [record.row for record in read_json("data.json", io.BytesIO(data))] == rows


@settings(deadline=None)
@given(
    samples=st.lists(st.builds(sample, st.text("a \0", max_size=3), st.text("a \0", max_size=3)))
)
def test_exact_copies_are_those_with_equal_text(samples):
    first: dict[tuple[str, str], int] = {}
    for row, one in enumerate(samples):
        first.setdefault((one.prompt.strip(), one.response.strip()), row)
    kept, dropped = drop_exact_copies(spooled(samples))
    assert kept == list(first.values()) == drop_exact_copies(samples)[0]
    assert len(kept) + len(dropped) == len(samples)


def distilled(folder: Path, samples: Sequence[Sample], config: DistillConfig = CONFIG) -> Distilled:
    """Distil samples in whatever sequence they are."""
    pool = Pool(samples=samples, dropped=(), records=len(samples), shapes={"alpaca": 1})
    with open_journal(folder / "out", restart=False) as journal:
        journal.begin({"settings": config.flat()})
        return distill(pool, config=config, models=models(), journal=journal)


def rated_rows(*ratings: float | None) -> list[Sample]:
    """Rows that say something different each, with these ratings."""
    rows = near_rows(len(ratings))
    return [replace(row, rating=rating) for row, rating in zip(rows, ratings, strict=True)]


@pytest.mark.parametrize("every", [2, 5, 50])
def test_a_run_over_a_spool_ends_as_one_over_a_list(tmp_path, every):
    rows = rated_rows(*(4.5 if row % every == 0 else None for row in range(40)))
    rows += [replace(rows[0], sources=(Place("f", 41, 0, ""),))]
    plain, on_disk = distilled(tmp_path / "a", rows), distilled(tmp_path / "b", spooled(rows))
    assert (on_disk.entries, on_disk.dropped) == (plain.entries, plain.dropped)
    assert on_disk.counts == plain.counts


def test_a_small_budget_takes_the_first_high_rows_in_their_order(tmp_path):
    rows = spooled(rated_rows(*[4.0, 4.5, 4.5, 5.0] * 5))
    config = replace(CONFIG, mix=0.0, near_copy=1.0)
    found = distilled(tmp_path, rows, replace(config, budget="7"))
    first = [found.prepared.samples[row] for row in found.prepared.high[:7]]
    assert len(found.prepared.high) == 20
    assert {one.sample.id for one in found.entries} == {sample.id for sample in first}
