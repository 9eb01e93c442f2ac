"""Text to vectors: the same bits whatever is beside it, and kept on disk by content."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import overload

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimix import embed as embedding
from minimix import static
from minimix.config import AUTO, MINILM, STATIC, DistillConfig
from minimix.embed import STATIC_FROM, bundled_folder, choose, load_embedder
from minimix.encoder import Encoder
from minimix.errors import ModelError
from minimix.records import Vectors
from minimix.vector_store import VectorStore, size_of
from tests.fakes import embed as by_words
from tests.fakes import near_rows

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
ROWS = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
TEXTS = [f"{row['instruction']}\n{row['output']}" for row in ROWS]
EAST, NORTH = np.eye(2, dtype=np.float32)


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return Encoder(str(bundled_folder()), name=MINILM)


def vectors_of(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    vectors: Vectors = np.zeros((len(texts), encoder.width), dtype=np.float32)
    for rows, found in encoder.encode(texts):
        vectors[rows] = found
    return vectors


class Lazy(Sequence[str]):
    """Texts that are read by slices, and say which."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> list[str]: ...
    def __getitem__(self, rows: int | slice) -> str | list[str]:
        assert isinstance(rows, slice), "one text at a time is slow"
        self.read.append(len(self.texts[rows]))
        return self.texts[rows]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all texts at once do not fit")


@pytest.mark.slow
def test_a_text_has_the_same_bits_alone_among_others_and_in_another_order(minilm):
    among = vectors_of(minilm, TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = vectors_of(minilm, [TEXTS[row] for row in order])
    alone = np.concatenate([vectors_of(minilm, [text]) for text in TEXTS[:12]])
    assert shuffled.tobytes() == among[order].tobytes()
    assert alone.tobytes() == among[:12].tobytes()


@pytest.mark.slow
def test_two_threads_give_the_bits_of_one(minilm):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = vectors_of(minilm, TEXTS[:24])
        torch.set_num_threads(2)
        two = vectors_of(minilm, TEXTS[:24])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert one.tobytes() == two.tobytes()


def test_vectors_are_those_of_the_library_and_of_length_one(minilm):
    texts = ["A cat sleeps.", "Government bonds fell by a tenth of a point on Monday.", ""]
    library = minilm.model.encode(texts, normalize_embeddings=True)
    found = vectors_of(minilm, texts)
    assert np.abs(found - library).max() < 1e-6
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)


def test_what_comes_after_256_word_pieces_is_not_read(minilm):
    assert minilm.model.max_seq_length == 256
    long = "cat " * 254  # with the first and the last piece of every text, 256
    cut, whole, shorter = vectors_of(minilm, [long + "bond", long, "cat " * 253])
    assert cut.tobytes() == whole.tobytes()
    assert whole.tobytes() != shorter.tobytes()


def test_batches_of_one_length_have_one_shape(minilm):
    shapes = {(length, len(rows)) for rows, length in minilm._batches(TEXTS)}
    assert len(shapes) == len({length for length, _ in shapes}) > 2


def test_another_prompt_is_another_identity(minilm):
    was = minilm.identity()
    minilm.prompt = "query: "
    try:
        assert minilm.identity() != was
    finally:
        minilm.prompt = ""
    assert minilm.identity() == was


def test_an_identity_does_not_change_with_use(minilm):
    was = minilm.identity()
    vectors_of(minilm, ["a word", "cat " * 40])
    assert minilm.identity() == was


def test_a_static_model_of_the_library_is_an_embedder_too(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "east": 1, "north": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.array([[0, 0], EAST, NORTH], dtype=np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(tmp_path))
    embedder = load_embedder(str(tmp_path), cache=tmp_path / "cache")
    found = embedder.embed(["east east", "north", "north east"])
    assert found.round(4).tolist() == [[1, 0], [0, 1], pytest.approx([0.7071, 0.7071], abs=1e-4)]
    assert len(embedder.sha256) == 64
    assert not (tmp_path / "cache").exists()  # it is no slower than the disk


def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"embedder .*nowhere: cannot be loaded"):
        load_embedder(str(tmp_path / "nowhere"))


