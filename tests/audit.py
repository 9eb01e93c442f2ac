"""What is known against the packages of locks/, by pip-audit: `make audit`.

An index that has no advisories answers pip-audit with "not found", and pip-audit then ends well
having audited nothing. So a release with known vulnerabilities is asked for first, and where none
come back it is said that nothing was audited.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent.parent / "locks"
PARTS = ("dev", "cuda", "trainers", "build", "tools")  # the base and pip are in them
CANARY = "pyyaml==5.3\n"  # CVE-2020-14343 and others


def audit(requirements: Path, more: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package of a file; nothing where it breaks off."""
    program = Path(sys.executable).parent / "pip-audit"
    options = ["--format=json", "--progress-spinner=off", "--disable-pip", "--no-deps"]
    command = [str(program), *options, *more, "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"] if done.stdout else []
    return found


def against(packages: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each known vulnerability."""
    return [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {known['fix_versions'] or 'none'}"
        for one in packages
        for known in one.get("vulns", ())
    ]


def unknown(packages: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each package that was not audited."""
    return [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]


def is_reached(more: Sequence[str]) -> bool:
    """Tell whether advisories come back for a release that has some."""
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder, "canary.txt")
        canary.write_text(CANARY, "utf-8")
        return bool(against(audit(canary, more)))


def main(more: Sequence[str]) -> None:
    """Print what is known; exit with 1 where there is something, or where a package is unknown."""
    if not is_reached(more):
        print("audit: the advisories cannot be reached from here: NOTHING WAS AUDITED")
        return
    parts = {part: audit(LOCKS / f"{part}.txt", more) for part in PARTS}
    if broken := [part for part, packages in parts.items() if not packages]:
        sys.exit(f"audit: pip-audit broke off in {', '.join(broken)}: NOT AUDITED")
    packages = [one for part in parts.values() for one in part]
    found = sorted({*against(packages), *unknown(packages)})
    print(f"audit: {len(packages)} packages, {len(found)} findings", *found, sep="\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
