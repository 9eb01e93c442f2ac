"""Files that are no whole model are refused by their headers, whatever is wrong with them."""

import ctypes
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimix.engines.bundled import ADAPTER, packaged_model
from minimix.engines.gguf import BLOCKS, Tensor, read_header
from minimix.engines.sound import check_adapter, check_model
from minimix.errors import ModelError

F16, Q4_0 = 1, 2
U32_TYPE, TEXT_TYPE, ARRAY_TYPE = 4, 8, 9


def text(value: str) -> bytes:
    return pack("<Q", len(value.encode())) + value.encode()


def value(name: str, kind: int, data: bytes) -> bytes:
    return text(name) + pack("<I", kind) + data


def tensor(name: str, dims: Sequence[int], kind: int, offset: int) -> bytes:
    return text(name) + pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


VALUES = (
    value("general.type", TEXT_TYPE, text("model")),
    value("general.alignment", U32_TYPE, pack("<I", 64)),
    value("tokens", ARRAY_TYPE, pack("<IQ", TEXT_TYPE, 3) + text("a") + text("") + text("bread")),
    value("scores", ARRAY_TYPE, pack("<IQ2f", 6, 2, 0.5, 1.5)),
    value("template", TEXT_TYPE, text("long " * 20_000)),
    value("blocks", U32_TYPE, pack("<I", 12)),
)
TENSORS = (tensor("one", (3, 2), F16, 0), tensor("two", (32, 5), Q4_0, 64))
DATA = 64 + 5 * 18
"""The second tensor begins at 64 and holds five blocks of 18 bytes."""


def gguf(
    values: Sequence[bytes] = VALUES, tensors: Sequence[bytes] = TENSORS, data: int = DATA
) -> bytes:
    """Return a file of version 3 whose data are aligned to 64."""
    head = b"GGUF" + pack("<IQQ", 3, len(tensors), len(values)) + b"".join([*values, *tensors])
    return head + bytes(-len(head) % 64 + data)


SMALL = gguf([*VALUES[:4], VALUES[5]])
OF_KIND = {
    kind: gguf([value("general.type", TEXT_TYPE, text(kind))], ())
    for kind in ("model", "adapter", "mmproj", "imatrix")
}


@pytest.fixture
def at(tmp_path):
    """Return what puts bytes into a file and tells where."""

    def put(data: bytes) -> Path:
        path = Path(tmp_path / "some.gguf")
        path.write_bytes(data)
        return path

    return put


