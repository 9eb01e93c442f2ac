"""An export under way: what is asked for, its steps in order, and the check at their end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minimix.config import BUNDLED, EngineConfig
from minimix.disk import atomic
from minimix.engines.bundled import fast_model
from minimix.errors import ConfigError, ModelError, brief
from minimix.mixture.tasks import read_examples
from minimix.threads import cores
from minimix.train import convert, parity
from minimix.train.adapter import UNREADABLE, Adapter, merge, quiet_transformers
from minimix.train.ollama import modelfile
from minimix.train.parity import Parity
from minimix.train.tokens import end_of_turn

MODELFILE = "Modelfile"
TASKS = 6
"""Tasks of a file that the check goes through."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is exported, and how.

    `base` overrules the one that the adapter names; `quantise` lists sorts of
    `minimix.train.convert.QUANTISED`; `tasks` is a file of tasks for the check, "" for our own;
    `check` says whether it is made; `threads` of 0 is what the machine allows.
    """

    base: str = ""
    quantise: tuple[str, ...] = ()
    lora: bool = False
    ollama: bool = False
    tasks: str = ""
    check: bool = True
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for a sort there is not."""
        for sort in self.quantise:
            if sort not in convert.QUANTISED:
                sorts = ", ".join(convert.QUANTISED)
                raise ConfigError(f"quantise: expected one of {sorts}, found {sort!r}")


@dataclass(frozen=True, slots=True)
class Job:
    """What goes into `folder` under `name`.

    `model` is the transformers folder that the GGUF is made of: the merged one, with an `adapter`
    and the folder of its `base`; without, the one that was given.
    """

    config: ExportConfig
    folder: Path
    name: str
    model: Path
    adapter: Adapter | None = None
    base: Path | None = None

    @property
    def f16(self) -> Path:
        """The GGUF that the quantised ones are made from."""
        return self.folder / f"{self.name}.f16.gguf"

    @property
    def quantised(self) -> dict[str, Path]:
        """The quantised files by their sort, in the order in which they were asked for."""
        return {sort: self.folder / f"{self.name}.{sort}.gguf" for sort in self.config.quantise}

    @property
    def main(self) -> Path:
        """The GGUF to serve: the first quantised one, or the one in f16."""
        return next(iter(self.quantised.values()), self.f16)

    @property
    def threads(self) -> int:
        """Threads that llama.cpp computes with."""
        return self.config.threads or cores()

    @property
    def lora(self) -> Path:
        """The adapter's GGUF."""
        return self.folder / f"{self.name}.lora.gguf"


def steps(job: Job, checks: list[Parity]) -> list[Callable[[], None]]:
    """Return what is to be done, in order; the last of it adds to `checks`."""
    made: list[Callable[[], None]] = []
    if job.adapter and job.base:
        made.append(partial(merge, job.adapter, job.base, job.model))
    made.append(partial(convert.to_gguf, job.model, job.f16, name=job.name))
    for sort, path in job.quantised.items():
        made.append(partial(convert.quantise, job.f16, path, sort, threads=job.threads))
    if job.adapter and job.config.lora:
        adapter = job.adapter
        made.append(partial(convert.write_lora_gguf, adapter.folder, adapter.base, job.lora))
    if job.config.ollama:
        made.append(partial(_write_modelfile, job))
    if job.config.check:
        made.append(lambda: checks.extend(_check(job)))
    return made


def _check(job: Job) -> Iterator[Parity]:
    """Yield how far each file is from the model; raises ModelError where it is not the model."""
    path = Path(job.config.tasks) if job.config.tasks else parity.TASKS
    texts = parity.read_texts(job.f16, _tokenizer(job.model), read_examples(path)[:TASKS])
    expected = parity.transformers_logits(job.model, texts)
    bounds = {"f16": parity.EXACT} | dict.fromkeys(job.quantised, parity.COARSE)
    for sort, file in {"f16": job.f16, **job.quantised}.items():
        found = parity.compare(sort, expected, parity.gguf_logits(file, texts, threads=job.threads))
        yield parity.require(found, bounds[sort])
    if job.config.lora and job.adapter and job.base:
        alone = parity.transformers_logits(job.base, texts)
        moved = parity.compare("the base alone, to compare", expected, alone)
        bound = parity.adapter_bound(moved)
        for name, base, limit in _bases(job, bound):
            logits = parity.gguf_logits(base, texts, threads=job.threads, adapter=job.lora)
            yield parity.require(parity.compare(f"LoRA on {name}", expected, logits), limit)
        yield moved


def _bases(job: Job, exact: parity.Bound) -> Iterator[tuple[str, Path, parity.Bound]]:
    """Yield the GGUFs of the base that the adapter is tried on, each with its bound.

    In f16 the adapter alone makes the difference; the bundled base is also tried as it is served.
    """
    if job.base and job.adapter:
        f16 = job.folder / ".base.gguf"
        convert.to_gguf(job.base, f16, name="base")
        yield "base in f16", f16, exact
        f16.unlink()
        if job.adapter.base == BUNDLED:
            yield "bundled Q4_0", fast_model(), parity.COARSE


def _tokenizer(folder: Path) -> Any:
    try:
        return quiet_transformers().AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UNREADABLE as error:
        raise ModelError(f"{folder}: its tokenizer cannot be read ({brief(error)})") from error


def _write_modelfile(job: Job) -> None:
    tokenizer, engine = _tokenizer(job.model), EngineConfig()
    end = tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer))
    text = modelfile(
        job.main.name,
        template=tokenizer.chat_template,
        end=end,
        temperature=engine.temperature,
        context=engine.context,
    )
    with atomic(job.folder / MODELFILE) as file:
        file.write(text)
