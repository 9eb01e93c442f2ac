"""What goes wrong outside ends in one line, or costs its own rows and nothing else."""

import json
import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minimix.engines.bundled import fast_model

DOLLY = Path(__file__).parents[1] / "examples" / "dolly.jsonl"
EIGHT = ["distill", str(DOLLY), "--model", "extract", "--limit", "8"]


@dataclass(frozen=True)
class Say:
    """One reply of the fake; a status of 0 cuts the connection instead, `cut` after so many bytes.

    It begins after `wait_s` seconds, and with a `drip_s` each byte comes so long after the last.
    """

    status: int = 200
    body: object = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait_s: float = 0.0
    drip_s: float = 0.0


def says(text: object, finish: str = "stop") -> Say:
    return Say(body={"choices": [{"message": {"content": text}, "finish_reason": finish}]})


MODELS = Say(body={"data": [{"id": "fake"}]})


class Fake(ThreadingHTTPServer):
    """A server that answers what `reply` says to the last message of a chat."""

    def __init__(self, reply: Callable[[str], Say], models: Say) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.models = reply, models
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self):
        self._send(self.server.models)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self._send(self.server.reply(body["messages"][-1]["content"]))

    def _send(self, say: Say):
        self.server.keys.append(self.headers.get("Authorization", ""))
        time.sleep(say.wait_s)
        if not say.status:
            self._reset()
            return
        data = (say.body if isinstance(say.body, str) else json.dumps(say.body)).encode()
        self.send_response(say.status)
        for name, value in {"Content-Length": str(len(data)), **say.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(data), 1) if say.drip_s else ():
            time.sleep(say.drip_s)
            self.wfile.write(data[start : start + 1])
        if not say.drip_s:
            self.wfile.write(data[: say.cut])
        if say.cut is not None:
            self._reset()

    def handle(self):
        with suppress(OSError):  # who has asked may have gone
            super().handle()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_):
        pass


@contextmanager
def serving(
    reply: Callable[[str], Say] = says,
    models: Say = MODELS,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Fake]:
    """Run the fake while the block runs; without a `reply` it echoes."""
    with Fake(reply, models) as fake:
        if tls:
            fake.socket = tls.wrap_socket(fake.socket, server_side=True)
            fake.url = fake.url.replace("http://", "https://")
        threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield fake
        finally:
            fake.shutdown()


def minimix(folder: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in `folder`, without a network."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "minimix", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **options
    )


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed command leaves."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert done.stdout == ""
    return line


def ledger(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def accounted(output: Path) -> list[int]:
    """Return the input lines that both ledgers name, in order, each as often as it is named."""
    kept = [place for row in ledger(output / "provenance.jsonl") for place in row["sources"]]
    return sorted(place["line"] for place in [*kept, *ledger(output / "dropped.jsonl")])


@pytest.mark.parametrize(
    ("content", "says_why"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (bytes(range(256)) * 16, "records can be read"),
        (b"[" + bytes(range(256)) * 16, "not JSON"),
    ],
    ids=["missing", "empty", "binary", "binary that begins like an array"],
)
def test_a_file_that_holds_no_data_is_one_line(tmp_path, content, says_why):
    if content is not None:
        (tmp_path / "data.jsonl").write_bytes(content)
    line = error(minimix(tmp_path, "distill", "data.jsonl"))
    assert says_why in line
    assert not (tmp_path / "data.distilled").exists()


def test_a_truncated_model_is_one_line(tmp_path):
    with fast_model().open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(1_000_000))
    line = error(minimix(tmp_path, "distill", DOLLY, "--model", "cut.gguf"))
    assert "cut.gguf: expected a whole GGUF header, found its end in it" in line


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"no model, but as long as a header"])
def test_a_file_that_is_no_model_is_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "not.gguf").write_bytes(content)
    line = error(minimix(tmp_path, "distill", DOLLY, "--model", "not.gguf"))
    assert "not.gguf: expected" in line


