"""An array is read element by element, and is the same as read at once, whatever it holds."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimix import array
from minimix.array import elements
from minimix.disk import BLOCK_BYTES

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=40),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def read(data: bytes, begun: int = 0) -> list[object]:
    return list(elements(data[:begun], io.BytesIO(data[begun:])))


@pytest.fixture(autouse=True, params=[1, BLOCK_BYTES])
def block(request, monkeypatch):
    """Read so many bytes at a time, at first."""
    monkeypatch.setattr(array, "BLOCK_BYTES", request.param)


@given(st.lists(VALUES), st.sampled_from([None, 0, 3]), st.booleans(), st.integers(0, 30))
def test_elements_are_those_of_the_whole(values, indent, ascii_only, begun):
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    read_at_once = json.loads(data)
    assert repr(read(data.encode("utf-8", "surrogatepass"), begun)) == repr(read_at_once)


@given(st.lists(VALUES, max_size=4), st.data())
def test_what_is_damaged_is_refused_where_the_whole_is(values, chance):
    text = json.dumps(values)
    place = chance.draw(st.integers(0, len(text) - 1))
    put = chance.draw(
        st.sampled_from(["", ",", "]", "[", '"', "e", ".", "1", "\\", "}", " ", "tru"])
    )
    text = text[:place] + put + text[place + 1 :]
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, list):
        assert repr(read(text.encode())) == repr(whole)
    else:
        with pytest.raises(ValueError, match=r"\w"):
            read(text.encode())


@pytest.mark.parametrize("number", ["1.5", "-1e+9", "12E-3", "1" * 40, "-0.0", "NaN", "-Infinity"])
def test_a_number_is_whole_wherever_a_block_ends(number):
    data = f"[{number},{number}\n, {number}]".encode()
    for begun in range(len(data)):
        assert repr(read(data, begun)) == repr(json.loads(data))


def test_elements_before_the_damage_come_first():
    found = elements(b"", io.BytesIO(b'[{"a": 1}, {"a": 2}, {"a"'))
    assert [next(found), next(found)] == [{"a": 1}, {"a": 2}]
    with pytest.raises(ValueError, match="Expecting ':'"):
        next(found)


def test_memory_holds_no_more_than_some_elements():
    data = b"[" + b",".join([b'"' + b"x" * 1_000 + b'"'] * 20_000) + b"]"
    file = io.BytesIO(data)
    tracemalloc.start()
    read_now = sum(1 for _ in elements(b"", file))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read_now == 20_000
    assert most < 4 * BLOCK_BYTES + 100_000 < len(data)
