"""`python -m tests.fuzz.llama [--count N]`: changed GGUF headers, checked and then really loaded.

Each is refused by one line, or passes our check and then runs in llama.cpp, in a child process. A
child that dies is a finding: our check let through what ends the process.
"""

import argparse
import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from minimix.engines.bundled import ADAPTER, packaged_model
from minimix.engines.model import hush
from minimix.engines.sound import check_adapter, check_model
from minimix.errors import ModelError
from tests.fuzz.headers import Change, changes, small_model

BATCH = 100
SECONDS, MOST_BYTES = 20, 2**34
MEMORY, SAID = "/dev/shm", "stderr"
Try = Callable[[Path], bool]
"""Loads a file that passed the check; returns whether llama.cpp took it."""


@dataclass
class Figures:
    """How changed files ended: refused by our check, by llama.cpp, run, or the process died."""

    counts: Counter[str] = field(default_factory=Counter)
    died: list[str] = field(default_factory=list)


def load_model(path: Path) -> bool:
    """Load a model, open a context, and write a token, as the engine does."""
    import llama_cpp as c

    model = c.llama_model_load_from_file(os.fsencode(path), _params(c))
    if not model:
        return False
    done = _reads(c, model)
    c.llama_model_free(model)
    return done


def lora_on(model: Path) -> Try:
    """Return what runs a LoRA on a model that is loaded once in each child."""
    opened: list[Any] = []

    def load(path: Path) -> bool:
        import llama_cpp as c

        if not opened:
            opened.append(c.llama_model_load_from_file(os.fsencode(model), _params(c)))
        adapter = c.llama_adapter_lora_init(opened[0], os.fsencode(path))
        if not adapter:
            return False
        done = _reads(c, opened[0], adapter)
        c.llama_adapter_lora_free(adapter)
        return done

    return load


def _reads(c: Any, model: Any, adapter: Any = None) -> bool:
    """Whether a model reads a few tokens, with a LoRA on top of it if there is one."""
    vocab, settings = c.llama_model_get_vocab(model), c.llama_context_default_params()
    settings.n_ctx = settings.n_batch = 64
    settings.n_threads = settings.n_threads_batch = 1
    context = c.llama_init_from_model(model, settings)
    if not context:
        return False
    if adapter:
        adapters = (c.llama_adapter_lora_p_ctypes * 1)(adapter)
        c.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
    ids = (c.llama_token * 64)()
    count = max(1, c.llama_tokenize(vocab, b"A b c", 5, ids, 16, False, False))
    done = c.llama_decode(context, c.llama_batch_get_one(ids, count))
    c.llama_model_chat_template(model, None)
    for token in (*ids[:count], c.llama_vocab_bos(vocab), c.llama_vocab_eos(vocab)):
        c.llama_vocab_get_text(vocab, token) if token >= 0 else None
        c.llama_token_to_piece(vocab, token, ctypes.create_string_buffer(64), 64, 0, False)
    c.llama_free(context)
    return not done


def _params(c: Any) -> Any:
    hush(c)
    c.llama_backend_init()
    params = c.llama_model_default_params()
    params.use_extra_bufts = False
    return params


def attempt(
    whole: Path, found: Iterator[Change], load: Try, *, check: Callable[[Path], object]
) -> Figures:
    """Return how a file ends with each of the changes made in it, one after another."""
    figures = Figures()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "changed.gguf")
        path.write_bytes(whole.read_bytes())
        while batch := list(islice(found, BATCH)):
            while batch:
                ended = _in_child(batch, path, whole, load, check)
                figures.counts.update(ended)
                batch = batch[len(ended) :]
                if batch:
                    figures.counts["died"] += 1
                    figures.died.append(f"{batch.pop(0)}: {_last_words(path)}")
                    path.write_bytes(whole.read_bytes())
    return figures


def _in_child(
    batch: Sequence[Change], path: Path, whole: Path, load: Try, check: Callable[[Path], object]
) -> list[str]:
    """Return how the changes ended, up to the one that the child died of."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["GGML_NO_BACKTRACE"] = "1"
        os.dup2(os.open(path.with_name(SAID), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        data = whole.read_bytes()
        for change in batch:
            signal.alarm(SECONDS)
            os.write(writing, _ended(change, path, data, load, check))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    names = {b"c": "refused by our check", b"l": "refused by llama.cpp", b"r": "run"}
    return [names[said[n : n + 1]] for n in range(len(said))]


def _last_words(path: Path) -> str:
    said = path.with_name(SAID).read_text("utf-8", "replace").split("\n")
    return next((line for line in said if "GGML_ASSERT" in line or "terminate" in line), "")


def _ended(
    change: Change, path: Path, data: bytes, load: Try, check: Callable[[Path], object]
) -> bytes:
    with path.open("r+b") as file:
        if change.length is not None:
            file.truncate(change.length)
        else:
            file.seek(change.at)
            file.write(change.data)
    try:
        check(path)
        return b"r" if load(path) else b"l"
    except ModelError as error:
        if len(str(error).splitlines()) != 1:
            os.abort()
        return b"c"
    finally:
        with path.open("r+b") as file:
            at = change.at if change.length is None else change.length
            file.seek(at)
            file.write(data[at:] if change.length is not None else data[at : at + len(change.data)])


def small(folder: Path) -> Path:
    """Return the small model of all the bundled one's fields."""
    path = folder / "small.gguf"
    small_model(packaged_model(), path)
    return path


def main() -> None:
    """Show the figures of the small model, of the bundled one and of its LoRA."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="headers in all")
    parser.add_argument("--seed", type=int, default=0, help="of the changes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        model = small(Path(folder))
        plan = {
            "small model": (model, load_model, check_model, 0.6),
            "bundled LoRA": (ADAPTER, lora_on(packaged_model()), check_adapter, 0.3),
            "bundled model": (packaged_model(), load_model, check_model, 0.1),
        }
        result: dict[str, Any] = {}
        for name, (whole, load, check, share) in plan.items():
            found = changes(whole.read_bytes(), int(share * given.count), seed=given.seed)
            figures = attempt(whole, found, load, check=check)
            result[name] = {**figures.counts, "died_of": figures.died}
            sys.stderr.write(f"{name}: {result[name]}\n")
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(any(one["died_of"] for one in result.values()))


if __name__ == "__main__":
    main()
