"""Every keyword we give to a training library is a parameter that it names.

A function with `**kwargs` swallows a misspelt one in silence, and what a GPU would do with Unsloth
was not run. So both sides are read as source: our calls, and the installed definitions. Nothing is
imported, Unsloth least of all: it changes trl, transformers and peft for the whole process.
"""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import minimix.train
from minimix.train.grpo import FROM_TRL

FOLDER = Path(minimix.train.__file__).parent
FILES = ("backends.py", "grpo.py", "sft.py", "steps.py")
OURS = {name: (FOLDER / name).read_text("utf-8") for name in FILES}
LIBRARIES = ("unsloth", "trl", "transformers", "peft")
DEFINED = {
    "unsloth.FastLanguageModel.from_pretrained": "unsloth/models/loader.py FastLanguageModel",
    "unsloth.FastLanguageModel.get_peft_model": "unsloth/models/llama.py FastLlamaModel",
    "trl.SFTConfig": "trl/trainer/sft_config.py",
    "trl.GRPOConfig": "trl/trainer/grpo_config.py",
    "trl.SFTTrainer": "trl/trainer/sft_trainer.py",
    "trl.GRPOTrainer": "trl/trainer/grpo_trainer.py",
    "trl._BaseConfig": "trl/trainer/base_config.py",
    "trl._BaseTrainer": "trl/trainer/base_trainer.py",
    "trl.trainer.sft_trainer.DataCollatorForLanguageModeling": "trl/trainer/sft_trainer.py",
    "transformers.TrainingArguments": "transformers/training_args.py",
    "transformers.Trainer": "transformers/trainer.py",
    "transformers.Trainer.train": "transformers/trainer.py Trainer",
    "transformers.BitsAndBytesConfig": "transformers/utils/quantization_config.py",
    "transformers.AutoModelForCausalLM.from_pretrained": "transformers/modeling_utils.py "
    "PreTrainedModel",
    "transformers.AutoTokenizer.from_pretrained": "transformers/models/auto/tokenization_auto.py "
    "AutoTokenizer",
    "peft.LoraConfig": "peft/tuners/lora/config.py",
    "peft.PeftConfig": "peft/config.py",
    "peft.PeftModel.save_pretrained": "peft/peft_model.py PeftModel",
}
"""The file that defines a thing that we call, and for a method its class there."""
OBJECTS = {"model": "peft.PeftModel", "trainer": "transformers.Trainer"}
"""What our variables hold that no call of a library is assigned to."""


class Call(NamedTuple):
    """A call of a library with the keywords it is given."""

    place: str
    name: str
    keywords: frozenset[str]


# ours


def needed(node: ast.AST) -> str | None:
    """Return what `need("trl.trainer")` imports, None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "need":
        return str(ast.literal_eval(node.args[0]))
    return None


def bound(tree: ast.Module) -> dict[str, str]:
    """Return what the variables and classes of a module stand for, by name."""
    names = dict(OBJECTS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            found = {one.id: needed(of) for one, of in pairs if isinstance(one, ast.Name)}
            names |= {name: package for name, package in found.items() if package}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.bases and (base := dotted(node.bases[0], names)):
            names[node.name] = base
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return "trl.GRPOConfig" for what evaluates to it, None for what is no library's."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return base and f"{base}.{node.attr}"
    return names.get(node.id) if isinstance(node, ast.Name) else needed(node)


def spread(value: ast.expr, trees: list[ast.Module]) -> set[str]:
    """Return the keywords in `**value`: a dict filled key by key, or what a function returns."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    if isinstance(value, ast.Name):
        keys = {
            node.slice.value
            for node in nodes
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
            if node.value.id == value.id and isinstance(node.slice, ast.Constant)
        }
    else:
        assert isinstance(value, ast.Call)
        assert isinstance(value.func, ast.Name)
        name = value.func.id
        keys = {
            key.value
            for function in nodes
            if isinstance(function, ast.FunctionDef) and function.name == name
            for node in function.body
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
            for key in node.value.keys
            if isinstance(key, ast.Constant)
        }
    assert keys, f"no keywords found in ** of line {value.lineno}"
    return {str(key) for key in keys}


def calls(sources: dict[str, str]) -> list[Call]:
    """Return the calls of libraries with keywords in modules, given by name."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    found = []
    for file, tree in trees.items():
        names = bound(tree)
        for node in ast.walk(tree):
            name = dotted(node.func, names) if isinstance(node, ast.Call) else None
            if not isinstance(node, ast.Call) or not name or not node.keywords:
                continue
            if name.partition(".")[0] in LIBRARIES:
                named = {keyword.arg for keyword in node.keywords if keyword.arg}
                for keyword in node.keywords:
                    if keyword.arg is None:
                        named |= spread(keyword.value, list(trees.values()))
                found.append(Call(f"{file}:{node.lineno}", name, frozenset(named)))
    return found


# theirs


@cache
def installed(file: str) -> ast.Module:
    """Return the source of a file of an installed package, which is not imported."""
    package, _, rest = file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return ast.parse((Path(spec.submodule_search_locations[0]) / rest).read_text("utf-8"))


def definition(body: list[ast.stmt], name: str) -> ast.ClassDef | ast.FunctionDef | None:
    """Return the last definition of a name: those before it are overloads."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next((n for n in reversed(body) if isinstance(n, kinds) and n.name == name), None)