@pytest.mark.parametrize(
    ("yaml", "says_why"),
    [
        ("budgt: 3", "budgt: no such setting"),
        ("- 1", "expected settings"),
        ("mix: 7", "mix: expected 0..1"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(tmp_path, yaml, says_why):
    (tmp_path / "run.yaml").write_text(yaml, encoding="utf-8")
    assert says_why in error(minimix(tmp_path, "distill", DOLLY, "-c", "run.yaml"))


def test_a_budget_that_is_no_number_is_one_line(tmp_path):
    assert "budget: expected rows" in error(minimix(tmp_path, *EIGHT, "--budget", "abc"))


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear all", encoding="utf-8")
    assert "is no output of minimix" in error(minimix(tmp_path, *EIGHT, "-o", "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written" in error(minimix(tmp_path, *EIGHT))


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of 32 KB, or a plain one where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)]
    small = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield disk
    if small:
        subprocess.run(["umount", str(disk)], check=True)


def at_most(size: int) -> Callable[[], None]:
    """Return what bounds the size of every file a process writes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_cache_without_room_for_the_model_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path / "cache"))
    line = error(minimix(tmp_path, "distill", DOLLY, preexec_fn=at_most(1_000_000)))
    assert "is there room for it?" in line
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_with_room_the_same_command_finishes(tmp_path, disk):
    output = disk / "out"
    command = [*EIGHT, "-o", output]
    assert "File too large" in error(minimix(tmp_path, *command, preexec_fn=at_most(4096)))
    if disk.is_mount():
        assert "No space left" in error(minimix(tmp_path, *command))
        assert not (output / "report.html").exists()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    done = minimix(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert accounted(output) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (output / "report.html").exists()


@pytest.mark.slow
def test_a_prompt_longer_than_the_context_is_dropped_with_its_reason(tmp_path):
    rows = [
        {
            "instruction": f"What does mill {number} do?",
            "output": f"Mill {number} grinds the wheat of the valley into flour. " * 300,
            "rating_detail": {"Overall_compressed": 1},
        }
        for number in (7, 8)
    ]
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "long.jsonl").write_text(text, encoding="utf-8")
    small = ["--context", 256, "--max-new-tokens", 32, "--threads", 1]
    wanted = ["--budget", 2, "--mix", 1, "--min-similarity", 0.5]
    done = minimix(tmp_path, "distill", "long.jsonl", "--model", fast_model(), *small, *wanted)
    assert done.returncode == 0, done.stderr
    dropped = ledger(tmp_path / "long.distilled" / "dropped.jsonl")
    (kept,) = ledger(tmp_path / "long.distilled" / "provenance.jsonl")
    assert (kept["origin"], kept["sources"][0]["line"]) == ("best_source", 1)
    assert [(row["line"], row["stage"]) for row in dropped] == [(2, "write")]
    assert all("does not fit a context of 256" in row["reason"] for row in dropped)
    assert accounted(tmp_path / "long.distilled") == [1, 2]


@pytest.mark.slow
def test_a_cluster_longer_than_the_context_is_written_in_parts(tmp_path):
    said = "Mill {0} grinds the wheat of the valley into flour, and the wheel of mill {0} turns. "
    rows = [
        {
            "instruction": f"What does mill {number} do?",
            "output": said.format(number) * 5,
            "rating_detail": {"Overall_compressed": 1},
        }
        for number in (5, 6, 7, 8)
    ]
    (tmp_path / "mills.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    small = ["--context", 512, "--max-new-tokens", 48, "--threads", 1, "--near-copy", 1]
    wanted = ["--budget", 4, "--mix", 1, "--min-similarity", 0.5]
    done = minimix(tmp_path, "distill", "mills.jsonl", "--model", fast_model(), *small, *wanted)
    assert done.returncode == 0, done.stderr
    assert "clusters: 1 too long for the model were split" in done.stdout
    output = tmp_path / "mills.distilled"
    cohorts = ledger(output / "journal" / "cohorts.jsonl")
    asked = [[answer["finish"] for answer in cohort["answers"]] for cohort in cohorts]
    assert [len(finishes) for finishes in asked] == [3, 6]
    assert set(asked[0]) == {"refused"}
    assert set(asked[1]) <= {"stop", "length"}
    assert accounted(output) == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_model_that_answers_rubbish_costs_no_row_its_place_in_the_ledgers(tmp_path):
    wanted = ["--budget", "50%", "--min-similarity", 0.1, "--limit", 24, "--cohort", 4]
    with serving(lambda _: says("blah")) as fake:
        done = minimix(tmp_path, "distill", DOLLY, "--base-url", fake.url, *wanted)
        assert fake.bodies
    assert done.returncode == 0, done.stderr
    output = tmp_path / "dolly.distilled"
    assert accounted(output) == list(range(1, 25))
    assert "fusion" not in {row["origin"] for row in ledger(output / "provenance.jsonl")}
    assert "control_tokens_escaped: 0" in (output / "run.yaml").read_text("utf-8")
