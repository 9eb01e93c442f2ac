"""The output folder of a training: what made it, and the checkpoint from which it goes on."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minimix import __version__
from minimix.disk import atomic, locked, unwritable
from minimix.errors import ConfigError
from minimix.train.settings import TrainConfig
from minimix.train.watch import LOG, is_first

RECORD = "settings.json"
ADAPTER = "adapter"
LOCK = "lock"
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
FREE = frozenset(
    """max_steps num_train_epochs decay logging_steps save_steps save_total_limit eval_rows
    report_to watch_steps""".split()
)
"""Settings with which a run may go on differently: how long, and what is shown of it."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training left: `steps` in all, tasks used and left out, the last losses, the adapter.

    `eval_loss` is None without held-out tasks, `reward` (0..1) but for GRPO; `tokens` were trained
    on, prompts and answers together, 0 where nobody counted.
    """

    steps: int
    tasks: int
    left_out: int
    loss: float | None
    adapter: Path
    eval_loss: float | None = None
    reward: float | None = None
    tokens: int = 0


@contextmanager
def begin(
    folder: Path, config: TrainConfig, inputs: Mapping[str, str], *, restart: bool
) -> Iterator[Path | None]:
    """Keep the folder for one training; yield the checkpoint to go on from, None for a fresh start.

    `inputs` are hashes of what is read and what "auto" stood for, by name. Raises OutputError where
    another training is at work there, ConfigError where the checkpoints in `folder` were made
    otherwise, by what its record tells; `restart` removes them first.
    """
    with locked(folder / LOCK, folder) if is_first() else nullcontext():
        yield _begin(folder, config, inputs, restart=restart)


def _begin(
    folder: Path, config: TrainConfig, inputs: Mapping[str, str], *, restart: bool
) -> Path | None:
    """Return the checkpoint to go on from, and record the settings."""
    if restart and is_first():
        _clear(folder)
    last = last_checkpoint(folder)
    made = {**asdict(config), **inputs}
    if last:
        _compare(folder, made)
    if is_first():
        with atomic(folder / RECORD) as file:
            json.dump({"minimix": __version__, **made}, file, indent=1)
            file.write("\n")
    return last


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest checkpoint that was written whole, None for none."""
    found = _checkpoints(folder)
    whole = [path for path in found if (path / "trainer_state.json").exists()]
    return max(whole, key=_step, default=None)


def steps_done(checkpoint: Path | None) -> int:
    """Return the steps behind a checkpoint."""
    return _step(checkpoint) if checkpoint else 0


def _checkpoints(folder: Path) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return [path for path in paths if CHECKPOINT.fullmatch(path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def remove_checkpoints(folder: Path) -> None:
    """Remove what only a training that goes on needs; raises OutputError where it cannot."""
    try:
        for path in _checkpoints(folder):
            shutil.rmtree(path)
    except OSError as error:
        raise unwritable(folder, error) from error


def _clear(folder: Path) -> None:
    remove_checkpoints(folder)
    try:
        (folder / LOG).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _compare(folder: Path, made: Mapping[str, Any]) -> None:
    remedy = "use another --output, or --restart"
    try:
        before = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder}: has checkpoints but no readable {RECORD}; {remedy}"
        ) from error
    for name, value in made.items():
        if name not in FREE and before.get(name, value) != value:
            raise ConfigError(
                f"{folder}: its checkpoints were made with {name} {before.get(name)!r}, "
                f"found {value!r}; {remedy}"
            )
