"""`--push-to-hub`, by the hub's own library against a server that answers as the hub does."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
TOKEN = "hf_verysecrettokenofmine"
REPO = "me/small"
SHA = "1" * 40
pytestmark = pytest.mark.slow


class Hub(ThreadingHTTPServer):
    """Takes a data set as the hub does, and remembers what it was asked; `refuses` names a path."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.refuses = refuses
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _send(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _read(self) -> bytes:
        self.server.asked.append((self.command, self.path.partition("?")[0]))
        self.server.tokens.add(self.headers.get("Authorization"))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        self._read()
        self._send({"id": REPO, "sha": SHA, "siblings": [], "private": True})

    def do_POST(self) -> None:
        data = self._read()
        address = f"http://127.0.0.1:{self.server.server_port}/datasets/{REPO}"
        if self.server.refuses and self.server.refuses in self.path:
            self._send({"error": "You have no rights here"}, 403)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(data)
            self._send({"url": address, "name": REPO, "id": "x"})
        elif self.path == "/api/validate-yaml":
            self._send({"warnings": [], "errors": []})
        elif "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(data)["files"]]
            ready = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]
            self._send({"files": ready})
        else:
            for line in map(json.loads, data.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[line["value"]["path"]] = content
            commit = f"{address}/commit/{SHA}"
            self._send({"success": True, "commitOid": SHA, "commitUrl": commit, "hookOutput": ""})


@contextmanager
def hub(refuses: str = "") -> Iterator[Hub]:
    server = Hub(refuses)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def push(folder: Path, server: Hub, *words: str, token: str = TOKEN) -> tuple[int, str]:
    """Return what `distill --push-to-hub` ended with, and all it said."""
    environment = {
        **os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(folder / "home"), "HF_TOKEN": token, "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    given = ["distill", str(EXAMPLE), "-o", "out", "--model", "extract", "--embedder", "static"]
    done = subprocess.run(
        [sys.executable, "-m", "minimix", *given, "--push-to-hub", *(words or [REPO])],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_folder_is_uploaded_without_its_journal_to_a_private_set(tmp_path):
    with hub() as server:
        code, said = push(tmp_path, server, REPO, "--license", "cc-by-sa-3.0")
    assert code == 0, said
    assert said.splitlines()[-1] == (
        f"uploaded  http://127.0.0.1:{server.server_port}/datasets/{REPO}"
    )
    assert server.created["type"] == "dataset"
    assert server.created["visibility"] == "private"
    here = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and "journal" not in path.parts
    }
    assert {"train.jsonl", "README.md", "use/trl_sft.py"} <= here.keys()
    assert server.files == here
    assert ("POST", f"/api/datasets/{REPO}/commit/main") in server.asked


def test_the_token_goes_to_the_hub_and_nowhere_else(tmp_path):
    with hub() as server:
        _, said = push(tmp_path, server)
    assert server.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in said
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert not [data for data in server.files.values() if TOKEN.encode() in data]


@pytest.mark.parametrize("path", ["/preupload/", "/commit/"])
def test_a_hub_that_refuses_ends_in_one_line_and_leaves_the_result(tmp_path, path):
    with hub(refuses=path) as server:
        code, said = push(tmp_path, server)
    assert code == 1
    assert said.splitlines()[-1].startswith(f"Error: {REPO}: not uploaded (HfHubHTTPError: ")
    assert "Traceback" not in said
    assert TOKEN not in said
    assert (tmp_path / "out" / "train.jsonl").exists()


def test_what_cannot_be_pushed_is_said_before_the_work(tmp_path):
    with hub() as server:
        code, said = push(tmp_path, server, "a/b/c")
        assert (code, said[:41]) == (1, "Error: push_to_hub: expected owner/name (")
        code, said = push(tmp_path, server, token="")
        assert (code, said) == (
            1,
            "Error: push_to_hub: no token for the hub; run 'hf auth login', or set HF_TOKEN\n",
        )
    assert not (tmp_path / "out").exists()
    assert server.asked == []
