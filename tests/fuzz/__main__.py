"""`python -m tests.fuzz [--runs N | --seconds N] [TARGET ...]`: look for inputs that break minimix.

Atheris drives each target in a process of its own, guided by the lines that inputs reach. An
exception that is no MinimixError, an input that takes over a second, and memory over a bound are
findings: the input lies in build/fuzz. The last line of stdout is JSON with the figures.
"""

import argparse
import datetime
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
MOST_MB = 2_048
LONGEST = 4_096
SECONDS_EACH = 1
STATS = re.compile(rb"stat::(\w+):\s+(\d+)")
COVERED = re.compile(rb"cov: (\d+)")


def child(name: str, arguments: list[str]) -> None:
    """Fuzz one target; never returns."""
    import atheris

    counted = {
        "minimix": ["minimix"],
        "template": ["minimix", "jinja2"],
        "settings": ["minimix", "yaml"],
    }
    with atheris.instrument_imports(include=counted.get(name, counted["minimix"])):
        from tests.fuzz.targets import TARGETS, attempt
    found = TARGETS[name]
    atheris.Setup([sys.argv[0], *arguments], lambda data: attempt(found.run, data))
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
    options = [
        bound, f"-timeout={SECONDS_EACH}", f"-rss_limit_mb={MOST_MB}", f"-max_len={LONGEST}",
        f"-artifact_prefix={findings}/", "-print_final_stats=1", "-close_fd_mask=1",
        "-report_slow_units=1", str(corpus),
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--child", name, *options],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    (FOLDER / name / "log").write_bytes(done.stderr)
    stats = {key.decode(): int(value) for key, value in STATS.findall(done.stderr)}
    covered = [int(edges) for edges in COVERED.findall(done.stderr)]
    return {
        "executions": stats.get("number_of_executed_units", 0),
        "edges": max(covered, default=0),
        "inputs_kept": len(list(corpus.iterdir())),
        "peak_mb": stats.get("peak_rss_mb", 0),
        "seconds": round(time.monotonic() - began, 1),
        "ended_well": done.returncode == 0,
        "findings": sorted(path.name for path in findings.iterdir()),
    }


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
        "findings": sum(len(one["findings"]) for one in figures.values()),
        "targets": figures,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(bool(result["findings"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    main()