def test_auto_is_the_transformer_for_few_samples_and_static_for_many():
    assert DistillConfig().embedder == AUTO
    assert [choose(AUTO, count) for count in (STATIC_FROM - 1, STATIC_FROM)] == [MINILM, STATIC]
    assert choose(MINILM, STATIC_FROM) == MINILM
    assert choose("owner/name", 1) == "owner/name"


ODD = st.sampled_from(["[MASK]", "[sep]", "don't", "\x00", "\x0b", "\x1f", "é", "e\u0301", "漢字"])


@given(st.lists(st.lists(st.one_of(ODD, st.text(max_size=12)), max_size=8).map("".join)))
def test_word_pieces_are_those_that_the_tokenizer_finds_in_the_whole_text(texts):
    found = static.word_pieces(texts)
    whole = static._tokenizer().encode_batch(texts, add_special_tokens=False)
    assert found.lengths.tolist() == [len(one) for one in whole]
    assert found.ids.tolist() == [piece for one in whole for piece in one.ids]


def test_word_pieces_are_the_same_when_what_is_remembered_was_forgotten(monkeypatch):
    before = static.word_pieces(TEXTS)
    monkeypatch.setattr(static, "REMEMBERED", 3)
    for _ in range(2):
        assert static.word_pieces(TEXTS).ids.tolist() == before.ids.tolist()


def test_static_vectors_are_the_same_bits_block_by_block(monkeypatch):
    monkeypatch.setattr(embedding, "STATIC_BLOCK", 8)
    texts = Lazy(TEXTS[:20])
    found = load_embedder(STATIC).embed(texts)
    assert found.tobytes() == static.embed(TEXTS[:20]).tobytes()
    assert texts.read == [8, 8, 4]


def test_no_text_gives_no_row():
    assert load_embedder(STATIC).embed([]).shape == (0, 256)


class Counting:
    """A model of hashed words that keeps what it was asked."""

    width, static = 64, False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def weights_sha256(self) -> str:
        return "ab"

    def identity(self) -> str:
        return "words"

    def encode(self, texts: list[str]) -> Iterator[tuple[list[int], Vectors]]:
        self.asked += texts
        for row in reversed(range(len(texts))):
            yield [row], by_words([texts[row]])


@pytest.fixture
def counting(monkeypatch) -> Counting:
    model = Counting()
    monkeypatch.setattr(embedding, "Encoder", lambda _folder, **_named: model)
    monkeypatch.setattr(embedding, "BLOCK", 3)
    return model


def test_grown_data_embed_only_what_is_new(counting, tmp_path):
    texts = [sample.text for sample in near_rows(5)]
    first = load_embedder("words", cache=tmp_path).embed(texts[:4])
    again = load_embedder("words", cache=tmp_path).embed([texts[4], *texts[:4]])
    assert counting.asked == texts
    assert again.tobytes() == by_words([texts[4], *texts[:4]]).tobytes()
    assert again[1:].tobytes() == first.tobytes()


@pytest.mark.usefixtures("counting")
def test_texts_are_read_block_by_block(tmp_path):
    texts = Lazy([sample.text for sample in near_rows(7)])
    found = load_embedder("words", cache=tmp_path).embed(texts)
    assert texts.read == [3, 3, 1]
    assert found.tobytes() == by_words(texts.texts).tobytes()


def test_a_killed_run_keeps_the_blocks_it_finished(counting, tmp_path):
    def killed(rows, label, total=None):  # noqa: ARG001
        for number, row in enumerate(rows):
            if number == 4:
                raise KeyboardInterrupt
            yield row

    texts = [sample.text for sample in near_rows(7)]
    with pytest.raises(KeyboardInterrupt):
        load_embedder("words", cache=tmp_path, progress=killed).embed(texts)
    counting.asked.clear()
    load_embedder("words", cache=tmp_path).embed(texts)
    assert counting.asked == texts[3:]


