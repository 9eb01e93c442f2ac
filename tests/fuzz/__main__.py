"""`python -m tests.fuzz [--runs N | --seconds N] [TARGET ...]`: look for inputs that break minimix.

Atheris drives each target in a process of its own, guided by the lines that inputs reach. An
exception that is no MinimixError, an input that takes over a second, and memory over a bound are
findings: the input lies in build/fuzz. The last line of stdout is JSON with the figures.
"""

import argparse
import datetime
import hashlib
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path("build/fuzz")
INPUTS, FINDINGS = "corpus", "findings"
COUNTED = {"template": ["jinja2", "jinja2.sandbox"], "settings": ["yaml"]}
"""Packages whose lines count beside minimix's own, which do little by themselves there."""
MOST_MB, PARQUET_MB = 1_024, 4_096
LONGEST = 4_096
SECONDS_EACH, PARQUET_SECONDS, HANGS_SECONDS = 1, 10, 60
"""Of computing, and by the clock. A page of parquet may claim 2 GiB, which arrow makes room for."""
MARKS = (
    "[", "]", "{", "}", '":', "NaN", "1e999", "{%", "%}", "{{", "}}", "<answer>", "</answer>",
    "<think>", "\nA:", "\nA) ", "\nD) ", "\nAnswer: ", "\nS: ", "&a", "*a", "!!", "- ", "? ",
    "parts", "reference", "sources", "cohort", "answers", "settings", "engine", "embedder",
    "candidate", "finish", "choices", "message", "data", "instruction", "for x in range(9)",
    "version", "charts", "series", "labels", "flow", "samples",
    "general.type", "general.alignment", "form", "agreement", "PAR1", "GGUF",
)  # fmt: skip
STATS = re.compile(rb"stat::(\w+):\s+(\d+)")
COVERED = re.compile(rb"cov: (\d+)")


def child(name: str, arguments: list[str]) -> None:
    """Fuzz one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["minimix", *COUNTED.get(name, ())]):
        for package in COUNTED.get(name, ()):
            importlib.import_module(package)
        from tests.fuzz.targets import TARGETS, attempt
    found = TARGETS[name]

    for data in found.seeds:  # what is read once, such as lists of words, counts for no input
        attempt(found.run, data)
    most = PARQUET_SECONDS if "parquet" in name else SECONDS_EACH

    def one(data: bytes) -> None:
        began = time.process_time()
        try:
            attempt(found.run, data)
            if time.process_time() - began > most:
                raise TimeoutError(f"more than {most} s of computing")
        except BaseException:  # kept here too: libFuzzer does not see to it in every case
            kept = FOLDER / name / FINDINGS / f"exception-{hashlib.sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            raise

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def fuzz(name: str, *, runs: int, seconds: int) -> dict[str, Any]:
    """Return the figures of one target."""
    from tests.fuzz.targets import TARGETS

    corpus, findings = FOLDER / name / INPUTS, FOLDER / name / FINDINGS
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds):
        (corpus / f"seed{number}").write_bytes(data)
    bound = f"-max_total_time={seconds}" if seconds else f"-runs={runs}"
    parquet = "parquet" in name
    options = [
        bound,
        f"-timeout={HANGS_SECONDS}",
        f"-rss_limit_mb={PARQUET_MB if parquet else MOST_MB}",
        f"-dict={_words()}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        "-report_slow_units=60",
        str(corpus),
    ]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--child", name, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    (FOLDER / name / "log").write_bytes(done.stdout)
    stats = {key.decode(): int(value) for key, value in STATS.findall(done.stdout)}
    covered = [int(edges) for edges in COVERED.findall(done.stdout)]
    return {
        "executions": stats.get("number_of_executed_units", 0),
        "edges": max(covered, default=0),
        "inputs_kept": len(list(corpus.iterdir())),
        "peak_mb": stats.get("peak_rss_mb", 0),
        "seconds": round(time.monotonic() - began, 1),
        "ended_well": done.returncode == 0,
        "findings": sorted(path.name for path in findings.iterdir()),
    }


def _words() -> Path:
    """Return a file of the words that forms are told by: chance alone seldom spells them."""
    from tests.fuzz.values import NAMES, TEXTS

    path = FOLDER / "words"
    words = {word.encode("utf-8", "surrogatepass") for word in (*NAMES, *TEXTS, *MARKS) if word}
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words))
    path.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
    return path


def main() -> None:
    """Fuzz the targets named, or all."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50_000, help="executions of each target")
    parser.add_argument("--seconds", type=int, default=0, help="seconds of each, instead of runs")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = parser.parse_args()
    figures = {}
    for name in given.targets or TARGETS:
        figures[name] = fuzz(name, runs=given.runs, seconds=given.seconds)
        sys.stderr.write(f"{name}: {figures[name]}\n")
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "atheris": version("atheris")},
        "bounds": {"seconds": SECONDS_EACH, "mb": MOST_MB, "bytes": LONGEST},
        "executions": sum(one["executions"] for one in figures.values()),
        "findings": sum(not one["ended_well"] for one in figures.values()),
        "targets": figures,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(bool(result["findings"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    main()
