"""report.html: one file that opens from disk, asks nobody for anything, and shows text as text.

What it shows lies in report.json beside it, so that `minimix report` makes it again.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minimix.disk import atomic, parse_json
from minimix.errors import DataError, brief
from minimix.extras import need
from minimix.report.charts import Flow, bars, flow, points
from minimix.report.form import misfits

HERE = Path(__file__).parent
PAGE, DATA = "report.html", "report.json"
VERSION = 2
"""Of what report.json holds; another one is not read."""


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write report.json and the page made of it; raises OutputError where the disk refuses."""
    with atomic(folder / DATA) as file:
        json.dump({"version": VERSION, **data}, file)
        file.write("\n")
    with atomic(folder / PAGE) as file:
        file.write(render(data))


def remake(folder: Path) -> Path:
    """Make the page of an output folder again out of its report.json, and return where it lies.

    Raises DataError where there is none, one of another version, or one that was changed.
    """
    try:
        data = parse_json((folder / DATA).read_text(encoding="utf-8"))
        version = data["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: expected {DATA}, which minimix distill writes ({brief(error)})"
        ) from error
    if version != VERSION:
        raise DataError(f"{folder / DATA}: expected version {VERSION}, found {version!r}")
    for problem in misfits(data):  # the names in it are those of the file
        found = brief(ValueError(problem))
        raise DataError(f"{folder / DATA}: {found}; start minimix distill again: it writes it anew")
    with atomic(folder / PAGE) as file:
        file.write(render(data))
    return folder / PAGE


def render(data: Mapping[str, Any]) -> str:
    """Return the page as one HTML text; only the style and the script that it brings are let in."""
    jinja = need("jinja2")
    environment = jinja.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja.StrictUndefined,
    )
    style, script = ((HERE / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    template = environment.from_string((HERE / "report.html.jinja").read_text(encoding="utf-8"))
    safe = jinja.utils.markupsafe.Markup
    text = template.render(
        page=data,
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}",
        style=safe(style),
        script=safe(script),
        fusions=safe(_embedded(data["fusions"])),
        flow=safe(flow("Where the samples went", [Flow(**part) for part in data["flow"]])),
        charts=[{**chart, "svg": safe(_chart(chart))} for chart in data["charts"]],
        map=safe(points(data["map"]["title"], data["map"]["points"])),
    )
    return _plain(text)


def _chart(chart: Mapping[str, Any]) -> str:
    return bars(chart["title"], chart["labels"], chart["series"])


def _hash(text: str) -> str:
    """Return how a policy names what it lets in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(value: Any) -> str:
    """Return JSON that stands in a script element, where no text in it can end it."""
    text = json.dumps(value)  # ASCII alone: half a character and a NUL are escaped too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(text: str) -> str:
    """Return text as a page can hold it: no NUL, no half a character."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")
