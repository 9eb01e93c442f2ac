"""How a report of 5,000 fusions opens in a browser: paint, filter, errors, requests, access.

    pip install selenium    # and Debian's packages chromium, chromium-driver, npm
    python benchmarks/report.py [--quick] [--shots FOLDER]

Headless Chromium opens the page from disk at 1280 and at 390 pixels, light and dark. Bars: first
contentful paint under 1 s, a filter over all fusions under 100 ms, no error in the console, no
request but for the file, nothing wider than the screen, and no finding of axe-core (fetched by npm
into minimix's cache) that it calls serious or critical. A second page holds texts that would be
harmful were they HTML. `--shots` keeps pictures. One JSON object is the last line of stdout, and a
figure that misses its bar gives exit status 1.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outcome import end
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from minimix.engines.bundled import cache_folder
from minimix.report import PAGE, write

FUSIONS, QUICK, RUNS = 5_000, 500, 5
PAINT_MS, FILTER_MS = 1_000, 100
AXE = "axe-core@4.11.0"
SCREENS = ((1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light"), (390, 844, "dark"))
WORDS = "tide moon bread yeast harbour signal engine ledger winter copper orchard glacier".split()
HARMFUL = (
    "<script>document.title = 'run'</script>",
    "</script><script>document.title = 'run'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='run'\">",
    "\" onmouseover=\"document.title='run'",
    "\u202egnirts a \u05e9\u05dc\u05d5\u05dd \U0001f600 \0 \ud83d",
    "long " * 200_000,
)
PAINT = "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"
FILTER = """
const box = document.getElementById("search");
const times = [];
for (const words of ["tide", "moon yeast", "zzz", "ledger winter", ""]) {
  box.value = words;
  const start = performance.now();
  box.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
  times.push(performance.now() - start);
}
return times;
"""
AUDIT = """
const done = arguments[arguments.length - 1];
axe.run(document).then((found) => done(found.violations.map((one) => [one.id, one.impact])));
"""


def data(fusions: int, texts: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a page of so many fusions shows, each with three sources."""

    def text(row: int, part: int) -> str:
        if texts:
            return texts[(row + part) % len(texts)][:6000]
        return " ".join(WORDS[(row * 7 + part * 3 + n) % len(WORDS)] for n in range(60))

    def sample(row: int, part: int) -> dict[str, Any]:
        return {"prompt": f"What of {row}, {part}?", "response": text(row, part), "more": 0}

    made = [
        {
            **sample(row, 0),
            "id": f"{row:012x}",
            "rating": row % 51 / 10,
            "rarity": row % 101 / 100,
            "kept": row % 11 / 10,
            "supported": 1.0,
            "copied": 0.5,
            "lost": [WORDS[row % 12]] if row % 3 else [],
            "unsupported": [],
            "changed": [],
            "mended": row % 2 == 0,
            "sources": [
                {**sample(row, part), "place": f"data.jsonl:{row * 3 + part}", "rating": 2.0}
                for part in (1, 2, 3)
            ],
        }
        for row in range(fusions)
    ]
    chart = {"note": "Median 3.", "labels": ["0", "1", "2"], "series": {"before": [0.2, 0.5, 0.3]}}
    line = texts[0] if texts else "a line"
    return {
        "title": "made.distilled",
        "counts": {"fusions": fusions, "questions": 0},
        "notes": [line],
        "trust": [line],
        "settings": {f"setting {n}": line for n in range(30)},
        "figures": [{"value": f"{fusions:,}", "label": line} for _ in range(5)],
        "flow": [
            {"name": "kept as they were", "samples": fusions, "kind": "kept"},
            {"name": "fused", "samples": 3 * fusions, "kind": "fused"},
            {"name": "near copies", "samples": 9 * fusions, "kind": "dropped"},
        ],
        "went": line,
        "good": line,
        "charts": [{"title": f"Chart {n}", **chart} for n in range(6)],
        "map": {
            "title": "Map",
            "note": line,
            "points": [(n * 7 % 1000, n * 13 % 1000, "dropped") for n in range(1500)],
        },
        "fusions": made,
        "more_fusions": 0,
        "plan": [],
        "skipped": [],
        "matches": [],
        "reasons": [{"stage": "judge", "reason": line, "number": n} for n in range(40)],
        "other_reasons": 3,
    }


