"""A run that is ended anywhere, or whose disk fails at any write, loses nothing.

Each run is a fork of one process (tests/forks.py), so that hundreds fit into minutes.
`pytest -m long --log-cli-level INFO tests/test_kills.py` says how many were ended where.
"""

import errno
import json
import logging
import random
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.forks import Ended, Fault, Forks, forking

LOG = logging.getLogger(__name__)
EXAMPLE = Path(__file__).parents[1] / "examples" / "dolly.jsonl"
COMMAND = [
    *("distill", "dolly.jsonl", "--model", "extract", "--embedder", "static", "--quiet"),
    *("--budget", "16", "--mix", "1", "--cohort", "2"),
]
OUTPUT = "dolly.distilled"
SAME = ("train.jsonl", "provenance.jsonl", "dropped.jsonl", "README.md", "run.yaml",
        "use/trl_sft.py", "use/axolotl.yaml", "use/dataset_info.json")  # fmt: skip
TIMED = ("report.html", "report.json")
"""These say how long the run took."""
COHORTS = Path("journal") / "cohorts.jsonl"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MEMORY = None
"""No more memory: some libraries, and the C library itself (127), end the process then.

How a library ends or what it prints is its own; that nothing is lost, and the next run goes on, is
held as for any other end. tests/test_cli.py holds the one line where Python still runs.
"""
EVER = 2**31
HEADROOM = 1 << 22
STATUS: dict[signal.Signals | None, set[int]] = {
    signal.SIGKILL: {-9},
    signal.SIGTERM: {-15},
    signal.SIGINT: {1},
    MEMORY: {1, -6, -11, 127},
}
KILLS, ALL_KILLS = 20, 200
WRITES = 8
"""Of the writes of a run, as many fail in each test run; in the long form every one."""


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its output, how long it took, and its operations on files."""

    output: Path
    seconds: float
    operations: int
    cohorts: int


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    modules = ("numpy", "yaml", "jinja2", "sklearn.preprocessing", "tokenizers")
    with forking(tmp_path_factory.mktemp("shim"), *modules) as forks:
        yield forks


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE, folder)
    return folder


@pytest.fixture(scope="module")
def whole(forks, tmp_path_factory):
    """Return the second of two runs: the first one reads files that the system then keeps."""
    base = tmp_path_factory.mktemp("whole")
    for name in ("first", "second"):
        running = forks.start(COMMAND, fresh(base / name), base / "says")
        ended = running.end()
        assert ended.status == 0, ended.err
    output = base / "second" / OUTPUT
    cohorts = len((output / COHORTS).read_bytes().splitlines())
    assert cohorts >= 8
    return Whole(output, ended.seconds, ended.operations, cohorts)


def check_no_half_file(output: Path, whole: Whole) -> None:
    """Every file that is there under its name is the file of the undisturbed run."""
    for name in SAME:
        if (output / name).exists():
            assert (output / name).read_bytes() == (whole.output / name).read_bytes(), name
    if (output / "report.html").exists():
        assert (output / "report.html").read_text().rstrip().endswith("</html>")
    if (output / "report.json").exists():
        json.loads((output / "report.json").read_text())


def finished_cohorts(output: Path) -> bytes:
    """Return the lines of the journal that are whole."""
    path = output / COHORTS
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def check_goes_on(forks: Forks, folder: Path, whole: Whole) -> None:
    """The same command ends in the same bytes, and does no finished cohort again."""
    output = folder / OUTPUT
    done = finished_cohorts(output)
    ended = forks.start(COMMAND, folder, folder.parent / "says").end()
    assert ended.status == 0, ended.err
    for name in SAME:
        assert (output / name).read_bytes() == (whole.output / name).read_bytes(), name
    assert all((output / name).exists() for name in TIMED)
    journal = (output / COHORTS).read_bytes()
    assert journal.startswith(done)
    assert len(journal.splitlines()) == whole.cohorts
    assert not list(output.rglob(".*"))
    assert {path.name for path in folder.iterdir()} == {"dolly.jsonl", OUTPUT}


def where(output: Path) -> str:
    """Return how far a run came, by what it left."""
    if not (output / "journal" / "run.json").exists():
        return "before its journal"
    if (output / "report.html").exists():
        return "after its last file"
    if (output / "provenance.jsonl").exists():
        return "while writing files"
    return "in generation" if finished_cohorts(output) else "before its first cohort"


def ended_at_random(
    forks: Forks, folder: Path, whole: Whole, draw: random.Random
) -> tuple[signal.Signals | None, Ended]:
    """Start a run and end it, at a counted operation on files or after some time; say by what."""
    how = draw.choice([*SIGNALS, MEMORY])
    if how and draw.random() < 0.5:
        operation = draw.randint(1, whole.operations)
        fault = Fault(-how, operation, operation)
        return how, forks.start(COMMAND, folder, folder.parent / "says", fault).end()
    running = forks.start(COMMAND, folder, folder.parent / "says")
    if running.wait(draw.uniform(0, whole.seconds)):
        if how:
            running.signal(how)
        else:
            running.take_memory(draw.randrange(HEADROOM))
    return how, running.end()


def kill(forks: Forks, base: Path, whole: Whole, times: int) -> None:
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    seen: Counter[str] = Counter()
    killed = 0
    while killed < times:
        folder = fresh(base / "run")
        how, ended = ended_at_random(forks, folder, whole, draw)
        check_no_half_file(folder / OUTPUT, whole)
        if not ended.status:
            seen["ended before it was hit"] += 1
            assert seen["ended before it was hit"] <= times
            continue
        killed += 1
        seen[where(folder / OUTPUT)] += 1
        seen[f"{how.name if how else 'no memory'}, status {ended.status}"] += 1
        if how is MEMORY:
            seen["no memory, a traceback"] += "Traceback" in ended.err
        else:
            assert "Traceback" not in ended.err, (seed, killed, ended.err)
        assert ended.status in STATUS[how], (seed, killed, how, ended)
        check_goes_on(forks, folder, whole)
    LOG.info("seed %d: %s", seed, dict(seen))


@pytest.mark.slow
def test_ended_twenty_times_at_random_moments_it_ends_in_the_same_bytes(forks, whole, tmp_path):
    kill(forks, tmp_path, whole, KILLS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ended_two_hundred_times_at_random_moments(forks, whole, tmp_path):
    kill(forks, tmp_path, whole, ALL_KILLS)


def fail(forks: Forks, base: Path, whole: Whole, fault: Fault) -> str:
    """Let the disk fail so, and return how the run ended."""
    folder = fresh(base / "run")
    ended = forks.start(COMMAND, folder, folder.parent / "says", fault).end()
    check_no_half_file(folder / OUTPUT, whole)
    if ended.status:
        assert ended.status == 1, (fault, ended)
        (line,) = ended.err.splitlines()
        assert line.startswith("Error: "), (fault, line)
    check_goes_on(forks, folder, whole)
    return "one line" if ended.status else "finished"


FAILURES = {
    "full from there on": (errno.ENOSPC, EVER),
    "read-only from there on": (errno.EROFS, EVER),
    "once": (errno.EIO, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FAILURES)
def test_a_disk_that_fails_at_some_writes_is_one_line(forks, whole, tmp_path, what):
    number, last = FAILURES[what]
    step = whole.operations / WRITES
    seen = Counter(
        fail(forks, tmp_path, whole, Fault(number, operation, max(last, operation)))
        for operation in (1 + int(step * part) for part in range(WRITES))
    )
    LOG.info("%s: %s", what, dict(seen))
    assert seen["one line"] >= WRITES - 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", FAILURES)
def test_a_disk_that_fails_at_each_write_in_turn_is_one_line(forks, whole, tmp_path, what):
    number, last = FAILURES[what]
    seen = Counter(
        fail(forks, tmp_path, whole, Fault(number, operation, max(last, operation)))
        for operation in range(1, whole.operations + 1)
    )
    LOG.info("%s: %s", what, dict(seen))
    assert seen["one line"] >= 0.8 * whole.operations
