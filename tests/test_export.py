"""Export: what is refused and why, the bounds of the check, and real files that pass it."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from minimix.cli import cli
from minimix.cli.export import _text
from minimix.config import EngineConfig
from minimix.disk import file_sha256, record_sha256
from minimix.engines import open_engine, open_model
from minimix.engines.bundled import ADAPTER, fast_model
from minimix.errors import ConfigError, ModelError, OutputError
from minimix.mixture.tasks import read_examples, write_examples
from minimix.prompt import part_text, to_messages
from minimix.records import Sample, Task
from minimix.train import parity
from minimix.train.adapter import CONFIG, SETTINGS, WEIGHTS, check_plain, local_base, read_adapter
from minimix.train.base import base_folder
from minimix.train.convert import QUANTISED, write_lora_gguf
from minimix.train.converters import FILES, converters, unpack
from minimix.train.export import RECORD, Exported, export
from minimix.train.inputs import read_start
from minimix.train.job import ExportConfig
from minimix.train.ollama import modelfile
from minimix.train.parity import COARSE, EXACT, adapter_bound, compare, require

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = "{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] }}{% endfor %}"
LORA = {"peft_type": "LORA", "base_model_name_or_path": "bundled", "bias": "none"}
CHAT = to_messages(Task("qa", ("Q: What is a bond?\nA: A loan.", "Q: bond?\nA: It pays interest.")))


def write_adapter(folder: Path, *, weights: str = WEIGHTS, **settings: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**LORA, **settings}))
    (folder / weights).touch()
    return folder


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    return result.output


# What is refused


def test_a_folder_that_is_no_adapter_and_no_model_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    said = refused(tmp_path / "notes", "-o", tmp_path / "out")
    assert "expected an adapter (adapter_config.json) or a model (config.json)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_an_adapter_is_found_where_a_training_leaves_it(tmp_path):
    write_adapter(tmp_path / "sft" / "adapter")
    assert read_adapter(tmp_path / "sft").folder == tmp_path / "sft" / "adapter"
    assert read_adapter(tmp_path / "sft").base == "bundled"
    assert read_adapter(tmp_path / "sft", "other").base == "other"


def test_only_a_lora_in_safetensors_that_names_a_base_is_read(tmp_path):
    with pytest.raises(ModelError, match="expected a LoRA, found peft_type 'IA3'"):
        read_adapter(write_adapter(tmp_path / "a", peft_type="IA3"))
    with pytest.raises(ModelError, match=r"expected adapter_model\.safetensors"):
        read_adapter(write_adapter(tmp_path / "b", weights="adapter_model.bin"))
    with pytest.raises(ModelError, match="names no base; give one with --base"):
        read_adapter(write_adapter(tmp_path / "c", base_model_name_or_path=None))


@pytest.mark.parametrize(
    ("base", "options"), [("bundled", ""), ("owner/name", "--model BASE.gguf ")]
)
def test_an_adapter_is_used_on_the_base_that_it_was_made_for(tmp_path, base, options):
    told = _text(Exported((), (), "out.f16.gguf", "out.lora.gguf", base), tmp_path)
    assert f"minimix distill data.jsonl {options}--adapter {tmp_path}/out.lora.gguf\n" in told


@pytest.mark.parametrize(
    ("setting", "value"),
    [("use_dora", True), ("use_rslora", True), ("alpha_pattern", {"q_proj": 4}), ("bias", "all")],
)
def test_what_a_lora_in_gguf_cannot_say_is_refused_and_not_left_out(tmp_path, setting, value):
    adapter = read_adapter(write_adapter(tmp_path, **{setting: value}))
    with pytest.raises(ModelError, match=f"cannot hold {setting}; export the merged model alone"):
        check_plain(adapter)


def test_a_base_that_is_quantised_or_not_there_is_refused(tmp_path):
    (tmp_path / SETTINGS).write_text(json.dumps({"quantization_config": {"load_in_4bit": True}}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="is quantised, and merging or converting would keep its"):
        local_base(str(tmp_path))
    with pytest.raises(ModelError, match="base nowhere: no such folder"):
        local_base("nowhere")


def test_an_option_that_needs_an_adapter_is_refused_for_a_whole_model(tmp_path):
    (tmp_path / SETTINGS).write_text("{}")
    with pytest.raises(ConfigError, match="is a whole model, without an adapter; leave --lora out"):
        export(tmp_path, tmp_path / "out", ExportConfig(lora=True))


def test_an_output_folder_with_other_files_is_never_touched(tmp_path):
    source = write_adapter(tmp_path / "adapter")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert "holds other files" in refused(source, "-o", tmp_path / "out", "--overwrite")
    (tmp_path / "out" / RECORD).touch()
    assert "holds an export already; give" in refused(source, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_unknown_sort_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"expected one of q8_0, q6_k, .* found 'q9'"):
        ExportConfig(quantise=("q9",))


def test_sorts_have_the_numbers_of_the_llama_cpp_that_is_installed():
    import llama_cpp

    for sort, number in QUANTISED.items():
        assert getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{sort.upper()}") == number


# The converters that pip fetches


def sdist(path: Path, names: Sequence[str]) -> Path:
    """Write an archive like the source distribution, each file with its own name in it."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(f"llama_cpp_python-0.3.36/{name}")
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    return path


