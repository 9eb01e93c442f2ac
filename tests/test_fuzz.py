"""What the fuzzer runs, for seconds: real inputs, and these with a few bytes changed."""

import random
import time

import pytest

from minimix.engines.bundled import ADAPTER, packaged_model
from minimix.engines.sound import check_adapter, check_model
from tests.fuzz.headers import changes
from tests.fuzz.llama import Figures, attempt, load_model, lora_on, small
from tests.fuzz.seeds import HEADERS
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets import attempt as enter
from tests.fuzz.values import NAMES, TEXTS

SECONDS_EACH = 0.4
PIECES = [piece.encode("utf-8", "surrogatepass") for piece in (*NAMES, *TEXTS, "[" * 5_000, "}]")]


def changed(data: bytes, rng: random.Random) -> bytes:
    """Return an input with a byte changed, a piece taken out or doubled, or a word put in."""
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    put = rng.choice([b"", bytes([rng.randrange(256)]), data[start:end] * 2, rng.choice(PIECES)])
    return data[:start] + put + data[rng.choice([start, min(start + len(put), len(data)), end]) :]


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_in_ends_as_a_value_or_as_one_line(name):
    found, rng = TARGETS[name], random.Random(name)
    for data in found.seeds:
        enter(found.run, data)
    end = time.monotonic() + SECONDS_EACH
    while time.monotonic() < end:
        data = changed(rng.choice(found.seeds), rng)
        begun = time.process_time()
        enter(found.run, data)
        assert time.process_time() - begun < (10 if "parquet" in name else 1), data


def outcome(figures: Figures) -> tuple[int, list[str]]:
    """Return how many ended well, and what the process died of."""
    return sum(figures.counts.values()) - figures.counts["died"], figures.died


@pytest.mark.parametrize("seed", [0])
def test_changed_headers_are_refused_or_loaded_and_the_process_lives(tmp_path, seed):
    model = small(tmp_path)
    found = changes(model.read_bytes(), 400, seed=seed)
    assert outcome(attempt(model, found, load_model, check=check_model)) == (400, [])
    loras = changes(ADAPTER.read_bytes(), 200, seed=seed)
    load = lora_on(packaged_model())
    assert outcome(attempt(ADAPTER, loras, load, check=check_adapter)) == (200, [])


@pytest.mark.long
def test_ten_thousand_changed_headers_never_end_the_process(tmp_path):
    model = small(tmp_path)
    plan = [
        (model, load_model, check_model, 6_000),
        (ADAPTER, lora_on(packaged_model()), check_adapter, 3_000),
        (packaged_model(), load_model, check_model, 1_000),
    ]
    for whole, load, check, count in plan:
        found = changes(whole.read_bytes(), count, seed=1)
        assert outcome(attempt(whole, found, load, check=check)) == (count, [])


def test_changes_of_a_header_are_the_same_for_the_same_seed():
    first, again = (list(changes(HEADERS[0], 50, seed=3)) for _ in range(2))
    assert first == again
    assert {change.what for change in first} >= {"cut", "bit", "count", "length"}
    assert all(len(one.made_in(HEADERS[0])) <= len(HEADERS[0]) for one in first)
