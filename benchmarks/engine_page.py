"""What benchmarks/engine.py found, as a page to read: docs/performance.md and its plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- engine: written by benchmarks/engine.py -->", "<!-- engine: end -->"
TITLES = {
    "greedy": "64 prompts of about 400 tokens (167 the same in all), 128 new tokens each, greedy",
    "drawn": "The same, drawn as `distill` draws (temperature 0.7, top-p 0.95 of the 40 likeliest)",
    "bench": "16 prompts of 400 tokens, nothing the same, 128 new tokens each",
    "candidates": "16 of these prompts, one candidate each and four",
    "grammar": "16 fusions by the bundled distiller, three candidates each, grammar off and on",
    "in-flight": "32 of these prompts, 64 new tokens each, by sequences in flight",
    "sizes": "16 fusions, three candidates each, by parts of the cluster",
    "cohorts": "32 fusions, three candidates each, by how many begin together in a clean context",
}
COLUMNS = {
    "wall_s": "seconds",
    "cpu_s": "CPU seconds",
    "rate": "tokens written a second",
    "cpu_rate": "a CPU second",
    "peak_mb": "most memory, MB",
}
Figures = Mapping[str, Any]


def write_page(found: Figures) -> None:
    """Put the tables and plots of all sections between the page's marks."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    sections = [_section(name, found[name]) for name in TITLES if name in found]
    PAGE.write_text("\n\n".join([f"{before}{BEGIN}", *sections, f"{END}{after}"]), "utf-8")
    if "in-flight" in found:
        _plot_in_flight(found["in-flight"])
    if "sizes" in found:
        _plot_sizes(found["sizes"])


def _section(name: str, section: Figures) -> str:
    machine = section["machine"]
    threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    where = f"{machine['processor']}, {threads}."
    return "\n\n".join([f"### {TITLES[name]}", where, _table(section), _bars(section)]).strip()


def _table(section: Figures) -> str:
    rows = {name: _with_rates(one) for name, one in section["medians"].items()}
    columns = [key for key in COLUMNS if any(row.get(key) for row in rows.values())]
    lines = [["", *(COLUMNS[key] for key in columns)], ["---"] * (len(columns) + 1)]
    lines += [[name, *(_shown(row.get(key)) for key in columns)] for name, row in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _with_rates(one: Figures) -> dict[str, float]:
    rates = {"rate": one["tokens"] / one["wall_s"], "cpu_rate": one["tokens"] / one["cpu_s"]}
    return {**one, **rates}


def _shown(value: float | None) -> str:
    return f"{value:,.1f}" if value else ""


def held(value: float, least: float | None, most: float | None) -> bool:
    """Whether a figure is within its bar."""
    return (least is None or value >= least) and (most is None or value <= most)


def bar(_value: float, least: float | None, most: float | None) -> str:
    """Return a bar in words."""
    return f"at most {most}" if least is None else f"{least} or more"


def _bars(section: Figures) -> str:
    lines = []
    for name, found in section["bars"].items():
        end = "" if held(*found) else "; **missed**"
        lines.append(f"- {name}: **{found[0]:g}** (asked: {bar(*found)}{end})")
    return "\n".join(lines)


def _plot_in_flight(section: Figures) -> None:
    counts = [int(name) for name in section["medians"]]
    found = list(section["medians"].values())
    seconds = [one["wall_s"] / section["tasks"] for one in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    _line(left, counts, seconds, "seconds a fusion")
    _line(right, counts, [one["peak_mb"] for one in found], "most memory, MB")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xlabel("sequences in flight")
    _save(figure, "performance_in_flight")


def _plot_sizes(section: Figures) -> None:
    parts = [int(name) for name in section["medians"]]
    found = list(section["medians"].values())
    figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    _line(axes, parts, [one["wall_s"] / section["tasks"] for one in found], "seconds a fusion")
    axes.set_xticks(parts)
    axes.set_xlabel("parts of the cluster")
    _save(figure, "performance_sizes")


def _line(axes: Any, x: Sequence[float], y: Sequence[float], label: str) -> None:
    axes.plot(x, y, marker="o", color="#1f6f8b")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _save(figure: Any, name: str) -> None:
    plt.rcParams["svg.hashsalt"] = "minimix"
    figure.savefig(DOCS / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
