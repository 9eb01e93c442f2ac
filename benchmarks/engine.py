"""The engine side by side with what else runs a GGUF here, and with its own other settings.

    pip install xllamacpp==2026.10.11549        # once, for that contender
    python benchmarks/engine.py [SECTION ...]   # of: greedy drawn bench candidates grammar
                                                #     in-flight sizes cohorts

llama.cpp's own programs are built once, out of the source distribution of the llama-cpp-python that
is installed (cmake and a compiler; twenty minutes). Every measurement but the last sections' is a
process of its own, contenders take turns, and medians of five rounds are compared. What a section
finds is added to benchmarks/results/engine.json and written into docs/performance.md; exit 1 where
a bar does not hold. Nothing else should run meanwhile: all of it takes an hour on two cores.
"""

import argparse
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from engine_contenders import Work
from engine_page import bar, held, write_page

from minimix.config import DistillConfig, EngineConfig
from minimix.engines import open_engine
from minimix.engines.bundled import cache_folder, fast_model
from minimix.engines.machine import MOST_PARALLEL, cores
from minimix.engines.model import LlamaModel
from minimix.engines.trial import tried
from minimix.mixture.worse.degrade import variants
from minimix.output import versions
from minimix.pool import read_pool
from minimix.prompt import SYSTEM, part_text, to_messages
from minimix.records import Messages, Sample, Task
from minimix.train.converters import TREE, sdist

HERE = Path(__file__).parent
RESULT = HERE / "results" / "engine.json"
EXAMPLE = HERE.parent / "examples" / "dolly.jsonl"
CONTENDERS = HERE / "engine_contenders.py"
ROUNDS = 5
TASKS, SHARED, OWN, NEW = 64, 167, 233, 128
WORDS = range(30, 80)
"""How many words of response a row has that is to be taken apart."""
PROGRAMS = ("llama-batched-bench", "llama-server")
BUILD = ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_UI", "USE_PREBUILT_UI", "OPENSSL")
"""Parts of llama.cpp that are left out."""
Figures = dict[str, Any]


def tools() -> Path:
    """Return the folder with llama.cpp's own programs, built on the first call."""
    version = versions()["llama-cpp-python"]
    folder = cache_folder() / "benchmarks" / f"llama.cpp-{version}"
    found = folder / "build" / "bin"
    if not all((found / name).exists() for name in PROGRAMS):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=folder) as temporary,
            tarfile.open(sdist(version, Path(temporary))) as archive,
        ):
            archive.extractall(folder, filter="data")
        (source,) = folder.glob(f"*/{TREE}")
        left_out = [f"-DLLAMA_{part}=OFF" for part in BUILD]
        prepared = ["cmake", "-S", source, "-B", folder / "build", *left_out]
        subprocess.run([*prepared, "-DCMAKE_BUILD_TYPE=Release"], check=True, stdout=sys.stderr)
        build = ["cmake", "--build", folder / "build", "-j", str(cores()), "--target"]
        subprocess.run([*build, *PROGRAMS], check=True, stdout=sys.stderr)
    return found


def samples() -> list[Sample]:
    """Return the example's rows."""
    return list(read_pool(str(EXAMPLE)).samples)


def prompts() -> list[list[int]]:
    """Return 64 prompts of about 400 tokens, the first 167 of which are all the same."""
    rows = [part_text(sample) for sample in samples()]
    with LlamaModel(fast_model()) as model:
        start = model.tokenize(f"{SYSTEM}\n\n" + "\n\n".join(rows), False)[:SHARED]
        found = []
        for number in range(TASKS):
            length = OWN - 20 + number * 17 % 41
            text = "\n\n".join(rows[number:] + rows[:number])
            found.append(start + model.tokenize(f"{number}. {text}", False)[:length])
    return found


def chats(size: int, count: int) -> list[Messages]:
    """Return tasks of `size` parts each: rows of the example taken apart."""
    rng = np.random.default_rng(42)
    fitting = [sample for sample in samples() if len(sample.response.split()) in WORDS]
    found = []
    for sample in (fitting * count)[:count]:
        parts = variants(sample, count=size, rng=rng)
        found.append(to_messages(Task("qa", tuple(map(part_text, parts)))))
    return found