def test_only_what_converts_is_unpacked_and_nothing_outside(tmp_path):
    needed = [f"vendor/llama.cpp/{name}" for name in (*FILES, "conversion/a.py")]
    others = ["llama_cpp/llama.py", "vendor/llama.cpp/ggml.c", "vendor/llama.cpp/conversion/x.so"]
    outside = ["vendor/llama.cpp/conversion/../../../evil.py"]
    unpack(sdist(tmp_path / "x.tar.gz", [*needed, *others, *outside]), tmp_path / "out")
    found = sorted(f.relative_to(tmp_path) for f in tmp_path.rglob("*") if f.is_file())
    assert found == sorted(
        [*(Path("out", n) for n in (*FILES, "conversion/a.py")), Path("x.tar.gz")]
    )


def test_a_source_without_converters_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"expected vendor/llama\.cpp/LICENSE"):
        unpack(sdist(tmp_path / "x.tar.gz", ["setup.py"]), tmp_path / "out")
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match="not the source of llama-cpp-python"):
        unpack(tmp_path / "no.tar.gz", tmp_path / "out")


def test_another_source_than_the_pinned_one_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path))
    sdist(tmp_path / "llama_cpp_python-0.3.36.tar.gz", [f"vendor/llama.cpp/{n}" for n in FILES])
    with pytest.raises(ModelError, match="not the source distribution"):
        converters()
    assert [file.name for file in tmp_path.iterdir()] == ["llama_cpp_python-0.3.36.tar.gz"]


def test_without_a_network_one_line_says_what_to_fetch_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match=r"pip download .* -d ") as raised:
        converters()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


# The check


def test_parity_by_hand():
    expected = np.array([[0, 2, 0], [4, 0, 0]], dtype=np.float32)
    found = np.array([[0, 2, 1], [1, 3, 0]], dtype=np.float32)
    one = compare("f16", expected, found)
    assert (one.positions, one.agreed) == (2, 1)
    assert one.max_difference == 3
    assert one.mean_difference == pytest.approx(7 / 6)
    assert one.spread == pytest.approx(expected.std())
    assert str(one).startswith("f16: 1 of 2 tokens agree (50.0%), logits differ by 1.17 on average")


@pytest.mark.parametrize(
    ("agreed", "mean", "most", "passes"),
    [(98, 0.05, 2.5, True), (97, 0.05, 1, False), (98, 0.06, 1, False), (98, 0.05, 2.6, False)],
)
def test_each_bound_alone_refuses(agreed, mean, most, passes):
    one = parity.Parity("f16", 100, agreed, mean, most, spread=10)
    if passes:
        assert require(one, EXACT) is one
    else:
        with pytest.raises(ModelError, match=r"expected 98%, 0\.05 on average and 2\.5 at most"):
            require(one, EXACT)


