"""The folder `use` is right by the training tools' own code: they read it, and get the same chats.

LLaMA-Factory and axolotl are installed without what they depend on (Makefile), so only those of
their modules are imported that read data: their packages' own lists of imports are passed over.
"""

import importlib
import importlib.util
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from minimix.engines.bundled import fast_model
from minimix.formats import SHAPES, write_row
from minimix.output import TRAIN, final_rows
from minimix.records import Entry, Sample
from minimix.train.base import read_tokenizer
from minimix.trainers import AXOLOTL, FOLDER, LLAMA_FACTORY, TRL, Fields, Turns, fields_of, uses
from tests.fakes import sample

NAME = "my data.distilled"
SAMPLES = [
    sample("Name a {moon}.", 'Io, of "Jupiter".'),
    Sample("Sum up.", "It rains.", sample("", "").sources, input="Rain falls in Bergen."),
]
WITH_SYSTEM = [*SAMPLES, Sample("Who?", "Me.", sample("", "").sources, system="Be {brief}.")]
each_shape = pytest.mark.parametrize("shape", SHAPES)


def there(name: str) -> Any:
    missing = importlib.util.find_spec(name) is None
    return pytest.mark.skipif(missing, reason=f"{name} is not installed (make test installs it)")


def written(folder: Path, shape: str, samples: list[Sample]) -> Path:
    """Return an output folder with rows of a shape, and `use` beside them."""
    output = folder / NAME
    (output / FOLDER).mkdir(parents=True)
    rows = final_rows([Entry(one, "original", 4.0, 0.5) for one in samples], shape)
    (output / TRAIN).write_text("".join(json.dumps(row) + "\n" for row in rows))
    system = any(one.system for one in samples)
    for name, text in uses(shape, folder=NAME, train=TRAIN, system=system).items():
        (output / FOLDER / name).write_text(text)
    return output


def chats(samples: list[Sample], joint: str = "\n\n") -> list[tuple[str, str, str]]:
    """Return system, prompt and response of each sample, instruction and input joined."""
    return [
        (one.system, joint.join(filter(None, [one.instruction, one.input])), one.response)
        for one in samples
    ]


@each_shape
def test_rows_hold_a_sample_where_it_is_said_they_do(shape):
    one = WITH_SYSTEM[1]
    row, fields = write_row(one, shape), fields_of(shape, system=False)
    if isinstance(fields, Turns):
        turns = [(turn[fields.role], turn[fields.content]) for turn in row[fields.turns]]
        assert turns == [(fields.roles[1], one.prompt), (fields.roles[2], one.response)]
        return
    texts = [row[name] for name in (fields.instruction, fields.input) if name]
    assert "\n\n".join(texts) == one.prompt
    assert row[fields.response] == one.response
    assert fields.system == ""


def test_alpaca_rows_are_registered_as_anybody_would_write_it():
    fields = Fields(instruction="instruction", input="input", response="output", system="")
    assert fields_of("alpaca", system=False) == fields
    made = json.loads(uses("alpaca", folder=NAME, train=TRAIN, system=False)[LLAMA_FACTORY])
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    assert made == {"my_data": {"file_name": "../train.jsonl", "columns": columns}}


@each_shape
@pytest.mark.parametrize("samples", [SAMPLES, WITH_SYSTEM], ids=["without system", "with"])
def test_all_rows_of_a_file_have_the_same_fields(shape, samples):
    rows = final_rows([Entry(one, "original", 4.0, 0.5) for one in samples], shape)
    assert len({tuple(row) for row in rows}) == 1


@pytest.fixture
def llama_factory(monkeypatch):
    """Return LLaMA-Factory's parser and loader of data; `data` is its package without its imports.

    That would import the collators for pictures and sound.
    """
    found = importlib.util.find_spec("llamafactory")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = ModuleType("llamafactory.data")
    package.__path__ = [str(Path(found.submodule_search_locations[0]) / "data")]
    monkeypatch.setitem(sys.modules, "llamafactory.data", package)
    yield (
        importlib.import_module("llamafactory.data.parser"),
        importlib.import_module("llamafactory.data.loader"),
    )
    for name in [name for name in sys.modules if name.startswith("llamafactory.data.")]:
        monkeypatch.delitem(sys.modules, name)


@there("llamafactory")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@each_shape
def test_llama_factory_loads_the_chats(shape, llama_factory, tmp_path):
    parser, loader = llama_factory
    use = str(written(tmp_path, shape, WITH_SYSTEM) / FOLDER)
    (attributes,) = parser.get_dataset_list(["my_data"], use)
    cache = str(tmp_path / "cache")
    data = SimpleNamespace(
        dataset_dir=use, streaming=False, preprocessing_num_workers=None, overwrite_cache=True,
        max_samples=None, media_dir=use,
    )  # fmt: skip
    loaded = loader._load_single_dataset(
        attributes,
        SimpleNamespace(cache_dir=cache, hf_hub_token=None),
        data,
        SimpleNamespace(local_process_index=0),
    )
    found = [
        (row["_system"], row["_prompt"][0]["content"], row["_response"][0]["content"])
        for row in loaded
    ]
    fields = fields_of(shape, system=True)
    joint = "\n" if isinstance(fields, Fields) and fields.input else "\n\n"  # its own way
    assert found == chats(WITH_SYSTEM, joint)


@pytest.fixture(scope="module")
def tokenizer():
    return read_tokenizer(fast_model())


@there("axolotl")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@each_shape
def test_axolotl_accepts_the_entry_and_trains_on_the_responses(
    shape, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    schemas = importlib.import_module("axolotl.utils.schemas.datasets")
    strategies = importlib.import_module("axolotl.prompt_strategies")
    output = written(tmp_path, shape, WITH_SYSTEM)
    (entry,) = yaml.safe_load((output / FOLDER / AXOLOTL).read_text())["datasets"]
    assert (tmp_path / entry["path"]).samefile(output / TRAIN)
    unknown = entry.keys() - schemas.SFTDataset.model_fields.keys()
    assert not unknown
    checked = schemas.SFTDataset(**entry).model_dump(exclude_none=True)
    settings = {"train_on_inputs": False, "sequence_len": 512}
    config = importlib.import_module("axolotl.utils.dict").DictDefault(settings)
    kind = "user_defined" if isinstance(checked["type"], dict) else checked["type"]
    given = checked["type"] if kind == "user_defined" else checked
    strategy = strategies.load(kind, tokenizer, config, given)
    for one, line in zip(WITH_SYSTEM, (output / TRAIN).read_text().splitlines(), strict=True):
        ids = strategy.tokenize_prompt(json.loads(line))
        text = tokenizer.decode(ids["input_ids"])
        learnt = tokenizer.decode([token for token in ids["labels"] if token != -100])
        assert learnt.replace(tokenizer.eos_token, "").strip() == one.response
        for part in filter(None, (one.system, one.instruction, one.input)):
            assert part in text.partition(one.response)[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@each_shape
def test_the_script_for_trl_makes_prompts_and_completions(shape, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    output = written(tmp_path, shape, WITH_SYSTEM)
    train = runpy.run_path(str(output / FOLDER / TRL))["train"]
    found = [
        (
            "".join(turn["content"] for turn in row["prompt"] if turn["role"] == "system"),
            row["prompt"][-1]["content"],
            row["completion"][0]["content"],
        )
        for row in train
    ]
    assert found == chats(WITH_SYSTEM)
    assert train.column_names == ["prompt", "completion"]
    assert {turn["role"] for row in train for turn in row["prompt"]} == {"system", "user"}
    assert {turn["role"] for row in train for turn in row["completion"]} == {"assistant"}
