"""What a training is made from, by hash: a run goes on only where that is what it was."""

from pathlib import Path

from minimix.disk import file_sha256
from minimix.embed import Embedder
from minimix.errors import DataError, ModelError
from minimix.mixture.tasks import TRAIN
from minimix.rating import BUNDLED
from minimix.train import backends
from minimix.train.adapter import Adapter, check_plain, read_adapter
from minimix.train.shipped import DISTILLER, shipped_adapter


def tasks_hash(tasks: Path) -> dict[str, str]:
    """Return the hash of the tasks by name; raises DataError where there are none."""
    if not (tasks / TRAIN).is_file():
        raise DataError(f"{tasks}: expected a folder of tasks with {TRAIN}, found none")
    return {TRAIN: file_sha256(tasks / TRAIN)}


def rater_hash(rater: str) -> dict[str, str]:
    """Return the hash of a rater's file by name, nothing where there is no such file."""
    path = BUNDLED.get(rater, Path(rater))
    return {"rater file": file_sha256(path)} if path.is_file() else {}


def embedder_hash(embedder: Embedder) -> dict[str, str]:
    """Return the hash of an embedder's weights by name, nothing where it has none."""
    return {"embedder weights": embedder.sha256} if embedder.sha256 else {}


def read_start(folder: Path) -> Adapter:
    """Return the adapter that a training begins with: that in `folder`, or "bundled".

    Raises ModelError if it is no plain LoRA.
    """
    found = read_adapter(shipped_adapter() if folder == DISTILLER else folder)
    check_plain(found)
    modules = set(found.config.get("target_modules") or ())
    if modules != set(backends.LINEAR):
        raise ModelError(
            f"{folder}: expected a LoRA on {', '.join(backends.LINEAR)}, found one on "
            f"{', '.join(sorted(modules))}; make one with minimix train sft"
        )
    return found
