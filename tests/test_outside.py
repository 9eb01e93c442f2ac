"""Names, permissions and streams that the system refuses: one line each, and no traceback."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minimix.config import DistillConfig
from minimix.errors import ConfigError, FormatError, OutputError
from minimix.run import output_folder
from minimix.tracing import trace
from tests.test_failures import DOLLY, EIGHT, error, minimix

LONG = "x" * 256
STATIC = ["--embedder", "static"]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def as_anybody() -> None:
    """Take from root, before another program is started, that no permission binds it."""
    for right in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, right, 0, 0, 0)


def closed(number: int) -> Callable[[], None]:
    return lambda: os.close(number)


@pytest.mark.parametrize(
    ("options", "says_why"),
    [
        (["-o", LONG], f"{LONG}: cannot be written (File name too long)"),
        (["--model", LONG], f"{LONG}: File name too long"),
        (["--rater", LONG], f"{LONG}: not a rater ("),
        (["-o", "closed/out"], "closed/out: cannot be written (Permission denied)"),
        (["--model", "closed/m.gguf"], "closed/m.gguf: Permission denied"),
        (["--rater", "closed/m"], "closed/m: not a rater ("),
        (["-o", "fifo"], "fifo: exists, and is no output of minimix"),
        (["-o", "loop"], "loop: cannot be written (Too many levels of symbolic links)"),
        (["-o", b"o\xff"], r"'o\udcff': expected a name of UTF-8 text; rename it"),
        (["--model", b"m\xff.gguf"], r"'m\udcff.gguf': expected a name of UTF-8 text"),
        (["-o", "two\nlines"], r"'two\nlines': expected a name of plain UTF-8 text"),
    ],
)
def test_a_name_that_the_system_or_a_ledger_refuses_is_one_line(tmp_path, options, says_why):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o600)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    command = [*EIGHT, *STATIC, *map(os.fsdecode, options)]
    assert says_why in error(minimix(tmp_path, *command, preexec_fn=as_anybody))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed", "fifo", "loop"]


def test_a_source_whose_name_is_too_long_is_one_line(tmp_path):
    assert "cannot be read (File name too long)" in error(minimix(tmp_path, "rate", LONG))
    name = "y" * 248  # it fits, but its own output does not
    shutil.copy(DOLLY, tmp_path / f"{name}.json")
    line = error(minimix(tmp_path, "distill", f"{name}.json"))
    assert f"{name}.distilled: cannot be written (File name too long)" in line


def test_a_folder_whose_own_name_no_card_can_hold_is_refused_before_it_is_read(tmp_path):
    here = tmp_path / os.fsdecode(b"h\xff")
    here.mkdir()
    assert "expected a name of plain UTF-8" in error(minimix(here, *EIGHT, "-o", "."))
    assert list(here.iterdir()) == []
    with pytest.raises(FormatError, match="rename it"):
        output_folder("data.jsonl", here)


def test_settings_that_no_file_can_hold_are_refused():
    with pytest.raises(ConfigError, match="rater: expected UTF-8 text"):
        DistillConfig(rater="r\udcff.npz")
    with pytest.raises(ConfigError, match="license: expected a list"):
        DistillConfig(license=("mit \ud800",))


def test_a_folder_where_the_journal_has_a_file_is_one_line_with_restart_too(tmp_path):
    cohorts = tmp_path / "dolly.distilled" / "journal" / "cohorts.jsonl"
    cohorts.mkdir(parents=True)
    assert "start afresh with --restart" in error(minimix(tmp_path, *EIGHT, *STATIC))
    line = error(minimix(tmp_path, *EIGHT, *STATIC, "--restart"))
    assert "cohorts.jsonl: cannot be written (Is a directory); mend that" in line


def test_a_working_folder_that_is_gone_is_one_line(tmp_path):
    (tmp_path / "gone").mkdir()
    done = minimix(tmp_path / "gone", *EIGHT, preexec_fn=(tmp_path / "gone").rmdir)
    assert "the working folder: No such file or directory; mend that" in error(done)


@pytest.mark.parametrize("command", [["distill", "-", "--model", "extract"], ["rate", "-"]])
def test_a_closed_standard_input_is_one_line(tmp_path, command):
    line = error(minimix(tmp_path, *command, preexec_fn=closed(0)))
    assert line == "Error: -: standard input is closed; send the data there, or name a file"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("command", [[*EIGHT, *STATIC], ["inspect", DOLLY, *STATIC], ["--help"]])
def test_a_result_that_cannot_be_shown_is_one_line(tmp_path, command, buffered):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "minimix", *map(str, command)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: standard output: No space left on device; mend that")


def test_a_closed_standard_output_is_refused_before_anything_is_done(tmp_path):
    line = error(minimix(tmp_path, *EIGHT, preexec_fn=closed(1)))
    assert line.startswith("Error: standard output: closed; send it to a file")
    assert list(tmp_path.iterdir()) == []


def test_with_a_closed_standard_error_a_run_ends_as_ever(tmp_path):
    done = minimix(tmp_path, *EIGHT, *STATIC, preexec_fn=closed(2))
    assert (done.returncode, done.stderr) == (0, "")
    assert "report    dolly.distilled/report.html" in done.stdout


LINE: dict[str, Any] = {
    "id": "ab",
    "origin": "original",
    "sources": [{"file": "f", "line": 1, "part": 0, "sha256": "0"}],
    "rating": 3.5,
}


@pytest.mark.parametrize(
    "damage",
    [
        {"sources": 5},
        {"sources": [5]},
        {"sources": [{"file": "f", "line": "1", "part": 0, "sha256": "0"}]},
        {"rating": "x"},
        {"rating": None},
        {"rating": 10**400},
        {"origin": 5},
    ],
)
def test_a_ledger_line_of_other_types_is_one_line(tmp_path, damage):
    (tmp_path / "provenance.jsonl").write_text(json.dumps({**LINE, **damage}) + "\n")
    (tmp_path / "train.jsonl").write_text("{}\n")
    with pytest.raises(OutputError, match="found others; start minimix distill again"):
        trace("ab", tmp_path)


def test_text_that_standard_output_cannot_take_is_escaped(tmp_path):
    place = {**LINE["sources"][0], "file": LONG}
    (tmp_path / "provenance.jsonl").write_text(json.dumps({**LINE, "sources": [place]}) + "\n")
    (tmp_path / "train.jsonl").write_text(json.dumps({"half": "\ud800"}) + "\n")
    done = minimix(tmp_path, "trace", "ab", "-o", ".")
    assert done.returncode == 0
    assert r'"half": "\ud800"' in done.stdout
    assert "the file is not here" in done.stdout


def test_ctrl_c_while_the_command_line_is_loaded_ends_it_without_a_word(tmp_path):
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}"}
    command = [sys.executable, "-m", "minimix", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
