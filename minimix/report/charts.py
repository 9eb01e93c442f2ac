"""Charts as inline SVG, made when the report is: nothing is loaded to show them.

Colours are classes, so that the page's style gives them for light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 440, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 34
FLOW_WIDTH, FLOW_ROW, FLOW_HEIGHT = 560, 30, 260
BAR, LABEL = 14, 340
THINNEST = 1.5
"""Pixels of a band that would be too thin to see."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where so many samples went: a name, how many, and the class that colours the band."""

    name: str
    samples: int
    kind: str


def flow(title: str, parts: Sequence[Flow]) -> str:
    """Return a picture of one whole that falls into parts; each band is as thick as its share."""
    whole = sum(part.samples for part in parts)
    parts = [part for part in parts if part.samples]
    scale = (FLOW_HEIGHT - 20) / max(1, whole)
    height = max(FLOW_HEIGHT, FLOW_ROW * len(parts) + 20)
    left = (height - whole * scale) / 2
    shapes, start, row = [], left, (height - FLOW_ROW * len(parts)) / 2
    for part in parts:
        thick = max(THINNEST, part.samples * scale)
        there = min(thick, FLOW_ROW - 6)
        middle = row + FLOW_ROW / 2
        shapes.append(
            f'<path class="band {part.kind}" d="{_band(start, thick, middle - there / 2, there)}"/>'
            f'<text x="{FLOW_WIDTH - LABEL + 8}" y="{middle + 5:.1f}">'
            f"{part.samples:,} {escape(part.name)}</text>"
        )
        start, row = start + part.samples * scale, row + FLOW_ROW
    said = "; ".join(f"{part.samples:,} {part.name}" for part in parts)
    return (
        f'<svg class="flow" role="img" viewBox="0 0 {FLOW_WIDTH} {height:.0f}" '
        f'aria-label="{escape(title)}: {escape(said)}">'
        f'<rect class="whole" x="0" y="{left:.1f}" width="{BAR}" height="{whole * scale:.1f}"/>'
        f"{''.join(shapes)}</svg>"
    )


def _band(start: float, thick: float, end: float, there: float) -> str:
    """Return the path of a band from the whole's right side to a part's left side."""
    x, far, bend = BAR, FLOW_WIDTH - LABEL, (FLOW_WIDTH - LABEL + BAR) / 2
    return (
        f"M{x} {start:.1f}C{bend} {start:.1f} {bend} {end:.1f} {far} {end:.1f}"
        f"V{end + there:.1f}C{bend} {end + there:.1f} {bend} {start + thick:.1f} "
        f"{x} {start + thick:.1f}Z"
    )


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Return groups of bars side by side: for each label the value of each series.

    The name of a series is the class of its bars too: "before", "after" or "one".
    """
    most = max((value for values in series.values() for value in values), default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    wide = step * 0.8 / max(1, len(series))
    tall = HEIGHT - TOP - BOTTOM
    shapes = [
        f'<rect class="{name}" x="{LEFT + step * (at + 0.1) + wide * number:.1f}" '
        f'y="{TOP + tall * (1 - value / most):.1f}" width="{wide:.1f}" '
        f'height="{tall * value / most:.1f}"/>'
        for number, (name, values) in enumerate(series.items())
        for at, value in enumerate(values)
    ]
    every = -(-len(labels) // 8)
    names = [
        f'<text class="x" x="{LEFT + step * (at + 0.5):.1f}" y="{HEIGHT - 14}">'
        f"{escape(label)}</text>"
        for at, label in enumerate(labels)
        if at % every == 0
    ]
    said = "; ".join(
        f"{label}: {', '.join(f'{_number(series[name][at])} {name}' for name in series)}"
        for at, label in enumerate(labels)
    )
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-label="{escape(title)}: {escape(said)}">{"".join(shapes)}'
        f'<path class="axis" d="M{LEFT} {TOP}V{TOP + tall}H{WIDTH - RIGHT}"/>'
        f'<text class="y" x="{LEFT - 6}" y="{TOP + 8}">{_number(most)}</text>'
        f'<text class="y" x="{LEFT - 6}" y="{TOP + tall}">0</text>{"".join(names)}</svg>'
    )


def points(title: str, places: Sequence[tuple[int, int, str]]) -> str:
    """Return a map: each point at x and y of 0..1000, with its class; later ones lie on top."""
    dots = "".join(
        f'<circle class="{kind}" cx="{x}" cy="{y}" r="{9 if kind == "fusion" else 5}"/>'
        for x, y, kind in places
    )
    return (
        f'<svg class="map" role="img" viewBox="-20 -20 1040 1040" aria-label="{escape(title)}">'
        f"{dots}</svg>"
    )


def _number(value: float) -> str:
    """Return a share as percent, a count as it is."""
    return f"{value:.0%}" if 0 < value < 1 else f"{value:,.0f}"
