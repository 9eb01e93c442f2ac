"""What README.md and docs/ say can be done can be done: commands, options, targets, links, code.

Nothing is run here but `mkdocs build` and a lint of the Dockerfile: a command of the docs is parsed
by the command line's own parser, which knows every option and what it takes.
"""

import ast
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from itertools import chain, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

from minimix.cli import cli
from minimix.config import DistillConfig, EngineConfig
from minimix.formats import SHAPES, read_row, write_row
from minimix.records import Place
from minimix.train.settings import GrpoConfig, SftConfig

PROJECT = Path(__file__).parent.parent
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ANCHOR = re.compile(r"^#+ (.+?)$", re.MULTILINE)
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
SHELL = ("", "sh", "bash", "shell", "console")
OTHERS = {"pip", "uv", "docker", "rm", "accelerate", "ollama", "vllm", "jupyter", "hf"}
"""Programs that are not ours: what follows them is theirs to check."""
CHECKED = (click.Choice, click.types.IntParamType, click.types.FloatParamType)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return found


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text("utf-8"))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in a page's shell blocks; output under a `$` line is none."""
    for language, text in blocks(page):
        if language not in SHELL:
            continue
        lines = text.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            words = shlex.split(line, comments=True)
            while words and ASSIGNMENT.fullmatch(words[0]):
                words.pop(0)
            if words:
                yield words


def check(words: list[str]) -> None:
    """Raise unless minimix takes these words: command, options, their values, arguments."""
    command: click.Command = cli
    ctx = click.Context(cli, info_name="minimix")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(ctx, name)
        assert found, f"there is no command {name}"
        command, ctx = found, click.Context(found, info_name=name, parent=ctx)
    given, left, _ = command.make_parser(ctx).parse_args(list(words))
    assert not left, left
    for param in command.params:
        value = given.get(param.name or "")
        is_given = isinstance(value, str | bool) or bool(isinstance(value, list | tuple) and value)
        assert is_given or not param.required, param.name
        if isinstance(param.type, CHECKED):
            values = value if isinstance(value, list | tuple) else [value]
            for one in (one for one in values if isinstance(one, str)):
                param.type(one, param, ctx)


def is_there(words: list[str]) -> bool:
    """Whether what a command names is in this project."""
    program, *rest = words
    if program == "python" and rest[:1] == ["-m"]:
        return rest[1] == "minimix" or importlib.util.find_spec(rest[1]) is not None
    if program == "python":
        return (PROJECT / rest[0]).exists() or rest[0].startswith("data.distilled/use/")
    if program == "make":
        makefile = (PROJECT / "Makefile").read_text("utf-8")
        return all(f"\n{target}:" in makefile for target in rest)
    if program == "pip":
        extras = re.findall(r"(?:minimix|\.)\[(\w+)\]", " ".join(rest))
        return all(extra in project()["optional-dependencies"] for extra in extras)
    return program in OTHERS


def words_of_minimix(words: list[str]) -> list[str] | None:
    """Return what follows minimix in a command, however it is started; None where it is not."""
    if words[0] == "minimix":
        return words[1:]
    for before, name in pairwise(words):
        image = words[0] == "docker" and words[1] == "run" and name.startswith("minimix")
        if (before == "-m" and name == "minimix") or (
            image and "=" not in name and ":/" not in name
        ):
            return words[words.index(name) + 1 :]
    return None


@each_page
def test_every_command_of_a_page_can_be_given(page):
    for words in commands(page):
        own = words_of_minimix(words)
        assert own is not None or is_there(words), " ".join(words)
        if own is not None:
            check(own)


@pytest.mark.parametrize(
    "wrong",
    [
        "minimix distil data.jsonl",
        "minimix distill data.jsonl --bugdet 3",
        "minimix distill data.jsonl --executor dask",
        "minimix distill data.jsonl --candidates none",
        "minimix train sft tasks",
        "minimix trace",
    ],
)
def test_a_command_that_cannot_be_given_is_noticed(wrong):
    with pytest.raises((AssertionError, click.UsageError)):
        check(shlex.split(wrong)[1:])


@each_page
def test_the_code_of_a_page_is_right(page):
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text.replace("...,", "Ellipsis,"))
        if language in ("yaml", "json"):
            yaml.safe_load(text)
        assert language in (*SHELL, "python", "yaml", "json", "jsonl", "text"), language


