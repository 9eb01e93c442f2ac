"""A comparison as JSON, as Markdown and as one picture."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from minimix.compare.arms import MADE
from minimix.compare.arrow import ONCE, REFERENCE, Arm, Compared
from minimix.compare.meter import Spent
from minimix.compare.students import Student
from minimix.compare.verdict import Losses, apart, average, by_length, in_words
from minimix.disk import atomic, write_bytes
from minimix.evaluate.statistics import Figure
from minimix.extras import need

RIVALS = ("random", "longest")
"""The sets that a mix has to beat for the claim to hold."""
SEED = 0


def write(found: Compared, output: Path) -> None:
    """Write compare.json, compare.md and compare.svg; raises OutputError where the disk refuses."""
    with atomic(output / "compare.json") as file:
        json.dump(as_json(found), file, indent=1)
        file.write("\n")
    with atomic(output / "compare.md") as file:
        file.write(markdown(found, f"{output.name}: which set trains the better student"))
    write_bytes(output / "compare.svg", plot(found))


def losses(students: Sequence[Student]) -> Losses:
    """Return the losses of a set's students: (seeds, held-out samples)."""
    return np.array([student.losses for student in students])


def verdict(found: Compared) -> str:
    """Return what the losses say of mixed and distilled sets against the hard ones, in words."""
    said = []
    for matched in dict.fromkeys(arm.matched for arm in found.students if arm.matched != ONCE):
        ours = _ours(found, matched)
        if not ours:
            continue
        rivals = {
            rival: difference(found, Arm(matched, ours), Arm(matched, rival))
            for rival in RIVALS
            if Arm(matched, rival) in found.students
        }
        said += [f"At equal {matched}: {in_words(ours, rivals)}"] if rivals else []
    return " ".join(said) or "No set with fusions stands beside random or longest."


def difference(found: Compared, ours: Arm, theirs: Arm) -> Figure:
    """Return how much lower (below 0) or higher the loss of our students is, pair by pair."""
    return apart(losses(found.students[ours]), losses(found.students[theirs]), seed=SEED)


def as_json(found: Compared) -> dict[str, Any]:
    """Return everything that was measured, as JSON holds it."""
    return {
        "verdict": verdict(found),
        "pool": found.pool,
        "near_held_out": found.near,
        "budget": found.budget,
        "held_out": len(found.lengths),
        "fusions": found.fusions,
        "candidates": found.candidates,
        "written_tokens": found.wrote,
        "distilling": _spent(found.distilling),
        "preparing_s": round(found.preparing, 1),
        "untrained": _plain(average(np.array(found.untrained), seed=SEED)),
        "arms": [_arm(found, arm) for arm in found.students],
    }


def _arm(found: Compared, arm: Arm) -> dict[str, Any]:
    students = found.students[arm]
    ours = Arm(arm.matched, _ours(found, arm.matched) or "")
    row: dict[str, Any] = {
        "arm": arm.name,
        "matched": arm.matched,
        "seeds": len(students),
        "rows": _mean([one.rows for one in students]),
        "passes": round(_mean([one.passes for one in students]), 2),
        "tokens": round(_mean([one.tokens for one in students])),
        "seconds": round(_mean([one.spent.seconds for one in students]), 1),
        "cpu_seconds": round(_mean([one.spent.cpu_seconds for one in students]), 1),
        "distilling_cpu_seconds": round(
            found.distilling.cpu_seconds if arm.name in MADE else 0.0, 1
        ),
        "loss": _plain(average(losses(students), seed=SEED)),
        "by_answer_length": {
            name: round(float(losses(students)[:, rows].mean()), 4)
            for name, rows in by_length(found.lengths).items()
        },
        "scores": _scores(found, arm),
    }
    if ours in found.students and ours != arm:
        row[f"{ours.name} minus this"] = _plain(difference(found, ours, arm))
    return row


def _ours(found: Compared, matched: str) -> str | None:
    """Return the set that is held against the others: the even mix, or else one with fusions."""
    there = [arm.name for arm in found.students if arm.matched == matched]
    return next((name for name in (REFERENCE, *there) if name in there and name in MADE), None)


def _scores(found: Compared, arm: Arm) -> dict[str, Any]:
    """Return each task's mean with its interval, over students and questions."""
    by_seed = found.scores[arm]
    return {
        task: {
            "measure": by_seed[0][task].measure,
            **_plain(average(np.array([one[task].values for one in by_seed]), seed=SEED)),
        }
        for task in by_seed[0]
    }


