"""How good the distiller is: held-out tasks of five kinds, models and baselines side by side.

    python benchmarks/held_out.py FOLDER TASKS
    python benchmarks/distiller.py TASKS [NAME=ADAPTER.gguf ...] [--quick]

TASKS is what held_out.py made. The bundled model is asked as it is and with each adapter (by
default the shipped one): greedily, and with three candidates as `distill` chooses them, of which
the greedy one is the first. The last two adapters also draw one sample at temperature 1,
as GRPO does; the last minus the one before is what GRPO has brought. The bars are for the last
adapter. Answers and embeddings are kept in minimix's cache, so that a run that was stopped goes on
and scoring anew costs little. Progress goes to stderr; one JSON object is the last line of stdout,
and lies in benchmarks/results/distiller.json after a full run; exit 1 where a bar does not hold.
"""

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from held_out import FROZEN, PREDICTED

from minimix.cli.bar import bar
from minimix.config import DistillConfig
from minimix.disk import file_sha256
from minimix.engines import open_engine
from minimix.engines.bundled import ADAPTER, cache_folder
from minimix.evaluate import baselines, chosen, held_out, open_judges
from minimix.evaluate.answers import Written, memory_file, tasks_together, write
from minimix.evaluate.baselines import BEST_SOURCE, CONCATENATION
from minimix.evaluate.scores import Judges, Scores, score
from minimix.evaluate.statistics import UNKNOWN, Figure, difference, mean
from minimix.evaluate.table import groups, plain, rounded, table, values
from minimix.mixture.tasks import Example
from minimix.output import versions

RESULT = Path(__file__).parent / "results" / "distiller.json"
BASE = "base"
QUICK_TOKENS = 64
CANDIDATES = DistillConfig().candidates
BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "formed": (0.99, None),
    "greedy formed": (0.97, None),
    "gain on concatenation": (0.20, None),
    "gain on the best source": (0.06, None),
    "kept": (0.85, None),
    "unsupported": (None, 0.05),
    "loops": (None, 0.01),
    "length_ratio": (0.8, 1.25),
    **dict.fromkeys(("gain in quality", "gain in aligned", "gain in format"), (-0.02, None)),
}
"""The least and the most of each figure."""
ON_FUSIONS = ("kept", "unsupported", "loops", "length_ratio")
"""Figures over tasks whose reference is in their parts: what a person wrote on their own is not."""
GAINS = tuple(f"gain in {part}" for part in ("reward", "quality", "aligned", "format"))
"""Figures with a bar that need two adapters."""
Systems = dict[str, tuple[Scores, ...]]


def greedy(name: str) -> str:
    """Return what a model's first candidate alone is called."""
    return f"{name}, greedy"


def best_of(name: str) -> str:
    """Return what a model with candidates is called."""
    return f"{name}, {CANDIDATES} candidates"


def sampled(name: str) -> str:
    """Return what a model's one sample is called."""
    return f"{name}, one sample at temperature 1"


def answers(
    examples: Sequence[Example], adapter: Path | None, config: DistillConfig, *, sample: bool
) -> Written:
    """Return the answers of the bundled model, with an adapter or as it is; from the cache."""
    if sample:
        config = config.with_settings({"candidates": 1, "temperature": 1.0, "top_p": 1.0})
    engine = open_engine(
        replace(config.engine, adapter=str(adapter or "")),
        candidates=config.candidates,
        seed=config.seed,
        adapted=adapter is not None,
        greedy_first=not sample,
    )
    memory = memory_file(engine, config=config, greedy_first=not sample)
    asked = [example.task for example in examples]
    together = tasks_together(config.candidates)
    return write(asked, engine, memory=memory, cohort=together, progress=bar)


def measured(
    examples: Sequence[Example],
    adapters: Mapping[str, Path | None],
    config: DistillConfig,
    judges: Judges,
) -> tuple[Systems, dict[str, Any]]:
    """Return the scores of every system, and what each model's answers took."""
    systems: Systems = {}
    took: dict[str, Any] = {}
    compared = [name for name, adapter in adapters.items() if adapter][-2:]
    for name, adapter in adapters.items():
        written = answers(examples, adapter, config, sample=False)
        took[name] = written.speed()
        systems[greedy(name)] = chosen(examples, written, 1, judges)
        systems[best_of(name)] = chosen(examples, written, CANDIDATES, judges)
        if name in compared:
            one = answers(examples, adapter, config, sample=True)
            took[sampled(name)] = one.speed()
            drawn = [own[0] for own in one.answers]
            systems[sampled(name)] = score(examples, drawn, judges=judges)
        print(f"{name}: {took[name]}", file=sys.stderr)
    return systems | baselines(examples, judges), took


