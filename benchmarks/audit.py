"""The audit: does it see planted faults, is it fooled, does its judge choose well, is it fast.

    python benchmarks/audit.py FOLDER [--quick] [--tasks N] [--by-rule-alone]

FOLDER holds the public data (dolly_rated_0*.jsonl, self_instruct/, text/). Thresholds were tuned on
the split "dev" alone; the bars are those of "test". Progress goes to stderr, one JSON object is the
last line of stdout; exit 1 where a bar does not hold.
"""

import argparse
import json
import platform
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from audit_attacks import ATTACKS, merits
from audit_candidates import Choice, choices
from audit_cases import PLACE, Case, made_by_rule, paraphrases
from audit_faults import PLANTERS, Fault, names_in, plant

from minimix.audit import VERSION, audit
from minimix.audit.reading import read
from minimix.embed import load_embedder
from minimix.judge import Candidate, harm, merit
from minimix.output import versions
from minimix.overlap import rouge_l
from minimix.parse import parse
from minimix.prompt import part_text
from minimix.rating import open_rater
from minimix.records import Embed, Sample, Task, Vectors

BARS = {
    "number": 0.95, "name": 0.95, "date": 0.95, "negation": 0.80, "removal": 0.80,
    "false_alarms": 0.02, "attack": 0.95, "choice": 0.95, "drafts_per_second": 1_000.0,
}  # fmt: skip
RIGHT = {"negation": ("changed",), "removal": ("lost",)}
ANY = ("unsupported", "changed", "lost")
ATTACKED = 200
TASKS, QUICK_TASKS, QUICK_CASES = 300, 3, 24
Findings = set[tuple[str, str]]


def findings(case: Case, embed: Embed | None) -> Findings:
    """Return what the audit says against a draft, each with its sort."""
    marks = audit(case.draft, case.sources, embed=embed)
    return {(sort, one) for sort in ANY for one in getattr(marks, sort)}


def planted(cases: Sequence[Case], split: str, embed: Embed | None) -> dict[str, Any]:
    """Return the share of planted faults found, by sort and origin, and of false alarms."""
    names = sorted({n for case in cases for s in case.sources for n in names_in(s.response)})
    before = [findings(case, embed) for case in cases]
    alarms: dict[str, list[bool]] = defaultdict(list)
    for case, found in zip(cases, before, strict=True):
        alarms["all"].append(bool(found))
        alarms[case.sort].append(bool(found))
    sorts = Counter(s for found in before for s in {sort for sort, _ in found})
    refused = [bool(harm(case.draft, audit(case.draft, case.sources))) for case in cases]
    figures: dict[str, Any] = {
        "false_alarms": _shares(alarms),
        "faithful_ones_refused": _share(refused),
        "false_alarms_by_finding": dict(sorted(sorts.items())),
    }
    for sort in PLANTERS:
        hits: dict[str, list[bool]] = defaultdict(list)
        stopped: list[bool] = []
        for number, (case, known) in enumerate(zip(cases, before, strict=True)):
            fault = plant(case, sort, names, random.Random(f"{split} {sort} {number}"))
            if fault:
                hit = _found(fault, findings(fault.case, embed) - known)
                stopped.append(bool(harm(fault.case.draft, audit(fault.case.draft, case.sources))))
                for group in ("all", case.sort, *(("swapped",) if fault.swapped else ())):
                    hits[group].append(hit)
        figures[sort] = {**_shares(hits), "refused": _share(stopped)}
        print(f"{split} {sort}: {figures[sort]}", file=sys.stderr)
    return figures


def _found(fault: Fault, new: Findings) -> bool:
    return any(sort in RIGHT.get(fault.sort, ANY) for sort, _ in new)


def fooled(cases: Sequence[Case], rate: Callable[[str, str], float]) -> dict[str, Any]:
    """Return the share of attacks scored below the honest fusion of the same sources."""
    figures: dict[str, Any] = {}
    fit = [case for case in cases if case.sort != "join"][:ATTACKED]
    for name, attack in ATTACKS.items():
        same, rated = [], []
        for number, case in enumerate(fit):
            response = attack(case, random.Random(number))
            honest, other = merits(case, response, None)
            same.append(other < honest)
            honest, other = merits(case, response, rate)
            rated.append(other < honest)
        figures[name] = {"same_rating": _share(same), "rated": _share(rated), "cases": len(fit)}
        print(f"attack {name}: {figures[name]}", file=sys.stderr)
    return figures