def anchors(page: Path) -> set[str]:
    toc = pytest.importorskip("markdown.extensions.toc")
    text = FENCE.sub("", page.read_text("utf-8"))
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in ANCHOR.findall(text)]
    return {toc.slugify(heading, "-") for heading in plain}


@each_page
def test_links_within_the_project_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_stands_in_the_navigation():
    text = (PROJECT / "mkdocs.yml").read_text("utf-8")
    assert not [page.name for page in PAGES[1:] if f": {page.name}\n" not in text]


# what pages say of the code


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", PROJECT / "docs" / "hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_settings_page_has_every_setting():
    page = hooks().on_page_markdown((PROJECT / "docs/settings.md").read_text("utf-8"))
    for kind in (DistillConfig, EngineConfig, SftConfig, GrpoConfig):
        missing = [one.name for one in fields(kind) if f"| `{one.name}` |" not in page]
        assert missing in ([], ["engine"])


def test_the_formats_page_has_every_shape_in_order_with_an_example_of_it():
    page = (PROJECT / "docs/formats.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| `(\{.*\})` \|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(SHAPES)
    for name, example in rows:
        parsed = read_row(json.loads(example), Place("docs", 1, 0, ""))
        assert parsed.shape == name
        assert write_row(parsed.samples[0], name)


def messages() -> set[str]:
    """Return every text of the package, what is filled in as `…`."""
    found = set()
    for path in (PROJECT / "minimix").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values]
                found.add("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def plain(message: str) -> str:
    """Return a message without what is filled in, as single words."""
    return " ".join(message.replace("…", " ").split())


def test_troubleshooting_quotes_messages_that_there_are():
    page = (PROJECT / "docs/troubleshooting.md").read_text("utf-8")
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    known = {plain(text) for text in messages()}
    assert len(told) > 25
    unknown = [one for one in told if not any(plain(one).lstrip(": ") in text for text in known)]
    assert not unknown


def test_the_install_page_has_every_dependency_with_its_reason():
    page = (PROJECT / "docs/install.md").read_text("utf-8")
    table = page.partition("| package | reason |")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", table, re.MULTILINE))
    names = [re.split(r"[<>=\[]", one)[0] for one in project()["dependencies"]]
    assert list(told) == names
    assert all(told.values())


def test_the_install_page_has_every_extra():
    page = (PROJECT / "docs/install.md").read_text("utf-8")
    assert set(re.findall(r"^\| `minimix\[(\w+)\]`", page, re.MULTILINE)) == set(
        project()["optional-dependencies"]
    )


def test_one_address_stands_everywhere():
    address = project()["urls"]["Repository"]
    name = address.removeprefix("https://github.com/")
    texts = [*PAGES, *(PROJECT / "notebooks").glob("*.ipynb")]
    for path in texts:
        for found in re.findall(r"github(?:\.com)?/([\w-]+/minimix)\b", path.read_text("utf-8")):
            assert found == name, path


# what builds them


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "commands.html").read_text("utf-8")
    assert "minimix train grpo" in page
    assert "&lt;name&gt;.distilled" in page


def test_the_dockerfile_passes_its_linter():
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("hadolint is not installed (make test installs it)")
    done = subprocess.run([program, PROJECT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_copies_only_what_the_daemon_is_sent():
    pytest.importorskip("dockerfile_parse")
    from tests.dockerfile_steps import instructions

    sent = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    lines = instructions(PROJECT / "Dockerfile")
    copied = [
        value.split()[:-1] for name, value in lines if name == "COPY" and "--from" not in value
    ]
    assert sorted(chain.from_iterable(copied)) == sorted(sent)
    assert [value for name, value in lines if name == "USER"] == ["1000:1000"]


def test_the_dockerfile_makes_the_stages_that_its_argument_asks_for():
    pytest.importorskip("dockerfile_parse")
    from tests.dockerfile_steps import instructions, needed, stages

    lines = instructions(PROJECT / "Dockerfile")
    for cuda, base in (("0", "python:3.11-slim-bookworm"), ("1", "nvidia/cuda:")):
        found = stages(lines, {"CUDA": cuda})
        order = needed(found, list(found)[-1])
        assert order[:3] == [f"runner-{cuda}", f"compiler-{cuda}", "build"]
        assert found[f"runner-{cuda}"][0].startswith(base)
