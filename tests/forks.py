"""Runs of the command line, forked from one process that has everything imported.

A start costs milliseconds in place of seconds, so hundreds of runs can be killed. The process can
preload tests/faults.c, which lets its children's disk fail, or ends them, at a counted operation.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORTED = ("minimix.run", "minimix.output", "minimix.cli.distill", "minimix.cli.bar")
HANGS_S = 60
SHIM = Path(__file__).with_name("faults.c")


@dataclass(frozen=True)
class Fault:
    """What happens from one counted operation on files to another: an errno, or minus a signal."""

    what: int
    first: int
    last: int


NO_FAULT = Fault(0, 0, 0)


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit status or minus its signal, what it said, operations on files."""

    status: int
    out: str
    err: str
    operations: int
    seconds: float


@dataclass(frozen=True)
class Running:
    """A run that was started."""

    pid: int
    folder: Path
    begun: float

    def wait(self, seconds: float) -> bool:
        """Wait so long, and return whether it still runs then."""
        while time.monotonic() - self.begun < seconds:
            if self.ended:
                return False
            time.sleep(0.002)
        return not self.ended

    @property
    def ended(self) -> bool:
        """Whether its status is known."""
        return (self.folder / "status").exists()

    def end(self) -> Ended:
        """Wait for its end, and say how it was."""
        while not self.ended:
            assert time.monotonic() - self.begun < HANGS_S, (self.pid, "hangs")
            time.sleep(0.002)
        status, operations = map(int, (self.folder / "status").read_text().split())
        texts = [(self.folder / name).read_text() for name in ("out", "err")]
        return Ended(status, texts[0], texts[1], operations, time.monotonic() - self.begun)

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def take_memory(self, headroom: int) -> None:
        """Let it have no more memory than now and `headroom` bytes."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + headroom
            resource.prlimit(self.pid, resource.RLIMIT_AS, (most, most))


class Forks:
    """Starts runs in forks of one process. Use `forking`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(
        self, arguments: Sequence[object], folder: Path, says: Path, fault: Fault = NO_FAULT
    ) -> Running:
        """Start `minimix ARGUMENTS` in `folder`; what it says goes to files in the folder `says`.

        Faults happen to operations on files under `folder`.
        """
        says.mkdir(parents=True, exist_ok=True)
        for name in ("status", "out", "err"):
            (says / name).unlink(missing_ok=True)
        asked = {"arguments": list(map(str, arguments)), "folder": str(folder), "says": str(says)}
        assert self._process.stdin
        assert self._process.stdout
        fault_asked = [fault.what, fault.first, fault.last]
        self._process.stdin.write(json.dumps({**asked, "fault": fault_asked}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        return Running(pid, says, time.monotonic())


@contextmanager
def forking(folder: Path, *modules: str) -> Iterator[Forks]:
    """Start the process, with `modules` imported too; `folder` keeps the compiled shim."""
    shim = folder / "faults.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"]
    subprocess.run(command, check=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LD_PRELOAD": str(shim)}
    environment["HF_HUB_OFFLINE"] = "1"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forks", *IMPORTED, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        yield Forks(process)
    finally:
        process.communicate()


def _serve() -> None:
    """Fork for every line; between here and a run stands a fork that waits for its end.

    No thread does the waiting: a fork of a process with threads may wait for a lock for ever.
    """
    for name in sys.argv[1:]:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = json.loads(line)
            pid = os.fork()
            if not pid:
                _run(asked)
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            _reap(pid, Path(asked["says"]))
            os._exit(0)


def _run(asked: dict[str, Any]) -> None:
    """Be the child: run the command line, and leave with its status."""
    shim = ctypes.CDLL(None)
    says = Path(asked["says"])
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(says / name, os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["folder"])
        what, *operations = asked["fault"]
        shim.fault_begin(asked["folder"].encode(), *map(ctypes.c_long, operations), what)
        importlib.import_module("minimix.cli").cli(asked["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  a fork must not go on as its parent
        traceback.print_exc()
        status = 70
    (says / "operations").write_text(str(shim.fault_count()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _reap(pid: int, says: Path) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    counted = says / "operations"
    operations = counted.read_text() if counted.exists() else "0"
    counted.unlink(missing_ok=True)
    part = says / "status.part"
    part.write_text(f"{status} {operations}")
    part.replace(says / "status")


if __name__ == "__main__":
    _serve()