@contextmanager
def browser(width: int, height: int, scheme: str) -> Iterator[Any]:
    """Yield headless Chromium with a screen of so many pixels."""
    options = Options()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        yield driver
    finally:
        driver.quit()


def opened(driver: Any, page: Path) -> dict[str, Any]:
    """Return what can be seen of a page that is opened: paint, filter, errors, requests."""
    driver.get(page.as_uri())
    log = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        one["params"]["request"]["url"]
        for one in log
        if one["method"] == "Network.requestWillBeSent"
    ]
    return {
        "paint_ms": driver.execute_script(PAINT),
        "filter_ms": max(driver.execute_script(FILTER)),
        "errors": [entry["message"][:200] for entry in driver.get_log("browser")],
        "requests": [url[:200] for url in asked if url != page.as_uri()],
        "too_wide": driver.execute_script("return document.documentElement.scrollWidth")
        - driver.execute_script("return innerWidth"),
        "title": driver.title,
    }


def axe() -> str:
    """Return axe-core, fetched by npm on the first call."""
    folder = cache_folder() / AXE.replace("@", "-")
    file = folder / "package" / "axe.min.js"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
    return file.read_text("utf-8")


def serious(driver: Any) -> list[str]:
    """Return what axe-core calls serious or critical; it is let past the page's own policy."""
    driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe()})
    found = driver.execute_async_script(AUDIT)
    return [name for name, impact in found if impact in ("serious", "critical")]


def main() -> None:
    """Open the pages, and print what was seen."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--quick", action="store_true")
    options.add_argument("--shots", type=Path)
    given = options.parse_args()
    seen: dict[str, list[dict[str, Any]]] = {"many": [], "harmful": []}
    findings: set[str] = set()
    with tempfile.TemporaryDirectory() as temporary:
        pages = {name: Path(temporary, name) for name in seen}
        for name, texts in (("many", ()), ("harmful", HARMFUL)):
            pages[name].mkdir()
            write(pages[name], data(QUICK if given.quick else FUSIONS, texts))
        bytes_of = (pages["many"] / PAGE).stat().st_size
        for name, folder in pages.items():
            for width, height, scheme in SCREENS:
                print(f"{name}, {width} pixels, {scheme}", file=sys.stderr)
                with browser(width, height, scheme) as driver:
                    runs = 1 if given.quick or name == "harmful" else RUNS
                    seen[name] += [opened(driver, folder / PAGE) for _ in range(runs)]
                    if name == "many":
                        findings |= set(serious(driver))
                    if given.shots:
                        given.shots.mkdir(parents=True, exist_ok=True)
                        driver.save_screenshot(str(given.shots / f"{name}-{width}-{scheme}.png"))
    every = seen["many"] + seen["harmful"]
    paint = statistics.median(one["paint_ms"] for one in seen["many"])
    filtered = statistics.median(one["filter_ms"] for one in seen["many"])
    end(
        "report",
        {
            f"first paint under {PAINT_MS} ms": paint < PAINT_MS,
            f"filter under {FILTER_MS} ms": filtered < FILTER_MS,
            "no error in the console": not any(one["errors"] for one in every),
            "no request leaves the file": not any(one["requests"] for one in every),
            "no wider than the screen": not any(one["too_wide"] > 0 for one in every),
            "axe-core finds nothing serious": not findings,
            "nothing in the data runs": all(one["title"] == "made.distilled" for one in every),
        },
        fusions=QUICK if given.quick else FUSIONS,
        megabytes=round(bytes_of / 1e6, 1),
        paint_ms=round(paint),
        filter_ms=round(filtered, 1),
        axe=sorted(findings),
        errors=sorted({error for one in every for error in one["errors"]}),
    )


if __name__ == "__main__":
    main()
