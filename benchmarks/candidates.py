"""How many candidates are worth their time: clean and accepted fusions by candidates a task.

    python benchmarks/candidates.py FILE [--quick]

FILE is any data that `minimix distill` reads (default: examples/dolly.jsonl). One run writes eight
candidates of each task; fewer are judged by looking at the first ones alone, so the figures differ
by nothing else. Progress goes to stderr, one JSON object is the last line of stdout.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

from minimix.audit import audit
from minimix.config import DistillConfig
from minimix.engines import open_engine
from minimix.judge import harm
from minimix.output import versions
from minimix.parse import parse
from minimix.prepare import Prepared
from minimix.prompt import to_messages
from minimix.rating import open_rater
from minimix.records import Answer, Cluster, Place, Sample
from minimix.run import look

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
CANDIDATES = (1, 2, 3, 5, 8)


def outcomes(
    prepared: Prepared, cluster: Cluster, answers: list[Answer]
) -> list[tuple[bool, bool, Sample | None]]:
    """Return for each candidate whether it is well-formed, clean, and the sample it makes."""
    task, sources = prepared.task(cluster), prepared.sources(cluster)
    found = []
    for answer in answers:
        draft = parse(task, answer.text)
        clean = not harm(draft, audit(draft, sources))
        place = (Place("", 0, 0, ""),)
        found.append(
            (not draft.problems, clean, Sample(draft.prompt, draft.response, place))
            if clean
            else (not draft.problems, False, None)
        )
    return found


def judged(
    prepared: Prepared, clusters: list[Cluster], answers: list[Answer]
) -> list[list[tuple[bool, bool, bool]]]:
    """Return for each task and candidate: well-formed, clean, and rated above its best source."""
    rate = open_rater().rate
    marks = []
    for number, cluster in enumerate(clusters):
        own = sorted((a for a in answers if a.task == number), key=lambda a: a.candidate)
        best_source = max(float(prepared.rated[row]) for row in cluster.rows)
        row = []
        for formed, clean, sample in outcomes(prepared, cluster, own):
            rated = rate([sample] if sample else []).tolist() or [-1.0]
            row.append((formed, clean, rated[0] > best_source))
        marks.append(row)
    return marks


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("file", nargs="?", default=str(EXAMPLE))
    options.add_argument("--tasks", type=int, default=48)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--threads", type=int, default=0)
    given = options.parse_args()
    count, most = (3, 3) if given.quick else (given.tasks, max(CANDIDATES))
    config = DistillConfig(limit=60 if given.quick else None)
    config = config.with_settings({"threads": given.threads})
    prepared = look(given.file, config)[1]
    chosen = [prepared.clusters[position] for position in prepared.order]
    chosen = chosen[:: max(1, len(chosen) // count)][:count]
    engine = open_engine(config.engine, candidates=most, seed=config.seed)
    start = time.monotonic()
    answers = list(engine.generate([to_messages(prepared.task(c)) for c in chosen]))
    seconds = time.monotonic() - start
    print(f"{len(answers)} answers in {seconds:.0f} s", file=sys.stderr)
    marks = judged(prepared, chosen, answers)
    figures = {
        str(n): {
            "well_formed": _share([any(m[0] for m in row[:n]) for row in marks]),
            "clean": _share([any(m[1] for m in row[:n]) for row in marks]),
            "accepted": _share([any(m[2] for m in row[:n]) for row in marks]),
        }
        for n in CANDIDATES
        if n <= most
    }
    print(
        json.dumps(
            {
                "benchmark": "candidates",
                "file": Path(given.file).name,
                "tasks": len(chosen),
                "seconds_per_answer": round(seconds / len(answers), 3),
                "length_limit_hit": _share([a.finish == "length" for a in answers]),
                "by_candidates": figures,
                "bars": {},
                "machine": f"{platform.machine()}, {engine.settings['threads']} threads",
                "versions": versions(),
            }
        )
    )


def _share(found: list[bool]) -> float:
    return round(sum(found) / len(found), 3)


if __name__ == "__main__":
    main()
