"""The dataset card: what stands in README.md of an output folder.

The same for the same run, byte for byte: it holds no time, and no path of this machine.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from minimix import __version__
from minimix.config import BUNDLED, LISTS, DistillConfig
from minimix.disk import is_there
from minimix.extras import need
from minimix.files import HUB_ID
from minimix.front import front_matter, licenses
from minimix.pool import Pool
from minimix.records import Entry
from minimix.rows import NAME
from minimix.sources import table
from minimix.trainers import AXOLOTL, FOLDER, TRL, short_name

TEMPLATE = Path(__file__).parent / "card.md"
ORIGINS = {
    "original": "originals, rated 4 or higher",
    "fusion": "fusions of 2 to 5 low samples",
    "best_source": "best sources, standing in for clusters without a good fusion",
}
UNCHECKED = "The set was not checked against evaluation questions"
TOLD = "Licence, as whoever made the set says"
FOUND = "Licence, as the source rows say"
UNTOLD = "The licence is that of the source data, which say none"
FILES = ("model", "embedder", "check_against")
"""Settings that may hold a path or a hub id; a card shows no folder, and no server's address."""


@dataclass(frozen=True, kw_only=True)
class About:
    """A finished run: the name of its folder, what was read, with what, and what came of it."""

    folder: str
    train: str
    pool: Pool
    config: DistillConfig
    model: str
    rater: str
    counts: Mapping[str, int]
    entries: Sequence[Entry]
    notes: Sequence[str]


def card(about: About) -> str:
    """Return the card of a run."""
    counts, pool, config = about.counts, about.pool, about.config
    folder = " ".join(about.folder.split())
    title = f"{folder.removesuffix('.distilled')}, distilled"
    found = licenses(config.license, pool.licenses)
    front = front_matter(
        title,
        counts["final"],
        license_ids=found,
        language=config.language,
        synthetic=counts["fusions"] > 0,
        data_file=about.train,
    )
    return TEMPLATE.read_text(encoding="utf-8").format(
        **counts,
        title=title,
        folder=folder,
        quoted=json.dumps(folder, ensure_ascii=False),
        front=need("yaml").safe_dump(front, sort_keys=False, allow_unicode=True),
        version=__version__,
        origins="\n".join(_origins(about.entries)),
        sources="".join(_sources(about)),
        shapes=", ".join(f"{shape} ({number:,})" for shape, number in pool.shapes.items()),
        copies=counts["dropped_copy"] + counts["dropped_near_copy"],
        rater=about.rater,
        model=about.model,
        limits="".join(f"- {line[:1].upper()}{line[1:]}.\n" for line in _limits(about, [*found])),
        short=short_name(about.folder),
        use=FOLDER,
        trl=TRL,
        axolotl=AXOLOTL,
        command=command(pool.name, config),
    )


def _origins(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line for each origin that rows have, and one for all of them."""
    for origin, text in {**ORIGINS, "": "all"}.items():
        rows = [entry for entry in entries if origin in ("", entry.origin)]
        if rows:
            words = median(len(entry.sample.response.split()) for entry in rows)
            rating = mean(entry.rating for entry in rows)
            yield f"| {text} | {len(rows):,} | {rating:.2f} | {words:g} |"


def _sources(about: About) -> Iterator[str]:
    """Yield the lines of a table; names are code, so that they mean nothing to Markdown."""
    rows = [entry.sample.source for entry in about.entries]
    read = about.pool.sources
    if read:
        yield "\n| source | samples | rows |\n|---|---|---|\n"
    for name, (samples, here) in table({name: (read[name], rows.count(name)) for name in read}):
        yield f"| {_code(name)} | {samples:,} | {here:,} |\n"


def _limits(about: About, names: Sequence[str]) -> Iterator[str]:
    """Yield what a reader has to know beside the ratings and the rules."""
    listed = ", ".join(map(_code, names))
    if about.config.license:
        yield f"{TOLD}: {listed}"
    else:
        yield f"{FOUND}: {listed}" if any(about.pool.licenses) else UNTOLD
    if not about.counts["questions"]:
        yield UNCHECKED
    yield from about.notes


def _code(name: str) -> str:
    text = name.replace("`", "'").replace("|", "\\|")
    return f"`{text}`"


def command(source: str, config: DistillConfig) -> str:
    """Return the command that makes the set again, paths without their folders.

    It names each setting that is not the default.
    """
    defaults = DistillConfig().flat()
    words = ["minimix", "distill", _last(source) if source != NAME else f"{NAME}.jsonl"]
    for name, value in config.flat().items():
        if value == defaults[name]:
            continue
        option = f"--{name.replace('_', '-')}"
        if name in LISTS:
            words += [word for one in value for word in (option, _shown(name, one))]
        elif isinstance(value, list):
            words += [option, *map(str, value)]
        else:
            words += [option] if value is True else [option, _shown(name, value)]
    return shlex.join(words)


def _shown(name: str, value: Any) -> str:
    if name == "base_url":
        return "URL"
    if name in ("adapter", "rater"):
        return Path(value).name
    return _last(str(value)) if name in FILES and value != BUNDLED else str(value)


def _last(name: str) -> str:
    """Return the name at the end of a path; a hub id is one as it stands."""
    return name if HUB_ID.fullmatch(name) and not is_there(Path(name)) else Path(name).name or name
