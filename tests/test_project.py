"""Rules about the code itself, so that review need not repeat them."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import click
import pytest

import minimix
from minimix.cli import COMMANDS, cli
from minimix.config import DistillConfig

PACKAGE = Path(minimix.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = [
    {"errors"},
    {"extras", "records", "progress"},
    {"checks", "template"},
    {"config", "disk", "kept", "threads"},
    {"lines"},
    {"array"},
    {"addressed", "kinds", "prompt", "parse", "formats", "cells", "columns", "unnamed"},
    {"rows"},
    {"files", "spool", "static", "grammar", "encoder", "vector_store", "sources", "recall"},
    {"neighbours", "cover"},
    {"pool", "dedupe", "rating", "cluster", "rarity", "journal", "engines", "embed"},
    {"audit", "overlap", "reward", "judge", "select", "contamination"},
    {"plan", "mend"},
    {"ledger", "prepare", "front", "trainers", "report", "mixture", "scoring"},
    {"card"},
    {"turns"},
    {"fuse", "accounting"},
    {"train"},
    {"arrow"},
    {"figures"},
    {"shown"},
    {"output"},
    {"executors"},
    {"run", "tracing", "health"},
    {"rate", "evaluate", "glance", "publish"},
    {"api", "compare"},
    {"cli"},
]
LEVEL = {name: number for number, names in enumerate(LAYERS) for name in names}
HEAVY = {"torch", "transformers", "sentence_transformers", "hnswlib", "llama_cpp", "datasets"}


def place(path: Path) -> str:
    """Return the top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text()))
    froms = [(n.module or "", n.names) for n in tree if isinstance(n, ast.ImportFrom)]
    found = {module.split(".")[1] for module, _ in froms if module.startswith("minimix.")}
    return found | {name.name for module, names in froms if module == "minimix" for name in names}


def test_every_module_has_a_layer():
    assert {place(path) for path in MODULES} - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_only_from_lower_layers(path):
    own = place(path)
    if own in {"__init__", "__main__"}:
        return
    wrong = {name for name in imported(path) - {own, "__version__"} if LEVEL[name] >= LEVEL[own]}
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path):
    assert len(path.read_text().splitlines()) <= 250


def test_only_the_command_line_prints():
    outside = [path for path in MODULES if place(path) != "cli"]
    assert not [path for path in outside if "print(" in path.read_text()]


def test_the_command_line_imports_nothing_heavy():
    code = (
        f"import minimix.cli, sys, json; print(json.dumps(sorted({HEAVY!r} & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_is_imported_within_150_ms_of_computing():
    code = (
        "import time; t = time.process_time(); import minimix.cli; print(time.process_time() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True) for _ in range(5)]
    assert statistics.median(float(run.stdout) for run in runs) < 0.150


def calls(path: Path) -> list[tuple[str, dict[str, ast.expr]]]:
    """Return the name behind the last dot of what is called in a module, with its keywords."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named = [(call, call.func) for call in found if isinstance(call.func, ast.Attribute)]
    return [
        (func.attr, {word.arg or "**": word.value for word in call.keywords})
        for call, func in named
        if isinstance(func, ast.Attribute)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_remote_code_is_trusted_and_weights_are_safetensors_or_gguf(path):
    for name, words in calls(path):
        if "trust_remote_code" in words:
            assert ast.literal_eval(words["trust_remote_code"]) is False
        if name == "from_pretrained" and "dtype" in words:  # weights, and not a tokenizer
            assert words.keys() & {"use_safetensors", "gguf_file", "load_in_4bit"}
        assert name not in {"load_state_dict_from_url", "torch_load", "unsafe_load", "full_load"}


def test_pickle_is_read_from_ray_s_own_workers_alone():
    found = {str(path.relative_to(PACKAGE)) for path in MODULES if "pickle" in imports(path)}
    assert found == {"executors/ray.py"}
    unpickling = {"joblib", "dill", "cloudpickle", "shelve"}
    assert not [path for path in MODULES if imports(path) & unpickling]
    every = [words for path in MODULES for _, words in calls(path)]
    allowed = [words["allow_pickle"] for words in every if "allow_pickle" in words]
    assert allowed
    assert not any(map(ast.literal_eval, allowed))


def imports(path: Path) -> set[str]:
    """Return the modules that a module imports by their own names."""
    tree = ast.walk(ast.parse(path.read_text()))
    return {name.name for node in tree if isinstance(node, ast.Import) for name in node.names}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert all(option.help for option in options)


def test_every_setting_of_a_distillation_has_its_option():
    command = cli.get_command(click.Context(cli), "distill")
    assert command is not None
    assert set(DistillConfig().flat()) <= {param.name for param in command.params}


def test_extras_are_named_in_pyproject():
    text = (PACKAGE.parent / "pyproject.toml").read_text()
    from minimix.health import EXTRAS

    assert all(f"\n{extra} = [" in text for extra in EXTRAS)