def find(name: str) -> ast.ClassDef | ast.FunctionDef:
    """Return how a library defines "trl.GRPOConfig" or "peft.PeftModel.save_pretrained"."""
    assert name in DEFINED, f"{name}: say in DEFINED where it is defined"
    file, _, around = DEFINED[name].partition(" ")
    body = installed(file).body
    if around:
        outer = definition(body, around)
        assert outer, f"{file}: no class {around}"
        body = outer.body
    found = definition(body, name.rpartition(".")[2])
    assert found, f"{file}: no {name}"
    return found


def lineage(one: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Yield a class and those of its bases that DEFINED knows, nearest first."""
    yield one
    for base in one.bases:
        for library in LIBRARIES:
            name = f"{library}.{base.id}" if isinstance(base, ast.Name) else ""
            if name in DEFINED and isinstance(found := find(name), ast.ClassDef):
                yield from lineage(found)


def parameters(name: str) -> set[str]:
    """Return the keywords that a function or class names; fields are those of a dataclass.

    In transformers also those that it takes out of `**kwargs` one by one.
    """
    one = find(name)
    if isinstance(one, ast.ClassDef):
        inits = (definition(each.body, "__init__") for each in lineage(one))
        init = next((found for found in inits if isinstance(found, ast.FunctionDef)), None)
        if init is None:
            fields = (node for each in lineage(one) for node in each.body)
            return {
                node.target.id
                for node in fields
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            }
        one = init
    arguments = one.args
    named = {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}
    return named | (taken(one) if name.startswith("transformers.") else set())


def taken(function: ast.FunctionDef) -> set[str]:
    """Return the names in `kwargs.pop("name")`."""
    return {
        str(node.args[0].value)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr == "pop" and ast.unparse(node.func.value) == "kwargs"
        if isinstance(node.args[0], ast.Constant)
    }


def overrides() -> list[tuple[str, ast.FunctionDef]]:
    """Return the methods that we replace in trainers, each with the trainer's name."""
    found = []
    for text in OURS.values():
        tree = ast.parse(text)
        names = bound(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and names.get(node.name) in DEFINED:
                methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
                found += [(names[node.name], method) for method in methods]
    return found


def tuples(function: ast.FunctionDef) -> set[int]:
    """Return how long the tuples are that a function returns."""
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return {len(value.elts) for value in returned if isinstance(value, ast.Tuple)}


CALLS = calls(OURS)
OVERRIDES = overrides()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.place}-{call.name}")
def test_every_keyword_we_give_is_one_that_the_library_names(call):
    assert call.keywords - parameters(call.name) == set()


@pytest.mark.parametrize(("trainer", "ours"), OVERRIDES, ids=lambda one: getattr(one, "name", one))
def test_what_we_replace_in_a_trainer_is_there_and_takes_as_much(trainer, ours):
    above = find(trainer)
    assert isinstance(above, ast.ClassDef)
    candidates = (definition(each.body, ours.name) for each in lineage(above))
    theirs = next((found for found in candidates if found), None)
    assert isinstance(theirs, ast.FunctionDef), f"{trainer} has no {ours.name}"
    count, most = len(ours.args.args), len(theirs.args.args)
    assert count <= most if ours.args.vararg else count == most
    assert tuples(ours) <= tuples(theirs)


@pytest.mark.parametrize("metric", FROM_TRL)
def test_what_we_log_of_grpo_is_what_trl_measures(metric):
    tree = installed("trl/trainer/grpo_trainer.py")
    assert metric in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_the_calls_that_matter_are_among_those_checked():
    given = {name: keywords for _, name, keywords in CALLS}
    assert {"max_lora_rank", "load_in_4bit"} <= given["unsloth.FastLanguageModel.from_pretrained"]
    assert "use_gradient_checkpointing" in given["unsloth.FastLanguageModel.get_peft_model"]
    assert "quantization_config" in given["transformers.AutoModelForCausalLM.from_pretrained"]
    assert {"num_generations", "learning_rate"} <= given["trl.GRPOConfig"]
    assert {"padding_free", "learning_rate"} <= given["trl.SFTConfig"]
    assert "bnb_4bit_quant_type" in given["transformers.BitsAndBytesConfig"]
    assert "_tokenize_prompts" in {method.name for _, method in OVERRIDES}


@pytest.mark.parametrize(
    ("line", "name", "unknown"),
    [
        ("need('trl').GRPOConfig(num_generation=4)", "trl.GRPOConfig", {"num_generation"}),
        (
            "u = need('unsloth')\nu.FastLanguageModel.from_pretrained(max_length=8, dtype=None)",
            "unsloth.FastLanguageModel.from_pretrained",
            {"max_length"},
        ),
        (
            "def usual(n):\n return {'seed': n, 'sead': n}\nneed('trl').SFTConfig(**usual(1))",
            "trl.SFTConfig",
            {"sead"},
        ),
        (
            "need('unsloth').FastLanguageModel.get_peft_model(None, rank=8)",
            "unsloth.FastLanguageModel.get_peft_model",
            {"rank"},
        ),
    ],
)
def test_a_misspelt_keyword_is_found(line, name, unknown):
    (call,) = calls({"made up": line})
    assert call.name == name
    assert call.keywords - parameters(name) == unknown


def test_a_call_whose_definition_is_not_known_is_no_pass():
    (call,) = calls({"made up": "need('trl').DPOConfig(beta=1)"})
    with pytest.raises(AssertionError, match=r"trl\.DPOConfig: say in DEFINED"):
        parameters(call.name)
