"""A run killed at random moments and started again gives the bytes of a run left alone."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
SAME = ("train.jsonl", "provenance.jsonl", "dropped.jsonl", "README.md")
KILLS = 5
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COMMAND = [
    *(sys.executable, "-m", "minimix", "distill", "dolly.jsonl", "--budget", "8", "--mix", "1"),
    *("--candidates", "2", "--cohort", "2", "--tries", "1", "--threads", "1", "--parallel", "4"),
    *("--max-new-tokens", "96", "--quiet"),
]


def start(folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    shutil.copy(EXAMPLE, folder)
    return subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(folder: Path) -> bytes:
    process = start(folder)
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return out


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    begun = time.monotonic()
    finish(folder)
    return folder / "dolly.distilled", time.monotonic() - begun


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_ended_five_times_at_random_moments_it_ends_in_the_same_bytes(undisturbed, tmp_path):
    whole, seconds = undisturbed
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    killed = 0
    for _ in range(KILLS):
        process = start(tmp_path / "run")
        try:
            process.wait(moments.uniform(0.1, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(moments.choice(SIGNALS))
            killed += 1
        process.communicate()
    finish(tmp_path / "run")
    resumed = tmp_path / "run" / "dolly.distilled"
    for name in SAME:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), (name, seed)
    assert killed >= 1
    assert not list(resumed.glob(".*"))


@pytest.mark.slow
def test_every_row_is_in_one_ledger_and_matches_its_hash(undisturbed):
    folder, _ = undisturbed
    records = EXAMPLE.read_text().splitlines()
    kept = [source for line in lines(folder / "provenance.jsonl") for source in line["sources"]]
    places = [*kept, *lines(folder / "dropped.jsonl")]
    assert sorted(place["line"] for place in places) == list(range(1, len(records) + 1))
    for place in places:
        row = json.loads(records[place["line"] - 1])
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert place["sha256"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.slow
def test_rows_and_provenance_go_line_by_line(undisturbed):
    folder, _ = undisturbed
    rows, ledger = lines(folder / "train.jsonl"), lines(folder / "provenance.jsonl")
    assert len(rows) == len(ledger) == 8
    assert all(row.keys() == {"instruction", "input", "output"} for row in rows)
    assert {line["origin"] for line in ledger} <= {"original", "fusion", "best_source"}
    for line in ledger:
        fused = line["origin"] == "fusion"
        assert (line["model"] is not None) == fused
        assert (2 <= len(line["sources"]) <= 5) if fused else len(line["sources"]) == 1
