"""Two processes with one file: one of them writes it, the other is told so."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minimix.disk import atomic
from minimix.errors import OutputError
from tests.test_failures import DOLLY, error, minimix

WRITE = """
import sys
from pathlib import Path
from minimix.disk import atomic
with atomic(Path(sys.argv[1])) as file:
    file.write("A" * 100_000)
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write("A" * 100_000)
"""


@contextmanager
def half_written(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process write half of a file; it writes the rest when it is sent a line."""
    command = [sys.executable, "-c", WRITE, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "half\n"
        yield other
        if other.poll() is None:
            other.communicate("\n")


def test_of_two_processes_that_write_one_file_the_second_is_refused(tmp_path):
    path = tmp_path / "out.jsonl"
    with half_written(path):
        with pytest.raises(OutputError, match="another process is writing it"), atomic(path):
            pass
        line = error(minimix(tmp_path, "rate", DOLLY, "--limit", "8", "-o", "out.jsonl"))
        assert line.startswith("Error: out.jsonl: another process is writing it; wait for its end")
    assert path.read_text() == "A" * 200_000
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_in_nobody_s_way_and_does_not_pile_up(tmp_path):
    path = tmp_path / "out.jsonl"
    with half_written(path) as other:
        other.kill()
        other.wait()
    assert [left.name for left in tmp_path.iterdir()] == [".out.jsonl.part"]
    with atomic(path) as file:
        file.write("B")
    assert path.read_text() == "B"
    assert list(tmp_path.iterdir()) == [path]