def measure(name: str, work: Work) -> Figures:
    """Return what one contender measured of itself, in a process of its own."""
    given = json.dumps(asdict(work))
    command = [sys.executable, str(CONTENDERS), name]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    shown = ", ".join(f"{key} {value:.1f}" for key, value in found.items())
    print(f"{name}: {shown}", file=sys.stderr, flush=True)
    return found


def in_turns(jobs: Mapping[str, Callable[[], Figures]], rounds: int = ROUNDS) -> dict[str, Figures]:
    """Return the medians of what each job found, all of them once a round."""
    found: dict[str, list[Figures]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())
    return {
        name: {key: round(median(one[key] for one in all_of), 3) for key in all_of[0]}
        for name, all_of in found.items()
    }


def ratios(found: Mapping[str, Figures], key: str) -> Figures:
    """Return how often as long as ours each contender took."""
    own = found["minimix"][key]
    return {name: round(other[key] / own, 3) for name, other in found.items() if name != "minimix"}


def usual() -> Work:
    """Return the work that all sections begin with: the bundled model as it runs here."""
    model = fast_model()
    flash = tried(model, gpu_layers=0).flash
    built = str(tools())
    return Work(str(model), prompts(), NEW, cores(), MOST_PARALLEL, flash, tools=built)


def greedy() -> Figures:
    """Measure greedy answers of all contenders."""
    work = usual()
    names = ("minimix", "llama-cpp-python", "llama-server", "xllamacpp")
    found = in_turns({name: lambda name=name: measure(name, work) for name in names})  # type: ignore[misc]
    faster = ratios(found, "wall_s")
    own = found["minimix"]
    outside = 1 - own["in_llama_cpp_s"] / own["wall_s"]
    return {
        "medians": found,
        "times as fast, by the clock": faster,
        "times as fast, in computing": ratios(found, "cpu_s"),
        "bars": {
            "against llama-cpp-python": [faster["llama-cpp-python"], 2.4, None],
            "against llama-server": [faster["llama-server"], 1.25, None],
            "against xllamacpp": [faster["xllamacpp"], 1.25, None],
            "share of Python": [round(outside, 4), None, 0.03],
        },
    }


def drawn() -> Figures:
    """Measure answers drawn as `distill` draws them."""
    work = replace(usual(), temperature=EngineConfig().temperature, top_p=EngineConfig().top_p)
    names = ("minimix", "llama-cpp-python")
    found = in_turns({name: lambda name=name: measure(name, work) for name in names})  # type: ignore[misc]
    faster = ratios(found, "wall_s")
    return {
        "medians": found,
        "times as fast, by the clock": faster,
        "times as fast, in computing": ratios(found, "cpu_s"),
        "bars": {"against llama-cpp-python": [faster["llama-cpp-python"], 2.2, None]},
    }


def bench() -> Figures:
    """Measure against llama.cpp's own benchmark: 16 prompts of 400 tokens, nothing shared."""
    rng = np.random.default_rng(42)
    own = [rng.integers(100, 40000, size=SHARED + OWN).tolist() for _ in range(MOST_PARALLEL)]
    work = replace(usual(), prompts=own)
    names = ("minimix", "llama-batched-bench")
    found = in_turns({name: lambda name=name: measure(name, work) for name in names})  # type: ignore[misc]
    share = ratios(found, "wall_s")["llama-batched-bench"]
    return {
        "medians": found,
        "bars": {"throughput, of llama-batched-bench's": [share, 0.95, None]},
    }


def candidates() -> Figures:
    """Measure four candidates of 16 prompts against four runs of one."""
    work = replace(usual(), temperature=EngineConfig().temperature)
    work = replace(work, prompts=work.prompts[:16])
    four = replace(work, candidates=4)
    jobs = {
        "one": lambda: measure("minimix", work),
        "four": lambda: measure("minimix", four),
    }
    found = in_turns(jobs)
    once = SHARED + sum(len(prompt) - SHARED for prompt in work.prompts)
    written = {"one": 16 * (NEW - 1), "four": 64 * (NEW - 1)}
    read = {name: found[name]["through_the_model"] - written[name] for name in found}
    share = {
        key: round(found["four"][key] / found["one"][key] / 4, 3) for key in ("wall_s", "cpu_s")
    }
    return {
        "medians": found,
        "tokens of prompts": once,
        "tokens of prompts read": read,
        "bars": {
            "prompts read, times": [round(read["four"] / once, 3), None, 1.0],
            "cost, of four runs": [share["wall_s"], None, 0.70],
            "computing, of four runs": [share["cpu_s"], None, 0.70],
        },
    }


