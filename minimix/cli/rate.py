"""`minimix rate`."""

from pathlib import Path
from typing import Any

import click

from minimix.cli import options
from minimix.cli.bar import show, show_json, watch

BARS = 40
SHOWN = 3


@click.command(short_help="Rate every sample of SOURCE from 0 to 5, or fit a rater.")
@click.argument("source")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: <name>.rated.jsonl, with --fit <name>.rater.npz]",
)
@click.option(
    "--fit",
    is_flag=True,
    help="Fit the rater (learnt or knn-bayes) to the ratings in SOURCE instead of rating.",
)
@options.rating
@options.reading
@options.model
@options.common
@options.as_json
def command(
    source: str, output: Path | None, fit: bool, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Rate every sample of SOURCE from 0 to 5; 4 and above is high.

    Writes the records as they are, with 'minimix_rating' beside their fields; distill reads it.
    SOURCE is a file, a folder, - for stdin, or a data set on the hub, as for distill.

    \b
    learnt       words, counts and word vectors, fitted to ratings by gpt-4o-mini; very quick
    knn-bayes    the paper's: the classes of the nearest rated samples
    llm          an LLM's four marks, by --model or --base-url
    difficulty   how little the instruction helps a model foresee the response
    FILE         what --fit made of ratings of yours

    \b
    minimix rate data.jsonl
    minimix rate data.jsonl --rater llm --base-url http://localhost:8000/v1 --limit 2000
    minimix rate data.rated.jsonl --fit
    minimix distill data.jsonl --rater data.rated.rater.npz
    """
    from minimix import rate

    config = options.settings(given)
    progress = watch(quiet=quiet)
    if fit:
        stored, written = rate.fit_file(source, config, output=output, progress=progress)
        if as_json:
            show_json({"rater": str(written), "about": stored.about, "way": stored.way})
        else:
            show(_fitted(stored, written))
        return
    rated = rate.rate_file(source, config, output=output, progress=progress)
    if as_json:
        show_json(_figures(rated))
    else:
        show(_text(rated, rate.problems(rated)))


def _figures(rated: Any) -> dict[str, Any]:
    """Return what `_text` says, by name; `ratings` counts samples from 0, 1, 2, 3 and 4 on."""
    ratings = [float(one) for one in rated.marks.ratings if one == one]
    return {
        "output": str(rated.output),
        "rater": rated.rater.name,
        "records": rated.pool.records,
        "rated": len(ratings),
        "ratings": [sum(min(4, int(one)) == low for one in ratings) for low in range(5)],
        "not_read": len(rated.pool.dropped),
        "rating_field": rated.pool.rating_field,
    }


def _fitted(stored: Any, written: Path) -> str:
    from minimix.rating.trust import trust

    lines = [f"fitted       {stored.way} rater to {stored.about}"]
    for mode in ("", ", length-neutral"):
        if mode and not any(name.endswith(mode) for name in stored.agreement):
            continue
        found = trust(stored, mode).items()
        lines += [f"agreement    {kind}{mode}: {line}" for kind, line in found]
    lines.append(f"written      {written}; use it with --rater {written}")
    return "\n".join(lines)


def _text(rated: Any, problems: Any) -> str:
    own = {sample.kind for sample in rated.pool.samples}
    kinds = [kind for kind in rated.rater.trust if kind in own]
    ratings = [float(one) for one in rated.marks.ratings if one == one]
    counts = [sum(min(4, int(one)) == low for one in ratings) for low in range(5)]
    lines = [
        f"rated        {len(ratings):,} samples of {rated.pool.records:,} records",
        f"by           {rated.rater.name}",
        *(
            f"  {low}..{low + 1:<9} {count:>8,} {'#' * round(BARS * count / max(1, *counts))}"
            for low, count in enumerate(counts)
        ),
        *(f"no rating    {number:,} samples: {why}" for why, number in problems.most_common(5)),
        *_unread(rated),
        *(f"trust        {kind}: {rated.rater.trust[kind]}" for kind in kinds),
        *_own(rated),
        f"written      {rated.output}",
    ]
    return "\n".join(lines)


def _unread(rated: Any) -> list[str]:
    from minimix.rate import dropped_path

    dropped = rated.pool.dropped
    if not dropped:
        return []
    lines = [f"not read     {drop.place}: {drop.reason}" for drop in dropped[:SHOWN]]
    return [*lines, f"not read     {len(dropped):,} in all, listed in {dropped_path(rated.output)}"]


def _own(rated: Any) -> list[str]:
    """Return what can be said of ratings that the data bring."""
    from minimix.rating.trust import in_words

    if rated.compared is None:
        unscaled = rated.pool.unscaled
        return [f"note         '{unscaled}' needs --rating-range LOW HIGH"] if unscaled else []
    agreement, noise = rated.compared
    first, *rest = in_words(agreement, noise)
    return [
        f"data's own   '{rated.pool.rating_field}': {first}",
        "  class\\rated" + "".join(f"{column:>7}" for column in range(6)),
        *(
            f"  {number:<11}" + "".join(f"{count:>7,}" for count in row)
            for number, row in enumerate(agreement.confusion)
            if any(row)
        ),
        *(f"             {line}" for line in rest),
    ]