def test_a_quantised_file_may_differ_but_not_be_another_model():
    assert require(parity.Parity("q4_0", 100, 75, 3, 30, spread=10), COARSE)
    with pytest.raises(ModelError, match="q4_0: 74 of 100 tokens agree"):
        require(parity.Parity("q4_0", 100, 74, 3, 30, spread=10), COARSE)


def test_a_number_that_is_none_is_refused():
    expected = np.array([[0, 1]], dtype=np.float32)
    broken = compare("f16", expected, np.array([[0, np.nan]], dtype=np.float32))
    with pytest.raises(ModelError, match="nan on average"):
        require(broken, EXACT)


@pytest.mark.parametrize(("moved", "allowed"), [(0.1, 0.03), (0.4, 0.04), (5.0, 0.05)])
def test_a_weak_adapter_is_held_to_what_it_changes(moved, allowed):
    base = parity.Parity("base", 100, 90, mean_difference=moved, max_difference=30, spread=10)
    assert adapter_bound(base).mean * base.spread == pytest.approx(allowed)


def test_the_tasks_of_the_check_are_rows_of_the_example():
    path = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    examples = read_examples(parity.TASKS)
    assert len(examples) == 6
    for example in examples:
        for part, place in zip(example.task.parts, example.sources, strict=True):
            row = rows[place.line - 1]
            assert part == part_text(Sample(row["instruction"], row["output"], ()))
            assert place.sha256 == record_sha256(row)


# Ollama


def test_a_chatml_template_is_written_out_for_ollama():
    text = modelfile("a.gguf", template=CHATML, end="<|im_end|>", temperature=0.7, context=2048)
    assert text.splitlines() == [
        "FROM ./a.gguf",
        'TEMPLATE """{{ if .System }}<|im_start|>system',
        "{{ .System }}<|im_end|>",
        '{{ end }}{{ range .Messages }}{{ if ne .Role "system" }}<|im_start|>{{ .Role }}',
        "{{ .Content }}<|im_end|>",
        "{{ end }}{{ end }}<|im_start|>assistant",
        '"""',
        'PARAMETER stop "<|im_end|>"',
        "PARAMETER temperature 0.7",
        "PARAMETER num_ctx 2048",
    ]


@pytest.mark.parametrize("template", [LLAMA, "{{ raise_exception('no system') }}"])
def test_another_template_is_left_to_ollama_and_that_is_said(template):
    text = modelfile("a.gguf", template=template, end="</s>", temperature=0, context=512)
    assert "TEMPLATE" not in text
    assert "is not ChatML" in text
    assert 'PARAMETER stop "</s>"' in text


# Real files


