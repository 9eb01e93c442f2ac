"""How often a writer got what right: a share that is told, whatever it is."""

from collections import Counter

from minimix.mixture.statistics import table
from minimix.records import Kind

GOOD = "good"
WORST = 3
Tally = Counter[tuple[str, Kind, str]]
"""How often each step ended how for each kind: GOOD, or the reason why it was left out."""


def outcomes(tally: Tally) -> str:
    """Return how many of each step's results were good, and why others were not, as tables."""
    asked = Counter[tuple[str, Kind]]()
    for (step, kind, _), count in tally.items():
        asked[step, kind] += count
    rows = []
    for (step, kind), count in asked.items():
        good = tally[step, kind, GOOD]
        rows.append((step, kind, f"{count:,}", f"{good:,}", f"{good / count:.0%}"))
    tables = [
        "What the writer got right",
        table(("step", "kind", "results", "good", "share"), rows),
    ]
    why = [(*key, f"{count:,}") for key, count in tally.items() if key[-1] != GOOD]
    tables += [table(("step", "kind", "left out because", "times"), why)] if why else []
    return "\n\n".join(tables)


def worst(tally: Tally) -> str:
    """Return the commonest reasons for which something was left out, in words."""
    bad = Counter({key: count for key, count in tally.items() if key[-1] != GOOD})
    found = (f"{step} {kind}, {why}: {n:,}" for (step, kind, why), n in bad.most_common(WORST))
    return "; ".join(found)