def markdown(found: Compared, title: str) -> str:
    """Return the verdict, what it was made of, and a table for each way of matching."""
    told = as_json(found)
    lines = [
        f"# {title}",
        "",
        told["verdict"],
        "",
        f"Students of {found.pool:,} samples, judged on {len(found.lengths):,} held-out ones "
        f"({found.near:,} near these were taken out of the pool). A set has the tokens, or the "
        f"{found.budget:,} rows, of {REFERENCE.replace('_', ' ')}; one with fewer is passed more "
        "often. Losses are means over held-out samples and seeds, in nats per answer token; "
        "intervals (95 %) draw both anew. "
        f"Without training: {_cell(told['untrained'])}.",
        "",
        f"Distilling: {found.fusions:,} fusions out of {found.candidates:,} candidates of "
        f"{found.wrote:,} tokens, {found.distilling.seconds:,.0f} s "
        f"({found.distilling.cpu_seconds:,.0f} CPU s), of these {found.preparing:,.0f} s to read, "
        "embed, rate and cluster.",
    ]
    for matched in dict.fromkeys(arm["matched"] for arm in told["arms"]):
        rows = [arm for arm in told["arms"] if arm["matched"] == matched]
        lines += ["", f"## {HEADS[matched]}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


HEADS = {
    "tokens": "Equal tokens",
    "rows": "Equal rows",
    ONCE: "Everything, in one pass (not matched)",
}


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    tasks = list(rows[0]["scores"])
    lengths = list(rows[0]["by_answer_length"])
    against = next((key for row in rows for key in row if key.endswith("minus this")), "")
    head = ["set", "rows", "passes", "tokens", "CPU s", "with distilling", "loss"]
    head += [*([against] if against else []), *(f"{name} answers" for name in lengths), *tasks]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [
            row["arm"].replace("_", " "),
            f"{row['rows']:,.0f}",
            f"{row['passes']:.1f}",
            f"{row['tokens']:,}",
            f"{row['cpu_seconds']:,.0f}",
            f"{row['cpu_seconds'] + row['distilling_cpu_seconds']:,.0f}",
            _cell(row["loss"]),
        ]
        cells += [_cell(row[against], signed=True) if against in row else "-"] if against else []
        cells += [f"{row['by_answer_length'][name]:.3f}" for name in lengths]
        cells += [_cell(row["scores"][task]) for task in tasks]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plot(found: Compared) -> bytes:
    """Return an SVG: each set's mean loss with its interval, lower is better; same bytes again."""
    matplotlib = need("matplotlib", extra="train")
    figures = need("matplotlib.figure", extra="train")
    matches = list(dict.fromkeys(arm.matched for arm in found.students if arm.matched != ONCE))
    full = [arm for arm in found.students if arm.matched == ONCE]
    with matplotlib.rc_context({"svg.hashsalt": "minimix", "svg.fonttype": "none"}):
        figure = figures.Figure(figsize=(4.5 * max(1, len(matches)), 3.6), layout="constrained")
        for at, matched in enumerate(matches or [ONCE], 1):
            shown = [arm for arm in found.students if arm.matched == matched] if matches else []
            axes = figure.add_subplot(1, max(1, len(matches)), at)
            axes.set_title(HEADS[matched])
            _draw(axes, found, [*shown, *full])
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _draw(axes: Any, found: Compared, arms: Sequence[Arm]) -> None:
    for row, arm in enumerate(arms):
        figure = average(losses(found.students[arm]), seed=SEED)
        colour = "tab:orange" if arm.name in MADE else "tab:blue"
        axes.plot([figure.low, figure.high], [row, row], color=colour)
        axes.plot([figure.value], [row], "o", color=colour)
    names = [arm.name.replace("_", " ") + (" once" if arm.matched == ONCE else "") for arm in arms]
    axes.set_yticks(range(len(arms)), names)
    axes.invert_yaxis()
    axes.set_xlabel("held-out loss per answer token, nats")
    axes.grid(axis="x", alpha=0.3)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _spent(one: Spent) -> dict[str, float]:
    return {"seconds": round(one.seconds, 1), "cpu_seconds": round(one.cpu_seconds, 1)}


def _plain(figure: Figure) -> dict[str, Any]:
    numbers = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {**{name: round(value, 4) for name, value in numbers.items()}, "of": figure.of}


def _cell(figure: Mapping[str, Any], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = figure["value"], figure["low"], figure["high"]
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