def tiny(kind: str, folder: Path) -> Path:
    """Write a model of two small layers, of random weights, with the bundled tokenizer."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(base_folder("bundled"))
    settings = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
        bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    getattr(transformers, f"{kind}ForCausalLM")(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def random_adapter(base: str, folder: Path, *, scale: float) -> Path:
    """Write a LoRA of random weights on every linear layer."""
    import peft
    import torch
    import transformers

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(base_folder(base))
    lora = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    torch.manual_seed(1)
    model = peft.get_peft_model(model, lora)
    for name, weights in model.named_parameters():
        weights.data *= scale if "lora_B" in name else 1
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny("Llama", tmp_path_factory.mktemp("tiny") / "base")


@pytest.mark.slow
def test_an_adapter_becomes_files_that_say_what_the_merged_model_says(llama, tmp_path):
    random_adapter(str(llama), tmp_path / "sft" / "adapter", scale=0.5)
    config = ExportConfig(quantise=("q8_0",), lora=True, ollama=True, threads=1)
    done = export(tmp_path / "sft", tmp_path / "out", config)
    top = {path.name for path in (tmp_path / "out").iterdir()}
    ggufs = {"out.f16.gguf", "out.q8_0.gguf", "out.lora.gguf"}
    assert top == {*ggufs, "model", "Modelfile", RECORD}
    assert {path.name for path in tmp_path.iterdir()} == {"sft", "out"}
    f16, q8_0, lora, moved = done.checks
    assert f16.mean_difference < 0.1 * moved.mean_difference
    assert lora.mean_difference < 0.1 * moved.mean_difference
    assert (q8_0.name, lora.name) == ("q8_0", "LoRA on base in f16")
    assert (tmp_path / "out" / "Modelfile").read_text().startswith("FROM ./out.q8_0.gguf\nTEMPLATE")
    for file in done.files:
        path = tmp_path / "out" / file.name
        assert (path.stat().st_size, file_sha256(path)) == (file.bytes, file.sha256)
    assert str(tmp_path).encode() not in (tmp_path / "out" / "out.lora.gguf").read_bytes()


@pytest.mark.slow
def test_a_whole_model_whose_file_is_no_longer_the_model_leaves_nothing(llama, tmp_path):
    said = refused(llama, "-o", tmp_path / "out", "--quantise", "q4_0", "--threads", 1)
    assert "q4_0: " in said  # random weights bear no rounding
    assert "expected 75% (--no-check exports it all the same)" in said
    assert list(tmp_path.iterdir()) == []
    done = export(llama, tmp_path / "out", ExportConfig(quantise=("q4_0",), check=False))
    assert [file.name for file in done.files] == ["out.f16.gguf", "out.q4_0.gguf"]
    assert (done.checks, done.main, done.lora) == ((), "out.q4_0.gguf", None)


@pytest.mark.slow
def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused_in_one_line(tmp_path):
    said = refused(tiny("Qwen2", tmp_path / "qwen"), "-o", tmp_path / "out")
    assert "BPE pre-tokenizer was not recognized" in said
    assert [path.name for path in tmp_path.iterdir()] == ["qwen"]


@pytest.mark.slow
@pytest.mark.slow
def test_the_distiller_that_ships_can_be_trained_on_and_is_the_same_when_written_again(tmp_path):
    start = read_start(Path("bundled"))
    assert (start.base, start.config["r"], start.config["lora_alpha"]) == ("bundled", 16, 32)
    written = tmp_path / ADAPTER.name
    write_lora_gguf(start.folder, start.base, written)
    assert written.read_bytes() == ADAPTER.read_bytes()


@pytest.mark.slow
def test_an_adapter_of_the_bundled_model_serves_on_the_bundled_file(tmp_path):
    source = random_adapter("bundled", tmp_path / "adapter", scale=0.1)
    write_examples(tmp_path / "tasks.jsonl", read_examples(parity.TASKS)[:1])
    config = ExportConfig(lora=True, tasks=str(tmp_path / "tasks.jsonl"), threads=1)
    done = export(source, tmp_path / "out", config)
    names = ["f16", "LoRA on base in f16", "LoRA on bundled Q4_0", "the base alone, to compare"]
    assert [check.name for check in done.checks] == names
    lora = tmp_path / "out" / str(done.lora)
    assert lora.stat().st_size < 4_000_000
    engine = open_engine(
        EngineConfig(adapter=str(lora), threads=1, parallel=1, max_new_tokens=16),
        candidates=1,
        seed=0,
    )
    assert "out.lora.gguf" in engine.name
    assert [answer.task for answer in engine.generate([CHAT])] == [0]
    with open_model(fast_model(), adapter=lora, gpu_layers=0) as model:
        assert model.adapter


def test_a_file_where_the_output_should_be_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="expected a folder, found a file"):
        export(write_adapter(tmp_path / "adapter"), tmp_path / "out", ExportConfig())
