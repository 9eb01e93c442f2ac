"""One contender of benchmarks/engine.py, in a process of its own.

    python benchmarks/engine_contenders.py NAME < work.json

Reads its work, opens its model, makes one short answer, then does the work once and prints one JSON
object: seconds by the clock and of computing, tokens written, and the most memory it took. What is
open before and closed after is not in the seconds.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.engines import llama
from minimix.engines.llama import Batcher
from minimix.engines.machine import Machine
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import TOP_K, Sampling

TICKS = os.sysconf("SC_CLK_TCK")
SERVER_START_S = 60
FLASH = {False: "off", True: "on"}


@dataclass(frozen=True)
class Work:
    """What is asked: `prompts` as token ids, each to be answered with `new` tokens, no fewer.

    `temperature` 0 is greedy; above it `top_p` and the engine's own top-k hold. `tools` is the
    folder with llama.cpp's own programs.
    """

    model: str
    prompts: list[list[int]]
    new: int
    threads: int
    parallel: int
    flash: bool
    temperature: float = 0.0
    top_p: float = 0.95
    candidates: int = 1
    batch: int = 512
    tools: str = ""

    @property
    def context(self) -> int:
        """Tokens that the longest prompt needs with its answer, in llama.cpp's steps."""
        return -(-(max(map(len, self.prompts)) + self.new) // 256) * 256


class Endless(LlamaModel):
    """A model that never ends by itself and takes token ids for a chat."""

    def ends(self, token: int) -> bool:  # noqa: ARG002 - as the class above has it
        """Return False: every answer gets all its tokens, so that all do the same work."""
        return False

    def prompt_ids(self, messages: Any) -> list[int]:
        """Return the ids that stand for the chat."""
        return list(messages)


@dataclass
class Clock:
    """Seconds by the clock and of computing since it was made; of another process where given."""

    pid: int | None = None

    def __post_init__(self) -> None:
        """Begin."""
        self.wall, self.cpu = time.perf_counter(), self._computing()

    def _computing(self) -> float:
        own = time.process_time()
        if self.pid is None:
            return own
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return own + (int(fields[11]) + int(fields[12])) / TICKS

    def read(self, tokens: int) -> dict[str, float]:
        """Return what has gone by, with the most memory taken so far."""
        wall, cpu = time.perf_counter() - self.wall, self._computing() - self.cpu
        status = Path(f"/proc/{self.pid or 'self'}/status").read_text("ascii")
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return {"wall_s": wall, "cpu_s": cpu, "tokens": tokens, "peak_mb": int(peak) / 1024}


def minimix(work: Work) -> dict[str, float]:
    """Our own engine."""
    llama.STOP_BYTES = ()
    sampling = Sampling(work.candidates, work.temperature, work.top_p, 42, greedy_first=False)
    machine = Machine(
        threads=work.threads,
        parallel=work.parallel,
        batch=work.batch,
        flash_attention=work.flash,
        cache_type="f16",
        exact=False,
    )
    with Endless(Path(work.model)) as model:
        batcher = Batcher(model, sampling, machine)

        def run(prompts: Sequence[Sequence[int]], new: int) -> int:
            found = list(batcher.run(prompts, context=work.context, new=new))  # type: ignore[arg-type]
            assert all(answer.finish == "length" for answer in found)
            return new * len(found)

        run(work.prompts[:1], 4)
        through = counted(model.c)
        clock = Clock()
        done = clock.read(run(work.prompts, work.new))
    return {**done, "in_llama_cpp_s": through["seconds"], "through_the_model": through["tokens"]}


def counted(c: Any) -> dict[str, float]:
    """Count what goes through the model, and the seconds in llama.cpp, from now on."""
    found = {"seconds": 0.0, "tokens": 0.0}

    def timed(name: str) -> None:
        inner = getattr(c, name)

        def outer(*given: Any) -> Any:
            start = time.perf_counter()
            result = inner(*given)
            found["seconds"] += time.perf_counter() - start
            if name == "llama_decode":
                found["tokens"] += given[1].n_tokens
            return result

        setattr(c, name, outer)

    for name in ("llama_decode", "llama_sampler_sample", "llama_init_from_model", "llama_free"):
        timed(name)
    return found


def high_level(work: Work) -> dict[str, float]:
    """llama-cpp-python's own class in a loop; it keeps what a prompt shares with the one before."""
    import llama_cpp

    model = llama_cpp.Llama(
        work.model,
        n_ctx=work.context,
        n_batch=work.batch,
        n_ubatch=work.batch,
        n_threads=work.threads,
        n_threads_batch=work.threads,
        flash_attn=work.flash,
        seed=42,
        no_perf=True,
        verbose=False,
    )
    drawn = {"temp": work.temperature, "top_p": work.top_p, "top_k": TOP_K, "min_p": 0.0}

    def answer(prompt: list[int], new: int) -> int:
        stream = model.generate(prompt, **drawn)
        return len([token for token, _ in zip(stream, range(new), strict=False)])

    answer(work.prompts[0], 4)
    clock = Clock()
    return clock.read(sum(answer(prompt, work.new) for prompt in work.prompts))


def request(work: Work, prompt: list[int], new: int) -> dict[str, Any]:
    """Return what llama-server and xllamacpp are asked, alike."""
    drawing = ["top_k", "top_p", "temperature"] if work.temperature else ["temperature"]
    return {
        "prompt": prompt,
        "n_predict": new,
        "temperature": work.temperature,
        "top_p": work.top_p,
        "top_k": TOP_K,
        "samplers": drawing,
        "seed": 42,
        "ignore_eos": True,
        "cache_prompt": True,
    }


def together(work: Work, ask: Callable[[list[int], int], int], pid: int | None) -> dict[str, float]:
    """Ask for everything at once, as many at a time as there are slots, after a short answer."""
    ask(work.prompts[0], 4)
    with ThreadPoolExecutor(work.parallel) as pool:
        clock = Clock(pid)
        tokens = sum(pool.map(lambda prompt: ask(prompt, work.new), work.prompts))
        return clock.read(tokens)


def llama_server(work: Work) -> dict[str, float]:
    """llama.cpp's server, with as many slots as we have sequences."""
    port = 18000 + os.getpid() % 2000
    given = {
        "--model": work.model,
        "--threads": work.threads,
        "--threads-batch": work.threads,
        "--parallel": work.parallel,
        "--ctx-size": work.context * work.parallel,
        "--batch-size": work.batch,
        "--ubatch-size": work.batch,
        "--flash-attn": FLASH[work.flash],
        "--port": port,
    }
    command = [f"{work.tools}/llama-server", "--no-kv-unified", "--no-ui", "--log-disable"]
    command += [str(part) for pair in given.items() for part in pair]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/health", server)

            def ask(prompt: list[int], new: int) -> int:
                body = json.dumps(request(work, prompt, new)).encode()
                address = f"http://127.0.0.1:{port}/completion"
                asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(asked, timeout=600) as reply:
                    return int(json.load(reply)["tokens_predicted"])

            return together(work, ask, server.pid)
        finally:
            server.terminate()


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SERVER_START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"llama-server: does not answer at {address}")