def checks(
    systems: Systems, examples: Sequence[Example], name: str, before: str, seed: int
) -> dict[str, Any]:
    """Return each bar with its figure and whether it holds: of `name`, and against `before`."""
    own = systems[best_of(name)]
    frozen = [n for n, example in enumerate(examples) if example.made == FROZEN]
    fused = [n for n, example in enumerate(examples) if example.made != PREDICTED]

    def gain(rival: str) -> Figure:
        theirs = [systems[rival][n] for n in frozen]
        ours = [own[n] for n in frozen]
        return difference(values(ours, "rouge_l"), values(theirs, "rouge_l"), seed=seed)

    figures = {
        "formed": mean(values(own, "formed"), seed=seed),
        "greedy formed": mean(values(systems[greedy(name)], "formed"), seed=seed),
        "gain on concatenation": gain(CONCATENATION),
        "gain on the best source": gain(BEST_SOURCE),
    }
    for figure in ON_FUSIONS:
        figures[figure] = _mean([own[n] for n in fused], figure, seed)
        figures[f"{figure} over all tasks"] = _mean(own, figure, seed)
    bars = {figure: _bar(figure, found) for figure, found in figures.items()}
    return bars | (_brought(systems, name, before, seed) if before else {})


def _mean(scores: Sequence[Scores], name: str, seed: int) -> Figure:
    """Return the mean of a figure over the tasks that have it."""
    found = values(scores, name)
    return mean(found, seed=seed) if found else UNKNOWN


def unmeasured() -> dict[str, Any]:
    """Return the bars that need two adapters as they are without: none of them holds."""
    return {name: _bar(name, UNKNOWN) for name in GAINS}


def _brought(systems: Systems, name: str, before: str, seed: int) -> dict[str, Any]:
    """Return the bars on what the last adapter brings at temperature 1."""
    ours, theirs = systems[sampled(name)], systems[sampled(before)]
    gains = {
        f"gain in {part}": difference(values(ours, part), values(theirs, part), seed=seed)
        for part in ("reward", "quality", "aligned", "format", "reward_rated")
    }
    bars = {name: _bar(name, gain) for name, gain in gains.items()}
    reward = gains["gain in reward"]
    bars["gain in reward"] |= {"low_above": 0.0, "holds": reward.low > 0}
    return bars


def _bar(name: str, figure: Figure) -> dict[str, Any]:
    """Return a figure with its bounds and whether it keeps them; without bounds it is only told.

    One that was not measured is said to be so, and keeps none.
    """
    least, most = BOUNDS.get(name, (None, None))
    above = least is None or figure.value >= least
    below = most is None or figure.value <= most
    bounds = {"at_least": least, "at_most": most}
    return {
        "figure": rounded(figure.value) if figure.of else "not measured",
        "low": rounded(figure.low),
        "high": rounded(figure.high),
        "of": figure.of,
        **{name: bound for name, bound in bounds.items() if bound is not None},
        "holds": above and below and figure.of > 0,
    }


def shortest(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the task of each kind with the least to read, for a look that costs a minute."""
    fused = [example for example in examples if example.made != PREDICTED]
    by_length = sorted(fused, key=lambda example: -len("".join(example.task.parts)))
    return tuple({example.task.kind: example for example in by_length}.values())


def named(words: Sequence[str]) -> dict[str, Path | None]:
    """Return the adapters by name, the bundled model without one first.

    Ends the program for a word that names none.
    """
    for word in words:
        name, _, path = word.partition("=")
        if not (name and path):
            sys.exit(f"adapters: expected NAME=ADAPTER.gguf, found {word!r}")
    pairs = [word.partition("=") for word in words] or [("shipped", "=", str(ADAPTER))]
    return {BASE: None, **{name: Path(path) for name, _, path in pairs}}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("tasks", type=Path, help="a folder that held_out.py made")
    options.add_argument("adapters", nargs="*", metavar="NAME=ADAPTER.gguf")
    options.add_argument("--quick", action="store_true", help="the shortest task of each kind")
    options.add_argument("--limit-per-kind", type=int)
    options.add_argument("--threads", type=int, default=0)
    given = options.parse_args()
    config = DistillConfig().with_settings({"threads": given.threads})
    path, examples = held_out(given.tasks, None if given.quick else given.limit_per_kind)
    if given.quick:
        examples = shortest(examples)
        config = config.with_settings({"max_new_tokens": QUICK_TOKENS})
    adapters = named(given.adapters)
    judges = open_judges(config.rater, memory=cache_folder() / "answers")
    systems, took = measured(examples, adapters, config, judges)
    *others, last = adapters
    before = others[-1] if len(others) > 1 else ""
    is_full = not given.quick and given.limit_per_kind is None
    bars = checks(systems, examples, last, before, config.seed)
    if is_full and not before:
        bars |= unmeasured()
    by = groups(examples)
    result = {
        "benchmark": "distiller",
        "tasks": {
            "sha256": file_sha256(path),
            "used": {name: len(own) for name, own in by.items()},
        },
        "adapters": {name: file_sha256(own) if own else None for name, own in adapters.items()},
        "took": took,
        "systems": plain(table(systems, by, seed=config.seed)),
        "bars": bars,
        "settings": config.flat(),
        "machine": f"{platform.machine()}, {given.threads or 'all'} threads",
        "versions": versions(),
    }
    if is_full:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    sys.exit(not all(one["holds"] for one in bars.values()))


if __name__ == "__main__":
    main()
