"""GGUF headers changed in place: any bit, the end, and each field by what it means."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from

import gguf
import numpy as np

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY = 8, 9
EDGES = (0, 1, 2, 3, 7, 31, 64, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**33, 2**40,
         2**61, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
TOKENS = 400
ITEMS_SHOWN = 3
"""Fields taken of a long list, such as a vocabulary: its items are all alike."""


@dataclass(frozen=True)
class Field:
    """Where a number or a text of the header lies, and what it is."""

    at: int
    size: int
    what: str


@dataclass(frozen=True)
class Change:
    """Bytes to put into a file at `at`, or its new `length`; `what` says what they change."""

    what: str
    at: int = 0
    data: bytes = b""
    length: int | None = None

    def made_in(self, whole: bytes) -> bytes:
        """Return the whole file with the change made."""
        if self.length is not None:
            return whole[: self.length]
        return whole[: self.at] + self.data + whole[self.at + len(self.data) :]


class _Walk:
    """Goes through a sound header and notes its fields."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 24
        self.found = [Field(4, 4, "version"), Field(8, 8, "count"), Field(16, 8, "count")]
        tensors, values = unpack_from("<QQ", data, 8)
        for _ in range(values):
            self.text("name")
            self.value(self.number(4, "type"))
        for _ in range(tensors):
            self.text("tensor")
            for _ in range(self.number(4, "dimensions")):
                self.number(8, "size")
            self.number(4, "tensor type")
            self.number(8, "offset")

    def number(self, size: int, what: str) -> int:
        if what:
            self.found.append(Field(self.at, size, what))
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def text(self, what: str) -> None:
        length = self.number(8, what and "length")
        if what and length:
            self.found.append(Field(self.at, length, what))
        self.at += length

    def value(self, kind: int) -> None:
        if kind == TEXT:
            self.text("text")
        elif kind == ARRAY:
            item = self.number(4, "type")
            for number in range(self.number(8, "count")):
                shown = "item" if number < ITEMS_SHOWN else ""
                self.text(shown) if item == TEXT else self.number(SIZES[item], shown)
        else:
            self.number(SIZES[kind], "value")


def fields(data: bytes) -> list[Field]:
    """Return the fields of a sound header, of long lists the first few."""
    return _Walk(data).found


def changes(data: bytes, count: int, *, seed: int) -> Iterator[Change]:
    """Yield changes of a file: half of them of a field, others of any bit, some cut it short."""
    rng = random.Random(seed)
    walk = _Walk(data)
    for _ in range(count):
        chance = rng.random()
        if chance < 0.05:
            yield Change("cut", length=rng.randrange(len(data)))
        elif chance < 0.25:
            at = rng.randrange(walk.at)
            yield Change("bit", at, bytes([data[at] ^ (1 << rng.randrange(8))]))
        else:
            field = rng.choice(walk.found)
            yield Change(field.what, field.at, _changed(data, field, rng))


def _changed(data: bytes, field: Field, rng: random.Random) -> bytes:
    own = data[field.at : field.at + field.size]
    if field.what in ("text", "name", "tensor", "item"):
        at = rng.randrange(field.size)
        put = rng.choice([b"\0", b"\xff", b"%s", b"\n", bytes([rng.randrange(256)])])
        return (own[:at] + put + own[at + len(put) :])[: field.size]
    number = int.from_bytes(own, "little")
    near = [number + 1, number - 1, number * 2, number // 2, number ^ (1 << rng.randrange(8))]
    kinds = "type" in field.what or field.what == "dimensions"
    new = rng.randrange(45) if kinds else rng.choice([*EDGES, *near, rng.getrandbits(64)])
    return int(new % 2 ** (8 * field.size)).to_bytes(field.size, "little")


def small_model(source: Path, target: Path) -> None:
    """Write a model with all the fields of `source` and hardly any weights: it loads at once."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    known = {name: field.contents() for name, field in reader.fields.items()}
    tokens = known["tokenizer.ggml.tokens"][:TOKENS]
    there = set(tokens)
    own = {
        "llama.block_count": 2, "llama.embedding_length": 64, "llama.feed_forward_length": 96,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.rope.dimension_count": 16, "llama.vocab_size": TOKENS,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": known["tokenizer.ggml.token_type"][:TOKENS],
        "tokenizer.ggml.merges": [
            pair for pair in known["tokenizer.ggml.merges"]
            if {*pair.split(" ", 1), pair.replace(" ", "", 1)} <= there
        ],
    }  # fmt: skip
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kinds = [gguf.GGUFValueType(kind) for kind in field.types]
            sub = kinds[1] if len(kinds) > 1 else None
            writer.add_key_value(name, own.get(name, known[name]), kinds[0], sub)
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (TOKENS, 64), "output_norm": (64,)}
    for block in range(2):
        shapes |= {f"blk.{block}.{name}": shape for name, shape in BLOCK.items()}
    for name, shape in shapes.items():
        kind = np.float32 if len(shape) == 1 else np.float16
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


BLOCK: dict[str, tuple[int, ...]] = {
    "attn_norm": (64,), "ffn_norm": (64,), "attn_q": (64, 64), "attn_k": (32, 64),
    "attn_v": (32, 64), "attn_output": (64, 64), "ffn_gate": (96, 64), "ffn_up": (96, 64),
    "ffn_down": (64, 96),
}  # fmt: skip