def chosen(found: Sequence[Choice]) -> dict[str, Any]:
    """Return the ROUGE-L of the pick without reference, with hindsight, first and at random."""
    sums: dict[str, float] = defaultdict(float)
    for choice in found:
        task = Task("qa", tuple(map(part_text, choice.sources)))
        drafts = [parse(task, answer.text) for answer in choice.answers]
        scores = [rouge_l(draft.response, choice.reference) for draft in drafts]
        marks = [audit(draft, choice.sources) for draft in drafts]
        worth = [merit(Candidate(d, m, None)) for d, m in zip(drafts, marks, strict=True)]
        clean = [not harm(d, m) for d, m in zip(drafts, marks, strict=True)]
        best = max(range(len(drafts)), key=lambda n: (clean[n], worth[n], -n))
        sums["picked"] += scores[best]
        sums["hindsight"] += max(scores)
        sums["greedy"] += scores[0]
        sums["mean"] += sum(scores) / len(scores)
    figures: dict[str, Any] = {name: round(s / len(found), 4) for name, s in sums.items()}
    figures["tasks"] = len(found)
    figures["share_of_hindsight"] = round(sums["picked"] / sums["hindsight"], 4)
    return figures


def speed(cases: Sequence[Case]) -> dict[str, float]:
    """Return drafts a CPU second: each with sources of its own, and five to a cluster."""
    figures = {}
    audit(cases[0].draft, cases[0].sources)  # what is loaded once
    for name, each in (("one_to_a_cluster", 1), ("five_to_a_cluster", 5)):
        read.cache_clear()
        start = time.process_time()
        for case in cases:
            for number in range(each):
                response = f"{case.draft.response} {'.' * number}"
                audit(
                    case.draft.__class__(case.draft.answer, case.draft.prompt, response),
                    case.sources,
                )
        figures[name] = round(each * len(cases) / (time.process_time() - start), 1)
    return figures


def remembered(embed: Embed) -> Embed:
    """Return an embedder that embeds a text once: a fault leaves most of a draft as it was."""
    known: dict[str, Any] = {}

    def recall(texts: Sequence[str]) -> Vectors:
        new = list(dict.fromkeys(text for text in texts if text not in known))
        if new:
            known.update(zip(new, embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return recall


def rater() -> Callable[[str, str], float]:
    """Return a rating 0..5 of a prompt and a response, by the rater of `minimix distill`."""
    rate = open_rater().rate

    def rated(prompt: str, response: str) -> float:
        return float(rate([Sample(prompt, response, PLACE)])[0])

    return rated


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0


def _shares(groups: dict[str, list[bool]]) -> dict[str, dict[str, float]]:
    return {name: {"share": _share(f), "of": len(f)} for name, f in groups.items()}


def checks(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each bar with its figure and whether it holds."""
    test = figures["planted"]["test"]
    found: dict[str, tuple[float, float]] = {
        sort: (test[sort]["all"]["share"], BARS[sort]) for sort in PLANTERS
    }
    for name, attack in figures["fooled"].items():
        found[f"attack: {name}"] = (min(attack["same_rating"], attack["rated"]), BARS["attack"])
    found["choice"] = (figures["choice"]["share_of_hindsight"], BARS["choice"])
    found["drafts_per_second"] = (
        figures["drafts_per_second"]["one_to_a_cluster"],
        BARS["drafts_per_second"],
    )
    bars = {n: {"figure": f, "at_least": b, "holds": f >= b} for n, (f, b) in found.items()}
    alarms = test["false_alarms"]["all"]["share"]
    most = BARS["false_alarms"]
    bars["false_alarms"] = {"figure": alarms, "at_most": most, "holds": alarms <= most}
    return bars


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--tasks", type=int, default=TASKS, help="to choose among candidates")
    options.add_argument("--by-rule-alone", action="store_true", help="no sentence similarity")
    given = options.parse_args()
    embed = None if given.by_rule_alone else remembered(load_embedder().embed)
    cases: dict[str, list[Case]] = {}
    for split in ("dev", "test"):
        written = paraphrases(given.folder, split)
        written = written[:: max(1, len(written) // QUICK_CASES)] if given.quick else written
        cases[split] = written + made_by_rule(given.folder, split, len(written))
    figures: dict[str, Any] = {
        "drafts_per_second": speed(cases["test"]),
        "planted": {split: planted(cases[split], split, embed) for split in cases},
    }
    attacked = paraphrases(given.folder, "test") + made_by_rule(given.folder, "test", ATTACKED * 2)
    figures["fooled"] = fooled(attacked[: QUICK_CASES if given.quick else None], rater())
    figures["choice"] = chosen(choices(given.folder, QUICK_TASKS if given.quick else given.tasks))
    bars = checks(figures)
    result = {
        "benchmark": "audit",
        "audit_version": VERSION,
        "sentence_similarity": embed is not None,
        "cases": {split: len(of) for split, of in cases.items()},
        **figures,
        "bars": bars,
        "machine": f"{platform.machine()}, 1 thread",
        "versions": versions(),
    }
    print(json.dumps(result))
    sys.exit(not all(bar["holds"] for bar in bars.values()))


if __name__ == "__main__":
    main()
