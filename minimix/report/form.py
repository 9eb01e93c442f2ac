"""What report.json holds, value by value: a page is made of nothing else.

A form is a type, a set of words, a list of one form (any number of these), a tuple of forms (one
each), or an object of forms by name, where ANY stands for names that are not said.
"""

from collections.abc import Iterable, Iterator
from functools import singledispatch
from typing import Any

ANY = "*"
MOST = 2**53
"""Whole numbers from here on are none of ours; a float cannot tell them apart."""
GROUP = {
    "clusters": int,
    "odds": float,
    "rating": float,
    "rarity": float,
    "written": int,
    "accepted": int,
}
TEXTS = {"prompt": str, "response": str, "more": int}
FUSION = {
    **TEXTS,
    "id": str,
    **dict.fromkeys(("rating", "rarity", "kept", "supported", "copied"), float),
    **{name: [str] for name in ("lost", "unsupported", "changed")},
    "mended": bool,
    "sources": [{**TEXTS, "place": str, "rating": float}],
}
PAGE: dict[str, Any] = {
    "version": int,
    "title": str,
    "counts": {"fusions": int, "questions": int, ANY: int},
    "notes": [str],
    "trust": [str],
    "settings": {ANY: str},
    "figures": [{"value": str, "label": str}],
    "flow": [{"name": str, "samples": int, "kind": {"kept", "fused", "dropped"}}],
    "went": str,
    "good": str,
    "charts": [{"title": str, "note": str, "labels": [str], "series": {ANY: [float]}}],
    "map": {
        "title": str,
        "note": str,
        "points": [(int, int, {"original", "dropped", "fusion"})],
    },
    "fusions": [FUSION],
    "more_fusions": int,
    "plan": [GROUP],
    "skipped": [{**GROUP, "rows": [{"place": str, "prompt": str}]}],
    "matches": [{"row": str, "question": str, "how": str, "score": float}],
    "reasons": [{"stage": str, "reason": str, "number": int}],
    "other_reasons": int,
}
SERIES = {"before", "after", "one"}
SAID = {str: "text", int: "a count", float: "a number", bool: "true or false"}
Parts = Iterable[tuple[object, Any, Any]]
"""Name, value and form of each part of a value."""


def misfits(page: Any) -> Iterator[str]:
    """Yield where the page of a run is not what it should be; nothing where it is."""
    found = list(_misfits(page, PAGE, "the page"))
    yield from found
    for number, chart in enumerate(() if found else page["charts"]):
        lengths = {name: len(values) for name, values in chart["series"].items()}
        if not lengths.keys() <= SERIES or {*lengths.values()} - {len(chart["labels"])}:
            yield f"charts.{number}: expected a value of each series for each label"


def _misfits(value: Any, form: Any, place: str) -> Iterator[str]:
    parts = _parts(form, value)
    if parts is None:
        yield f"{place}: expected {_said(form)}, found {type(value).__name__}"
    for name, part, own in parts or ():
        yield from _misfits(part, own, str(name) if form is PAGE else f"{place}.{name}")


def _said(form: Any) -> str:
    if isinstance(form, dict):
        return f"an object with {', '.join(name for name in form if name != ANY) or 'any names'}"
    if isinstance(form, set):
        return " or ".join(sorted(form))
    return SAID[form] if isinstance(form, type) else "a list"


@singledispatch
def _parts(form: Any, value: Any) -> Parts | None:
    """Return the parts of a value, none for a plain one; None where it has not this form."""
    whole = isinstance(value, int) and abs(value) < MOST
    right = {
        str: isinstance(value, str),
        int: whole and value >= 0,
        float: whole or isinstance(value, float),
        bool: isinstance(value, bool),
    }
    return () if right[form] else None


@_parts.register
def _(form: set, value: Any) -> Parts | None:  # type: ignore[type-arg]  # a type at run time
    return () if isinstance(value, str) and value in form else None


@_parts.register
def _(form: list, value: Any) -> Parts | None:  # type: ignore[type-arg]
    if not isinstance(value, list):
        return None
    return [(number, part, form[0]) for number, part in enumerate(value)]


@_parts.register
def _(form: tuple, value: Any) -> Parts | None:  # type: ignore[type-arg]
    if not isinstance(value, list) or len(value) != len(form):
        return None
    return [(number, *pair) for number, pair in enumerate(zip(value, form, strict=True))]


@_parts.register
def _(form: dict, value: Any) -> Parts | None:  # type: ignore[type-arg]
    said = form.keys() - {ANY}
    if not isinstance(value, dict) or said - value.keys():
        return None
    if ANY not in form and value.keys() - said:
        return None
    return [(name, part, form.get(name, form.get(ANY))) for name, part in value.items()]
