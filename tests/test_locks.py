"""What an install may bring is in locks/ with its hashes, and agrees with pyproject.toml."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.audit import against, unknown
from tests.locks import CPU_TORCH, LOCKS, PARTS, entries, version

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "dependencies.md"
FILES = sorted(LOCKS.glob("*.txt"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def settings() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))


def asked() -> dict[str, list[Requirement]]:
    """Return for each part of locks/ what pyproject.toml asks for there."""
    found = settings()
    project, groups = found["project"], found["dependency-groups"]
    base = project["dependencies"]
    dev = [*base, *chain.from_iterable(project["optional-dependencies"].values())]
    texts = {"base": base, "dev": dev, **groups}
    texts["build"] = [*groups["build"], *found["build-system"]["requires"]]
    return {part: requirements(texts[part]) for part in PARTS}


def requirements(texts: list[Any]) -> list[Requirement]:
    """Return those that are packages of others; a group may include another, which has a part."""
    found = [Requirement(text) for text in texts if isinstance(text, str)]
    return [one for one in found if one.name != "minimix"]


def locked(part: str) -> dict[str, str]:
    return entries((LOCKS / f"{part}.txt").read_text("utf-8"))


@each_file
def test_every_line_is_a_version_or_a_hash_and_every_version_has_hashes(path):
    text = path.read_text("utf-8")
    found = entries(text)
    assert found
    assert text.partition("\n")[2] == "".join(found.values())
    assert all("--hash=sha256:" in entry for entry in found.values())


@each_file
def test_a_lock_names_no_index_and_no_address(path):
    assert not re.search(r"://|--(extra-)?index|--find-links", path.read_text("utf-8"))


@pytest.mark.parametrize("part", PARTS)
def test_what_pyproject_asks_for_is_locked_within_its_bounds(part):
    found = locked(part)
    for one in asked()[part]:
        name = canonicalize_name(one.name)
        if part == "dev" and name.startswith("unsloth"):
            continue  # installed without its dependencies: trainers
        assert name in found, f"{one}: run make lock"
        assert one.specifier.contains(version(found[name])), f"{one}: run make lock"


def test_the_tests_run_on_what_the_demo_installs():
    base, dev = locked("base"), locked("dev")
    assert base == {name: dev[name] for name in base}


def test_every_part_installs_with_the_same_pip():
    versions = {version(locked(part)["pip"]) for part in ("pip", "base", "dev", "tools")}
    assert len(versions) == 1


def test_the_demo_installs_no_cuda_and_what_pytorch_asks_for_with_it_is_locked_apart():
    assert not {name for name in locked("dev") if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert {"triton", "nvidia-cublas", "nvidia-cudnn-cu13"} <= set(locked("cuda"))


def test_both_builds_of_pytorch_are_let_in():
    torch, only_cpu = locked("base")["torch"], locked("torch-cpu")["torch"]
    hashes = CPU_TORCH[version(torch)].values()
    assert version(only_cpu) == f"{version(torch)}+cpu"
    assert all(one in torch and one in only_cpu for one in hashes)
    assert torch.count("--hash") > only_cpu.count("--hash") == len(hashes)


def test_an_entry_of_a_lock_for_each_python_is_kept_whole():
    one = f"numpy==1.0 ; python_version < '3.12' \\\n    --hash=sha256:{'a' * 64}\n"
    two = f"numpy==2.0 ; python_version > '3.11' \\\n    --hash=sha256:{'b' * 64}\n"
    assert entries(one + two) == {"numpy": one + two}


def bounded() -> set[tuple[str, str]]:
    """Return every dependency that keeps later releases out, and how."""
    found = settings()
    project = found["project"]
    lists = [project["dependencies"], found["build-system"]["requires"]]
    lists += [*project["optional-dependencies"].values(), *found["dependency-groups"].values()]
    specifiers = (
        (one.name, part) for one in requirements([*chain(*lists)]) for part in one.specifier
    )
    return {(name, str(part)) for name, part in specifiers if not part.operator.startswith(">")}


def test_every_upper_bound_is_argued_in_one_place():
    table = PAGE.read_text("utf-8").partition("| dependency | bound | why |")[2]
    rows = re.findall(r"^\| `([\w-]+)` \| `([<>=.\d]+)` \| (.+) \|$", table, re.MULTILINE)
    assert {(name, bound) for name, bound, _ in rows} == bounded()
    assert all(why.strip() for _, _, why in rows)


def test_the_page_names_every_lock():
    table = PAGE.read_text("utf-8").partition("| file | holds |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([\w.-]+)` \|", table, re.MULTILINE)) == {
        one.name for one in FILES
    }


def test_an_audit_tells_what_is_known_and_what_was_not_audited():
    # as pip-audit 2.10.1 says it
    known = {"id": "PYSEC-2021-142", "fix_versions": ["5.4"], "aliases": ["CVE-2020-14343"]}
    said: list[dict[str, Any]] = [
        {"name": "pyyaml", "version": "5.3", "vulns": [known]},
        {"name": "click", "version": "8.5.1", "vulns": []},
        {"name": "requests", "skip_reason": "Dependency not found on PyPI"},
    ]
    assert against(said) == ["pyyaml 5.3: PYSEC-2021-142, fixed in ['5.4']"]
    assert unknown(said) == ["requests: Dependency not found on PyPI"]


@pytest.mark.slow
def test_the_bill_of_materials_has_every_package_of_the_base_with_its_version_and_licence(tmp_path):
    program = PROJECT / ".venv-tools" / "bin" / "cyclonedx-py"
    if not program.exists():
        pytest.skip("cyclonedx-py is not installed (make sbom installs it)")
    bill = tmp_path / "sbom.cdx.json"
    command = [program, "environment", "--output-file", bill, sys.executable]
    subprocess.run(command, check=True, capture_output=True)
    parts = json.loads(bill.read_text("utf-8"))["components"]
    found = {str(canonicalize_name(one["name"])): one for one in parts}
    marked = (Requirement(entry.partition(" \\")[0]) for entry in locked("base").values())
    for one in (one for one in marked if one.marker is None or one.marker.evaluate()):
        assert one.specifier.contains(found[one.name]["version"]), one
        # these two do not say theirs
        assert found[one.name].get("licenses") or one.name in {"sqlite-fts4", "transformers"}, one
