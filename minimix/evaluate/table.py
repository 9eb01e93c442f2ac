"""Figures of several systems side by side, by kind and by how a task was made."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from minimix.evaluate.baselines import BASELINES, REFERENCE
from minimix.evaluate.scores import Scores
from minimix.evaluate.statistics import UNKNOWN, Figure, difference, mean, share
from minimix.mixture.tasks import Example
from minimix.records import KINDS

ALL = "all"
LABELS: Mapping[str, str] = {
    "formed": "well-formed (share)",
    "format": "format reward",
    "aligned": "cosine with the reference >= 0.8 (share)",
    "cosine": "cosine with the reference",
    "quality": "quality reward",
    "rating": "rating, 0 to 5",
    "reward": "weighted reward",
    "reward_rated": "weighted reward, quality by the rating",
    "rouge_l": "ROUGE-L",
    "kept": "facts kept",
    "unsupported": "weight without a source",
    "strange": "with a finding without a source (share)",
    "copied": "copied from one source",
    "loops": "loops, is cut or empty (share)",
    "harmful": "distill would refuse it (share)",
    "length_ratio": "length against the reference",
}
"""Every figure by its name in `Scores`, with what a reader is told it is."""
SHARES = frozenset(name for name, label in LABELS.items() if label.endswith("(share)"))
COMPARED = ("rouge_l", "reward", "kept")
RIVALS = tuple(name for name in BASELINES if name != REFERENCE)

Groups = dict[str, list[int]]
Table = dict[str, dict[str, dict[str, Figure]]]
"""System -> group -> figure by name."""


def groups(examples: Sequence[Example]) -> Groups:
    """Return positions of examples: all, of each kind, and of each way of making within a kind."""
    found: Groups = {ALL: list(range(len(examples)))}
    for kind in KINDS:
        own = [n for n, example in enumerate(examples) if example.task.kind == kind]
        ways = dict.fromkeys(examples[n].made for n in own)
        if own:
            found[kind] = own
        for made in ways if len(ways) > 1 else ():
            found[f"{kind}: {made}"] = [n for n in own if examples[n].made == made]
    return found


def values(scores: Sequence[Scores], name: str) -> list[float]:
    """Return one figure of each task that has it, a flag as 0 or 1."""
    found = [getattr(one, name) for one in scores]
    return [float(one) for one in found if one is not None]


def table(systems: Mapping[str, Sequence[Scores]], by: Groups, *, seed: int) -> Table:
    """Return the figures of each system in each group."""
    return {
        system: {
            group: {name: _figure([scores[n] for n in own], name, seed) for name in LABELS}
            for group, own in by.items()
        }
        for system, scores in systems.items()
    }


def _figure(scores: Sequence[Scores], name: str, seed: int) -> Figure:
    found = values(scores, name)
    if not found:
        return UNKNOWN
    return share([bool(one) for one in found]) if name in SHARES else mean(found, seed=seed)


def against(
    ours: Sequence[Scores], rivals: Mapping[str, Sequence[Scores]], by: Groups, *, seed: int
) -> Table:
    """Return, for each rival and group, ours minus theirs, task by task, in what is compared."""
    return {
        rival: {
            group: {
                name: difference(
                    values([ours[n] for n in own], name),
                    values([theirs[n] for n in own], name),
                    seed=seed,
                )
                for name in COMPARED
            }
            for group, own in by.items()
        }
        for rival, theirs in rivals.items()
    }


def plain(found: Table) -> dict[str, Any]:
    """Return a table as JSON holds it; a figure of no task is null."""
    return {
        system: {
            group: {
                name: {
                    "value": rounded(one.value),
                    "low": rounded(one.low),
                    "high": rounded(one.high),
                    "of": one.of,
                }
                for name, one in figures.items()
            }
            for group, figures in by_group.items()
        }
        for system, by_group in found.items()
    }


def rounded(value: float) -> float | None:
    """Return four digits of a number, None for one that nobody knows."""
    return None if math.isnan(value) else round(value, 4)


def markdown(found: Table, compared: Table, *, title: str, notes: Sequence[str]) -> str:
    """Return the tables as Markdown: for each group the figures of all systems, with intervals."""
    lines = [f"# {title}", "", *notes, ""]
    systems = list(found)
    for group in found[systems[0]]:
        of = found[systems[0]][group]["formed"].of
        lines += [
            f"## {group} ({of} tasks)",
            "",
            _row(["", *systems]),
            _row(["---"] * (len(systems) + 1)),
        ]
        for name, label in LABELS.items():
            lines.append(_row([label, *(_cell(found[one][group][name]) for one in systems)]))
        for rival, by_group in compared.items():
            told = ", ".join(
                f"{LABELS[name]} {_cell(one, signed=True)}" for name, one in by_group[group].items()
            )
            lines += ["", f"{systems[0]} minus {rival}: {told}"]
        lines.append("")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cell(figure: Figure, *, signed: bool = False) -> str:
    if not figure.of:
        return "-"
    sign = "+" if signed else ""
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"