def refusal(path: Path) -> str:
    """Return the one line with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        check_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_a_whole_file_says_what_is_in_it(at):
    header = check_model(at(gguf()))
    assert header.version == 3
    assert header.values == {"general.type": "model", "general.alignment": 64, "blocks": 12}
    assert header.tensors == (Tensor("one", (3, 2), F16, 0), Tensor("two", (32, 5), Q4_0, 64))
    assert header.start % 64 == 0
    assert header.start + DATA == len(gguf())


def test_a_file_cut_at_any_byte_is_refused(at):
    path = at(SMALL)
    for length in range(len(SMALL) - 1, -1, -1):
        with path.open("r+b") as file:
            file.truncate(length)
        assert refusal(path)


def test_a_file_that_lacks_its_last_byte_says_how_much_there_should_be(at):
    found = refusal(at(SMALL[:-1]))
    assert found.startswith(f"expected {len(SMALL):,} bytes at least, found {len(SMALL) - 1:,}; ")
    assert found.endswith("it was cut short: copy or download it again")


SIXTEEN = pack("<QQ", 1, 1)
WRONG = {
    "another format": (b"PK\3\4" * 9, "expected a GGUF file, found one that begins b'PK"),
    "nothing": (b"", "expected a GGUF file, found one that begins b''"),
    "version 1": (b"GGUF" + pack("<I", 1) + SIXTEEN, "found version 1; convert it anew"),
    "big-endian": (b"GGUF" + pack(">I", 3) + SIXTEEN, "found one for big-endian machines"),
    "tensors": (b"GGUF" + pack("<IQQ", 3, 2**63, 0), "expected at most 100,000 tensors"),
    "values": (b"GGUF" + pack("<IQQ", 3, 0, 70_000), "expected at most 65,536 values"),
    "values that the file cannot hold": (
        b"GGUF" + pack("<IQQ", 3, 0, 60_000) + bytes(999),
        "expected a whole GGUF header, found its end in it",
    ),
    "a name": (gguf([pack("<Q", 2**40)]), "expected a name of 65,535 bytes at most"),
    "a type": (gguf([value("x", 77, b"")]), "expected a type of value that GGUF knows"),
    "an array of arrays": (
        gguf([value("x", ARRAY_TYPE, pack("<IQ", ARRAY_TYPE, 1))]),
        "expected a type of value that GGUF knows, found type 9",
    ),
    "texts": (
        gguf([value("x", ARRAY_TYPE, pack("<IQ", TEXT_TYPE, 2**40))]),
        "expected at most 4,000,000 texts",
    ),
    "a text": (
        gguf([value("x", ARRAY_TYPE, pack("<IQQ", TEXT_TYPE, 1, 2**63))]),
        "found its end in it",
    ),
    "dimensions": (gguf((), [tensor("x", (1,) * 5, F16, 0)]), "at most 4 dimensions"),
    "a size": (gguf((), [tensor("x", (2**63, 2**63), F16, 0)]), "bytes at least, found"),
    "an offset": (gguf((), [tensor("x", (1,), F16, 7)]), "expected offsets in steps of 32"),
    "half a block": (gguf((), [tensor("x", (33,), Q4_0, 0)]), "in steps of 32 values, found 33"),
    "an alignment": (
        gguf([value("general.alignment", U32_TYPE, pack("<I", 0))], ()),
        "expected a power of two as general.alignment, found 0",
    ),
}


def model(name: str, kind: int, data: bytes) -> bytes:
    """Return a model of no tensors with one figure, as an architecture named `a` has it."""
    named = value("general.architecture", TEXT_TYPE, text("a"))
    return gguf([named, value(name, kind, data)], ())


ONE = pack("<IQ", TEXT_TYPE, 3)
WRONG |= {
    "no values": (gguf((), [tensor("x", (3, 0), F16, 0)]), "expected tensors with values"),
    "integers": (gguf((), [tensor("x", (3,), 26, 0)]), "expected weights, found type 26 in 'x'"),
    "layers": (model("a.block_count", U32_TYPE, pack("<I", 513)), "expected 1..512 as block_count"),
    "no layers": (model("a.block_count", U32_TYPE, pack("<I", 0)), "as block_count, found 0"),
    "heads": (
        model("a.attention.head_count_kv", U32_TYPE, pack("<I", 2**31 + 2)),
        "expected 0..32,768 as attention.head_count_kv, found 2147483650",
    ),
    "an epsilon": (model("a.norm_epsilon", 6, pack("<f", -1)), "expected 0..1 as 'a.norm_epsilon'"),
    "one token twice": (
        model("tokenizer.ggml.tokens", ARRAY_TYPE, ONE + text("a") + text("b") + text("a\0c")),
        "expected a vocabulary, found b'a' 2 times in it",
    ),
}


@pytest.mark.parametrize(("data", "says_why"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_named(at, data, says_why):
    assert says_why in refusal(at(data))


def test_a_lora_for_a_model_and_a_model_for_a_lora_are_refused(at):
    assert "expected a model, found a LoRA; give it with --adapter" in refusal(
        at(OF_KIND["adapter"])
    )
    assert check_adapter(at(OF_KIND["adapter"])).values == {"general.type": "adapter"}
    for data in (OF_KIND["model"], gguf((), ())):
        with pytest.raises(ModelError, match="expected a LoRA, found a model; a model goes with"):
            check_adapter(at(data))
        assert check_model(at(data)).tensors == ()
    assert refusal(at(OF_KIND["mmproj"])) == "expected a model, found a projector"
    assert refusal(at(OF_KIND["imatrix"])) == "expected a model, found an importance matrix"


def test_a_lora_of_whole_numbers_is_refused_before_it_ends_the_process(at):
    kind = value("general.type", TEXT_TYPE, text("adapter"))
    with pytest.raises(ModelError, match=r"expected weights, found type 25 in 'x\.lora_b'"):
        check_adapter(at(gguf([kind], [tensor("x.lora_b", (3,), 25, 0)])))


def outcome(path: Path) -> None:
    """Read a header that may be damaged: it is refused within a second, or valid."""
    begun = time.process_time()
    with suppress(ModelError):
        header = read_header(path)
        assert header.start <= path.stat().st_size or not header.tensors
    assert time.process_time() - begun < 1


def test_every_byte_of_a_header_may_flip(at):
    path, header = at(SMALL), len(SMALL) - DATA
    with path.open("r+b") as file:
        for place in range(header):
            for flipped in (SMALL[place] ^ 1, SMALL[place] ^ 128, 255):
                file.seek(place)
                file.write(bytes([flipped]))
                file.flush()
                outcome(path)
            file.seek(place)
            file.write(SMALL[place : place + 1])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    flips=st.lists(st.tuples(st.integers(0, 28_831), st.integers(0, 255)), max_size=8),
    length=st.none() | st.integers(0, 40_000),
)
def test_a_damaged_lora_is_refused_or_read_and_nothing_else(at, flips, length):
    data = bytearray(ADAPTER.read_bytes()[:40_000])
    for place, byte in flips:
        data[place] = byte
    path = at(data if length is None else data[:length])
    with path.open("r+b") as file:
        file.truncate(ADAPTER.stat().st_size if length is None else length)
    outcome(path)
    if length is not None and not flips:
        with pytest.raises(ModelError):
            read_header(path)


def test_what_the_install_brings_is_whole_and_of_its_kind():
    assert check_model(packaged_model()).values["general.architecture"] == "llama"
    header = check_adapter(ADAPTER)
    ends = [tensor.offset for tensor in header.tensors]
    assert header.start + max(ends) < ADAPTER.stat().st_size
    with pytest.raises(ModelError, match="found a LoRA"):
        check_model(ADAPTER)


def test_a_model_of_100_mb_is_checked_within_50_ms_of_computing():
    path = packaged_model()
    times = []
    for _ in range(5):
        begun = time.process_time()
        check_model(path)
        times.append(time.process_time() - begun)
    assert min(times) < 0.05


def test_the_sizes_of_blocks_are_those_of_ggml():
    import llama_cpp

    (path, *_) = sorted(Path(llama_cpp.__file__).parent.glob("lib/*ggml-base.*"))
    ggml = ctypes.CDLL(str(path))
    ggml.ggml_blck_size.restype, ggml.ggml_type_size.restype = ctypes.c_int64, ctypes.c_size_t
    sizes = {kind: (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) for kind in BLOCKS}
    assert sizes == BLOCKS
