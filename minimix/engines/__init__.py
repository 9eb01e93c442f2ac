"""Engines: what generates, each one a `Generate`. `open_engine` picks by the settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minimix.config import BUNDLED, EXTRACT, EngineConfig
from minimix.disk import file_sha256
from minimix.engines.bundled import ADAPTER, NAME, SHA256, fast_model
from minimix.engines.extract import extractive
from minimix.engines.llama import Batcher
from minimix.engines.machine import fitted, offloaded
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import Sampling
from minimix.engines.server import connect
from minimix.engines.sound import check_adapter, check_model
from minimix.engines.trial import tried
from minimix.errors import ConfigError, ModelError, brief
from minimix.extras import need
from minimix.files import HUB_ID
from minimix.records import Engine

SERVER_PARALLEL = 8
COMMIT = re.compile("[0-9a-f]{40}")


def open_engine(
    config: EngineConfig,
    *,
    candidates: int,
    seed: int,
    adapted: bool = True,
    schema: Mapping[str, Any] | None = None,
    greedy_first: bool = True,
) -> Engine:
    """Return the engine that the settings name, with `candidates` answers a chat.

    The first of them is greedy, or drawn like the others where not `greedy_first`.
    Not `adapted`, the bundled model comes as it is, without the LoRA that makes it a distiller.
    Answers are held to the JSON `schema`, where one is given: by a grammar here, by a server as far
    as it can. Raises ModelError where the model cannot be found, read or run here, ConfigError
    where a schema is asked of what writes no JSON, or a grammar of what does not run here.
    """
    sampling = Sampling(
        candidates,
        config.temperature,
        config.top_p,
        seed,
        schema=schema,
        greedy_first=greedy_first,
        min_p=config.min_p,
        repetition_penalty=config.repetition_penalty,
        grammar=config.grammar,
    )
    if config.grammar and (config.base_url or config.model == EXTRACT):
        found = "a server" if config.base_url else repr(EXTRACT)
        raise ConfigError(f"grammar: expected a model that runs here, found {found}; leave it off")
    if config.base_url:
        name = "" if config.model == BUNDLED else config.model
        parallel = config.parallel or SERVER_PARALLEL
        new = config.max_new_tokens
        return connect(config.base_url, name, sampling=sampling, new=new, parallel=parallel)
    if config.model == EXTRACT:
        if schema:
            raise ConfigError(f"model: expected a GGUF or a server, found {EXTRACT!r}: no JSON")
        return extractive()
    bundled = config.model == BUNDLED
    path = fast_model() if bundled else find_model(config.model)
    own = ADAPTER if bundled and adapted else None
    adapter = find_model(config.adapter) if config.adapter else own
    model = open_model(path, adapter=adapter, gpu_layers=offloaded(path, config))
    machine = fitted(config, model)
    batcher = Batcher(model, sampling, machine)
    context = min(config.context, model.trained_context)
    adapter_sha256 = file_sha256(adapter) if adapter else None
    lora = f" with {adapter.name} {adapter_sha256:.12}" if adapter else ""
    return Engine(
        lambda chats: batcher.run(chats, context=context, new=config.max_new_tokens),
        name=f"{NAME} (bundled, Q4_0){lora}" if bundled else f"{path.name}{lora}",
        sha256=SHA256 if bundled else file_sha256(path),
        count=lambda chat: len(model.prompt_ids(chat)),
        settings={
            **machine.settings(),
            "gpu_layers": model.gpu_layers,
            "context": context,
            "repack": model.repack,
            "adapter_sha256": adapter_sha256,
            **({"revision": revision_of(path)} if revision_of(path) else {}),
        },
    )


def open_model(path: Path, *, adapter: Path | None = None, gpu_layers: int) -> LlamaModel:
    """Return the model at `path`, in the way that a trial has shown to be the best here.

    Raises ModelError where it cannot be read, or there is no such way.
    """
    check_model(path)
    if adapter:
        check_adapter(adapter)
    found = tried(path, adapter, gpu_layers=gpu_layers)
    return LlamaModel(
        path, adapter=adapter, gpu_layers=gpu_layers, repack=found.repack, flash=found.flash
    )


def find_model(name: str) -> Path:
    """Return the GGUF file at a path, or of a hub repository `owner/repo[@revision][:file]`.

    Raises ModelError where there is none, or several and none is named.
    """
    path = Path(name)
    named = HUB_ID.fullmatch(name)
    if path.exists() or not named or (name.endswith(".gguf") and ":" not in name):
        if path.is_file():
            return path
        raise ModelError(f"{name}: expected a GGUF file or owner/repo[:file], found none there")
    hub: Any = need("huggingface_hub")
    repo, revision, file = named.groups()
    try:
        file = file or _only_gguf(repo, hub.list_repo_files(repo, revision=revision))
        return Path(hub.hf_hub_download(repo, file, revision=revision))
    except (OSError, ValueError, need("httpx").HTTPError) as error:
        reason = brief(error)
        raise ModelError(
            f"{name}: not a file, and not to be had from the hub ({reason})"
        ) from error


def revision_of(path: Path) -> str:
    """Return the commit that a file was fetched of from the hub, "" for one from elsewhere."""
    where = path.parts
    fetched = "snapshots" in where and where[where.index("snapshots") + 1]
    return fetched if fetched and COMMIT.fullmatch(fetched) else ""


def _only_gguf(repo: str, files: list[str]) -> str:
    found = sorted(file for file in files if file.endswith(".gguf"))
    if len(found) != 1:
        names = ", ".join(found[:8]) or "none"
        raise ModelError(f"{repo}: expected one GGUF file, found {names}; name it: {repo}:FILE")
    return found[0]