def stored(tmp_path: Path, said: list[str]) -> VectorStore:
    """A store that holds "east"."""
    store = VectorStore(tmp_path / "v.sqlite", width=2, say=said.append)
    store.add(["east"], EAST[None])
    return store


def test_a_store_gives_back_what_it_was_given_by_position(tmp_path):
    store = stored(tmp_path, [])
    found = store.find(["north", "east"])
    assert {row: vector.tolist() for row, vector in found.items()} == {1: [1, 0]}


def test_many_texts_are_found_at_once(tmp_path):
    store = VectorStore(tmp_path / "v.sqlite", width=2)
    texts = [str(number) for number in range(1_201)]
    store.add(texts, np.arange(2_402, dtype=np.float32).reshape(-1, 2))
    assert [vector[0] for _, vector in sorted(store.find(texts).items())] == [*range(0, 2_402, 2)]


def test_a_file_that_is_no_database_is_set_aside_with_a_note(tmp_path):
    said: list[str] = []
    store = stored(tmp_path, said)
    store.path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    assert store.find(["east"]) == {}
    store.add(["north"], NORTH[None])
    assert store.find(["east", "north"])[1].tolist() == [0, 1]
    assert len(said) == 1
    assert "damaged" in said[0]
    assert (tmp_path / "v.sqlite.damaged").exists()


def test_a_flipped_bit_is_no_vector(tmp_path):
    said: list[str] = []
    store = stored(tmp_path, said)
    data = bytearray(store.path.read_bytes())
    data[data.index(EAST.tobytes())] ^= 1
    store.path.write_bytes(data)
    assert store.find(["east"]) == {}
    assert "checksum" in said[0]


def test_a_database_of_somebody_else_is_set_aside(tmp_path):
    said: list[str] = []
    with closing(sqlite3.connect(tmp_path / "v.sqlite")) as database:
        database.execute("CREATE TABLE vectors (name TEXT)")
    stored(tmp_path, said)
    assert len(said) == 1
    assert VectorStore(tmp_path / "v.sqlite", width=2).find(["east"])[0].tolist() == [1, 0]


def test_vectors_of_another_width_are_not_taken(tmp_path):
    stored(tmp_path, [])
    assert VectorStore(tmp_path / "v.sqlite", width=3).find(["east"]) == {}


def test_where_nothing_can_be_written_the_run_goes_on_with_one_note(tmp_path):
    said: list[str] = []
    (tmp_path / "file").touch()
    store = VectorStore(tmp_path / "file" / "v.sqlite", width=2, say=said.append)
    for _ in range(2):
        assert store.find(["east"]) == {}
        store.add(["east"], EAST[None])
    assert len(said) == 1
    assert "embedding without it" in said[0]


def test_a_full_disk_is_one_note_and_what_is_there_is_still_read(tmp_path, monkeypatch):
    said: list[str] = []
    store = stored(tmp_path, said)
    connect = sqlite3.connect

    def on_a_small_disk(*place, **settings):
        database = connect(*place, **settings)
        database.execute("PRAGMA max_page_count = 4")
        return database

    monkeypatch.setattr(sqlite3, "connect", on_a_small_disk)
    texts = [str(number) for number in range(2_000)]
    for _ in range(2):
        store.add(texts, np.tile(NORTH, (2_000, 1)))
    assert len(said) == 1
    assert "full" in said[0]
    assert {row: one.tolist() for row, one in store.find(["0", "east"]).items()} == {1: [1, 0]}


def test_doctor_counts_what_is_kept(tmp_path):
    assert size_of(tmp_path / "nothing") == (0, 0)
    path = stored(tmp_path, []).path
    assert size_of(tmp_path) == (1, path.stat().st_size)
