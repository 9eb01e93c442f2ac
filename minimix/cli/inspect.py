"""`minimix inspect`."""

from collections import Counter
from typing import Any

import click

from minimix.cli import options
from minimix.cli.bar import show, show_json, tell, watch

BARS = 40


@click.command(short_help="Say what is in SOURCE; no distiller takes part.")
@click.argument("source")
@options.rating
@options.reading
@options.grouping
@options.common
@options.as_json
def command(source: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Say what is in SOURCE: shapes, copies, ratings and clusters. No distiller takes part.

    SOURCE is a file, a folder, - for stdin, or a data set on the hub, as for distill.
    """
    from minimix import run

    config = options.settings(given)
    pool, prepared = run.look(source, config, progress=watch(quiet=quiet), say=tell)
    if as_json:
        show_json(_figures(pool, prepared))
    else:
        show(_text(pool, prepared))


def _figures(pool: Any, prepared: Any) -> dict[str, Any]:
    """Return what `_text` says, by name; `ratings` counts samples from 0, 1, 2, 3 and 4 on."""
    ratings = Counter(min(4, int(rating)) for rating in prepared.ratings)
    return {
        "records": pool.records,
        "shapes": dict(pool.shapes),
        "samples": len(pool.samples),
        "not_read": len(pool.dropped),
        "dropped": dict(Counter(drop.stage for drop in prepared.dropped)),
        "rating_field": pool.rating_field,
        "ratings": [ratings[low] for low in range(5)],
        "high": len(prepared.high),
        "clusters": dict(sorted(Counter(len(one.rows) for one in prepared.clusters).items())),
        "floor": round(prepared.floor, 4),
        "left_alone": len(prepared.leftovers),
        "sources": dict(pool.sources),
    }


def _text(pool: Any, prepared: Any) -> str:
    stages = Counter(drop.stage for drop in prepared.dropped)
    sizes = Counter(len(cluster.rows) for cluster in prepared.clusters)
    words = sorted(len(sample.text.split()) for sample in pool.samples)
    ratings = Counter(min(4, int(rating)) for rating in prepared.ratings)
    shapes = ", ".join(f"{name} ({number:,})" for name, number in pool.shapes.items())
    most = max(ratings.values(), default=1)
    lines = [
        f"records        {pool.records:,}, in the shape {shapes}",
        f"samples        {len(pool.samples):,}",
        f"not read       {len(pool.dropped):,} records or exchanges",
        f"words          median {words[len(words) // 2]:,}, longest {words[-1]:,}",
        f"exact copies   {stages['copy']:,}",
        f"near copies    {stages['near copy']:,}",
        f"ratings        {_origin(pool)}",
    ]
    for low in range(5):
        bar = "#" * round(BARS * ratings[low] / most)
        lines.append(f"  {low}..{low + 1:<11} {ratings[low]:>8,} {bar}")
    lines += [
        f"clusters       {len(prepared.clusters):,} of low samples, every pair at "
        f"{prepared.floor:.2f} or above",
        *(f"  of {size:<10} {sizes[size]:>8,}" for size in sorted(sizes)),
        f"left alone     {len(prepared.leftovers):,} low samples",
    ]
    lines += _sources(pool, prepared)
    for drop in pool.dropped[:5]:
        lines.append(f"not read       {drop.place}: {drop.reason}")
    return "\n".join(lines)


def _sources(pool: Any, prepared: Any) -> list[str]:
    """Return the samples of each source after copies, high and low, where the data name sources."""
    from minimix.sources import table

    if not pool.sources:
        free = pool.free_field
        unused = f"sources        '{free}' has too many; --source-field {free} takes them"
        return [unused] if free else []
    high, found = set(prepared.high), {name: [0, 0] for name in pool.sources}
    for row, sample in enumerate(prepared.samples):
        found[sample.source][row not in high] += 1
    number = sum(map(bool, pool.sources))  # without those that have no name
    lines = [f"sources        {number:,} in '{pool.source_field}', clusters keep to one"]
    for name, (good, poor) in table(found):
        lines.append(f"  {good + poor:>8,}, of them {good:,} high, {poor:,} low: {name}")
    return lines


def _origin(pool: Any) -> str:
    if pool.rating_field:
        return f"from '{pool.rating_field}', the rest by the rater"
    if pool.unscaled:
        return f"by the rater; '{pool.unscaled}' needs --rating-range LOW HIGH"
    return "by the rater"
