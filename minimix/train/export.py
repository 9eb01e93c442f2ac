"""From an adapter or a model in transformers to files that llama.cpp serves, each checked.

Everything is written beside the output folder and takes its name when all of it is there and the
check has passed: a folder that is there is whole.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from minimix import __version__
from minimix.disk import atomic, file_sha256
from minimix.errors import ConfigError, ModelError, OutputError
from minimix.progress import Progress, silent
from minimix.train.adapter import (
    CONFIG,
    SETTINGS,
    check_plain,
    check_unquantised,
    find_adapter,
    local_base,
    read_adapter,
)
from minimix.train.converters import SDISTS
from minimix.train.job import ExportConfig, Job, steps
from minimix.train.parity import Parity

MERGED = "model"
"""The folder of the merged model, in transformers' layout."""
RECORD = "export.json"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was written: its path below the folder, its bytes, their SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export left: `main` is the GGUF to serve, `lora` the adapter's or None.

    `base` is what the adapter sits on, None for a whole model.
    """

    files: tuple[File, ...]
    checks: tuple[Parity, ...]
    main: str
    lora: str | None
    base: str | None = None


def export(
    source: Path,
    output: Path,
    config: ExportConfig,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Export the adapter or model in `source` to `output`, and return what lies there.

    An earlier export there is replaced where `overwrite` says so, anything else never. Raises
    ModelError where the model cannot be merged, converted or run, or a file is not the model
    (nothing is left then), OutputError where `output` cannot be written.
    """
    source, output = source.resolve(), output.resolve()
    _check_free(output, overwrite=overwrite)
    with _staged(output) as folder:
        job = _job(source, folder, output.name, config)
        checks: list[Parity] = []
        for step in progress(steps(job, checks), "Exporting"):
            step()
        files = tuple(_files(folder))
        _record(job, source, files, checks)
    lora = job.lora.name if config.lora else None
    base = job.adapter.base if job.adapter else None
    return Exported(files, tuple(checks), job.main.name, lora, base)


def _check_free(output: Path, *, overwrite: bool) -> None:
    """Raise OutputError unless `output` is not there, empty, or an export that may be replaced."""
    if not output.exists():
        return
    if not output.is_dir():
        raise OutputError(f"{output}: expected a folder, found a file; give another --output")
    if not any(output.iterdir()):
        return
    if not (output / RECORD).is_file():
        raise OutputError(f"{output}: holds other files; give another --output")
    if not overwrite:
        raise OutputError(
            f"{output}: holds an export already; give another --output, or --overwrite"
        )


def _job(source: Path, folder: Path, name: str, config: ExportConfig) -> Job:
    """Return what is to be done with `source`; raises where that cannot be."""
    if find_adapter(source):
        adapter = read_adapter(source, config.base)
        if config.lora:
            check_plain(adapter)
        base = local_base(adapter.base)
        return Job(config, folder, name, folder / MERGED, adapter, base)
    if not (source / SETTINGS).is_file():
        raise ModelError(
            f"{source}: expected an adapter ({CONFIG}) or a model ({SETTINGS}), found neither"
        )
    if config.base or config.lora:
        option = "base" if config.base else "lora"
        raise ConfigError(f"{source}: is a whole model, without an adapter; leave --{option} out")
    check_unquantised(source)
    return Job(config, folder, name, source)


def _files(folder: Path) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            yield File(name, path.stat().st_size, file_sha256(path))


def _record(job: Job, source: Path, files: tuple[File, ...], checks: list[Parity]) -> None:
    """Write what was exported; it also marks the folder as one that may be replaced."""
    made = {
        "minimix": __version__,
        "source": source.name,
        "base": job.adapter.base if job.adapter else None,
        "settings": asdict(job.config),
        "converters_sha256": SDISTS,
        "files": [asdict(file) for file in files],
        "checks": [asdict(check) for check in checks],
    }
    with atomic(job.folder / RECORD) as file:
        json.dump(made, file, indent=1)
        file.write("\n")


@contextmanager
def _staged(output: Path) -> Iterator[Path]:
    """Yield an empty folder beside `output` that takes its name when all went well.

    Raises OutputError where the disk does not take it.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{output.name}.part-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=output.parent) as temporary:
            folder = Path(temporary, "new")
            folder.mkdir()
            yield folder
            if output.exists():
                output.rename(Path(temporary, "old"))  # goes with the rest of what is temporary
            folder.rename(output)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror or error})") from error