def xllamacpp(work: Work) -> dict[str, float]:
    """Run llama.cpp's server inside this process, as the package xllamacpp has it."""
    import xllamacpp as x

    params = x.CommonParams()
    params.model.path = work.model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = work.threads
    params.n_parallel, params.kv_unified = work.parallel, False
    params.n_ctx = work.context * work.parallel
    params.n_batch = params.n_ubatch = work.batch
    kinds = x.llama_flash_attn_type
    params.flash_attn_type = (
        kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if work.flash else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.ui, params.verbosity = False, -1
    server = x.Server(params)

    def ask(prompt: list[int], new: int) -> int:
        reply = server.handle_completions(request(work, prompt, new))
        return int(reply["usage"]["completion_tokens"])

    return together(work, ask, None)


def batched_bench(work: Work) -> dict[str, float]:
    """llama.cpp's own measure of batched decoding, which picks no tokens at all."""
    size = len(work.prompts[0])
    given = {
        "-m": work.model,
        "-t": work.threads,
        "-tb": work.threads,
        "-c": work.context * work.parallel,
        "-b": work.batch,
        "-ub": work.batch,
        "-fa": FLASH[work.flash],
        "-npp": size,
        "-ntg": work.new,
        "-npl": work.parallel,
        "--output-format": "jsonl",
    }
    command = [f"{work.tools}/llama-batched-bench", "--no-kv-unified"]
    command += [str(part) for pair in given.items() for part in pair]
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    found = json.loads(line)
    tokens = work.parallel * work.new
    return {"wall_s": found["t"], "cpu_s": cpu, "tokens": tokens, "write_s": found["t_tg"]}


CONTENDERS: dict[str, Callable[[Work], dict[str, float]]] = {
    "minimix": minimix,
    "llama-cpp-python": high_level,
    "llama-server": llama_server,
    "xllamacpp": xllamacpp,
    "llama-batched-bench": batched_bench,
}


def main() -> None:
    """Do one contender's work."""
    work = Work(**json.load(sys.stdin))
    print(json.dumps(CONTENDERS[sys.argv[1]](work)))
    sys.stdout.flush()
    os._exit(0)  # some servers wait for ever when their process ends in the usual way


if __name__ == "__main__":
    main()