def timed(config: EngineConfig, asked: Sequence[Messages], cohort: int) -> Figures:
    """Return what the distiller took for chats, cohort by cohort."""
    settings = DistillConfig()
    engine = open_engine(config, candidates=settings.candidates, seed=settings.seed)
    list(engine.generate(asked[:1]))
    wall, cpu, tokens = time.perf_counter(), time.process_time(), 0
    for start in range(0, len(asked), cohort):
        for answer in engine.generate(asked[start : start + cohort]):
            tokens += engine.count([{"role": "user", "content": answer.text}])
    found = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "tokens": tokens,
    }
    print(f"{cohort} together: {found}", file=sys.stderr, flush=True)
    return found


def grammar() -> Figures:
    """Measure the distiller with answers held to their form, and free."""
    asked = chats(3, 16)
    jobs = {
        name: lambda on=on: timed(EngineConfig(grammar=on), asked, len(asked))  # type: ignore[misc]
        for name, on in (("off", False), ("on", True))
    }
    found = in_turns(jobs)
    each = {name: one["cpu_s"] / one["tokens"] for name, one in found.items()}
    more = round(each["on"] / each["off"] - 1, 4)
    return {"medians": found, "bars": {"more computing a token": [more, None, 0.10]}}


def cohorts() -> Figures:
    """Measure what it costs to end one cohort before the next begins, by their size."""
    asked = chats(3, 32)
    sizes = (4, 8, 16, 32)
    jobs = {str(n): lambda n=n: timed(EngineConfig(), asked, n) for n in sizes}  # type: ignore[misc]
    found = in_turns(jobs, rounds=3)
    each = {name: one["cpu_s"] / one["tokens"] for name, one in found.items()}
    more = {name: round(value / each["32"] - 1, 4) for name, value in each.items()}
    return {"medians": found, "more computing than endless": more, "bars": {}}


def in_flight() -> Figures:
    """Measure time and memory as more sequences are in flight."""
    work = usual()
    counts = (1, 2, 4, 8, 16, 32)
    jobs = {
        str(n): lambda n=n: measure(
            "minimix", replace(work, prompts=work.prompts[:32], new=64, parallel=n)
        )  # type: ignore[misc]
        for n in counts
    }
    return {"medians": in_turns(jobs, rounds=3), "tasks": 32, "bars": {}}


def sizes() -> Figures:
    """Measure time a fusion as clusters grow."""
    asked = {size: chats(size, 16) for size in (2, 3, 4, 5)}
    jobs = {
        str(size): lambda own=own: timed(EngineConfig(), own, len(own))  # type: ignore[misc]
        for size, own in asked.items()
    }
    return {"medians": in_turns(jobs, rounds=3), "tasks": 16, "bars": {}}


SECTIONS: dict[str, Callable[[], Figures]] = {
    "greedy": greedy,
    "drawn": drawn,
    "bench": bench,
    "candidates": candidates,
    "grammar": grammar,
    "in-flight": in_flight,
    "sizes": sizes,
    "cohorts": cohorts,
}


def machine() -> Figures:
    """Return what this ran on."""
    text = Path("/proc/cpuinfo").read_text("utf-8")
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": cores(),
        "versions": versions(),
        "flash attention": tried(fast_model(), gpu_layers=0).flash,
    }


def missed(section: Figures) -> list[str]:
    """Return the bars that do not hold."""
    bars = section["bars"].items()
    return [
        f"{name}: {found[0]}, expected {bar(*found)}" for name, found in bars if not held(*found)
    ]


def main() -> None:
    """Measure the sections that are named, or all."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("sections", nargs="*", metavar="SECTION")
    named = options.parse_args().sections or list(SECTIONS)
    if unknown := set(named) - set(SECTIONS):
        options.error(f"expected some of {', '.join(SECTIONS)}, found {', '.join(sorted(unknown))}")
    found: Figures = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    failed = []
    for name in named:
        found[name] = {**SECTIONS[name](), "machine": machine()}
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        write_page(found)
        failed += [f"{name}: {line}" for line in missed(found[name])]
    print(json.dumps({name: found[name]["bars"] for name in named}))
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
