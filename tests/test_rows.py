"""Rows at hand are read as a file of the same rows is."""

import json
from typing import Any

import datasets
import numpy as np
import pandas
import pytest

from minimix.columns import Columns
from minimix.disk import record_sha256
from minimix.errors import FormatError
from minimix.files import read_records
from minimix.kinds import Record
from minimix.pool import Pool, find, pool_of
from minimix.rows import rows_of

ROWS = [
    {"instruction": "Name a moon.", "input": "", "output": "Io.", "rating": 3},
    {"instruction": "Name a tide.", "input": "at sea", "output": "Ebb.", "rating": 4},
]
CHAT = {
    "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello to you"}]
}


def read(data: Any) -> list[Record]:
    return list(rows_of(data).records())


def pool(data: Any) -> Pool:
    columns = Columns()
    return pool_of((find(one, columns) for one in read(data)), "samples", columns=columns)


@pytest.mark.parametrize(
    "data",
    [ROWS, tuple(ROWS), iter(ROWS), pandas.DataFrame(ROWS), datasets.Dataset.from_list(ROWS)],
    ids=["list", "tuple", "generator", "pandas", "datasets"],
)
def test_rows_are_the_records_of_a_file_with_the_same_rows(data, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    there, here = list(read_records(str(path))), read(data)
    assert [one.row for one in here] == [one.row for one in there] == ROWS
    assert [one.place.sha256 for one in here] == [one.place.sha256 for one in there]
    assert [str(one.place) for one in here] == ["samples:1", "samples:2"]


def test_a_stream_of_the_hub_is_read_as_it_comes():
    stream = datasets.Dataset.from_list(ROWS).to_iterable_dataset()
    assert [one.row for one in read(stream)] == ROWS


def test_a_data_set_is_read_past_the_format_it_was_set_to():
    assert [one.row for one in read(datasets.Dataset.from_list(ROWS).with_format("numpy"))] == ROWS


def test_values_of_numpy_are_plain_ones():
    row = {"a": np.int64(3), "b": np.float32(0.5), "c": np.array([[1, 2]]), "d": np.bool_(True)}
    (one,) = read([row])
    assert one.row == {"a": 3, "b": 0.5, "c": [[1, 2]], "d": True}
    assert one.place.sha256 == record_sha256({"a": 3, "b": 0.5, "c": [[1, 2]], "d": True})


def test_what_is_not_a_number_or_not_there_is_null():
    frame = pandas.DataFrame({"a": ["x", None], "b": [1.0, float("nan")], "c": [pandas.NA, "y"]})
    assert [one.row for one in read(frame)] == [
        {"a": "x", "b": 1.0, "c": None},
        {"a": None, "b": None, "c": "y"},
    ]
    assert read([{"a": float("nan"), "b": np.float32("nan"), "c": [np.nan]}])[0].row == {
        "a": None,
        "b": None,
        "c": [None],
    }


@pytest.mark.parametrize("table", [pandas.DataFrame, datasets.Dataset.from_list])
def test_rows_of_several_shapes_in_one_table_give_the_samples_that_they_give_alone(table):
    """A table has null where a row of another shape has text; it must hide no sample."""
    given: list[dict[str, Any]] = [*ROWS, CHAT, {"question": "Which?", "answer": "Io, of Jupiter."}]
    names = dict.fromkeys(name for row in given for name in row)
    made = pool(table([{**names, **row} for row in given]))
    assert made.shapes == {"alpaca": 2, "sharegpt": 1, "question-answer": 1}
    assert [sample.response for sample in made.samples] == [
        "Io.", "Ebb.", "Hello to you", "Io, of Jupiter.",
    ]  # fmt: skip


def test_an_alpaca_row_with_a_null_input_is_still_one():
    assert pool([{"instruction": "a?", "input": None, "output": "b"}]).shapes == {"alpaca": 1}


def test_what_is_no_row_is_named_in_its_place():
    (one,) = read(["text"])
    assert (str(one.place), one.problem) == ("samples:1", "expected an object, found str")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"a": 1}, "found dict"),
        (3, "found int"),
        (None, "found NoneType"),
        (
            datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)),
            "found DatasetDict; choose one of its splits: train",
        ),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'"),
    ],
)
def test_what_holds_no_rows_is_refused_in_one_line(data, found):
    with pytest.raises(FormatError) as refused:
        rows_of(data)
    assert str(refused.value).startswith("samples: ")
    assert str(refused.value).endswith(found)
