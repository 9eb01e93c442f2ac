"""Where the files of MIXTURE are: on the hub, of which only what is needed is fetched, or here."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from minimix.errors import FormatError, brief
from minimix.extras import need
from minimix.files import HUB_ID, read_records
from minimix.kinds import Record
from minimix.mixture.hub.rows import KIND_NAMES, kind_of
from minimix.records import KINDS, Kind

T = TypeVar("T")
HUB_NAME = "dokiik/MIXTURE"
Stage = Literal["sft", "grpo"]
Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
ENDING = r"\.jsonl?(?:\.gz|\.zst)?"
FILES: Mapping[Stage, re.Pattern[str]] = {
    "sft": re.compile(rf"(?:.*/)?merged_(train|test)_([a-z]+)_noisy{ENDING}", re.IGNORECASE),
    "grpo": re.compile(rf"(?:.*/)?data_grpo/(train|test)(){ENDING}", re.IGNORECASE),
}
EXPECTED: Mapping[Stage, str] = {
    "sft": "data_sft/qa/merged_train_qa_noisy.json and the like",
    "grpo": "data_grpo/train.json",
}
Key = tuple[Part, Kind | None]
"""A part, and the kind that a file is of: None for a file of all kinds."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The files of one stage, by part and kind; `fetch` returns one as a path here.

    `revision` is the commit on the hub, "" for a folder.
    """

    source: str
    stage: Stage
    revision: str
    names: Mapping[Key, str]
    fetch: Callable[[str], Path]

    def rows(
        self, part: Part, kinds: Sequence[Kind] = KINDS
    ) -> Iterator[tuple[Kind | None, list[Record]]]:
        """Yield the rows of each of `kinds` in a part; those that name no kind come under None.

        Places name the file within the source.
        """
        every: tuple[Kind | None, ...] = (*kinds, None)
        for kind in every:
            name = self.names.get((part, kind))
            if name is None:
                continue
            records = list(self._read(name))
            own = [kind_of(record) for record in records] if kind is None else []
            if not own:
                yield kind, records
            for one in (one for one in every if one in own):
                yield one, [r for r, its in zip(records, own, strict=True) if its == one]

    def _read(self, name: str) -> Iterator[Record]:
        for record in read_records(str(self.fetch(name))):
            yield replace(record, place=replace(record.place, file=f"{self.source}/{name}"))


def locate(source: str, *, stage: Stage, revision: str = "") -> Layout:
    """Return where the files of a stage are: in a folder laid out like MIXTURE, or on the hub.

    Of the hub, at the commit that `revision` (a branch, tag or commit) means now. Raises
    FormatError where there are no such files, or the hub does not give them.
    """
    if Path(source).is_dir():
        layout = _in_folder(source, stage)
    elif HUB_ID.fullmatch(source) and not Path(source).exists():
        layout = _on_hub(source, stage, revision)
    else:
        raise FormatError(f"{source}: expected a folder laid out like {HUB_NAME}, or a hub id")
    if not any(part == "train" for part, _ in layout.names):
        raise FormatError(f"{source}: expected {EXPECTED[stage]}, found none such")
    return layout


def _in_folder(source: str, stage: Stage) -> Layout:
    folder = Path(source)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    base = folder.resolve().name  # SOURCE may be data_grpo itself
    found = _found([f"{base}/{file}" for file in files], stage)
    names = {key: name.removeprefix(f"{base}/") for key, name in found.items()}
    where = source.rstrip("/")
    return Layout(
        source=where, stage=stage, revision="", names=names, fetch=lambda name: folder / name
    )


def _on_hub(source: str, stage: Stage, revision: str) -> Layout:
    hub = need("huggingface_hub")

    def asked() -> Any:
        return hub.HfApi().dataset_info(source, revision=revision or None)

    info = _from_hub(source, asked)
    commit = str(info.sha)

    def fetch(name: str) -> Path:
        def got() -> str:
            path: str = hub.hf_hub_download(source, name, repo_type="dataset", revision=commit)
            return path

        return Path(_from_hub(f"{source}/{name}", got))

    names = _found([file.rfilename for file in info.siblings or ()], stage)
    return Layout(source=source, stage=stage, revision=commit, names=names, fetch=fetch)


def _from_hub(what: str, ask: Callable[[], T]) -> T:
    """Return what the hub says; raises FormatError where it gives nothing."""
    try:
        return ask()
    except (OSError, ValueError, need("httpx").HTTPError) as error:
        raise FormatError(
            f"{what}: not to be had from the hub ({type(error).__name__}: {brief(error)}); "
            "download the data set elsewhere and give its folder instead"
        ) from error


def _found(names: Sequence[str], stage: Stage) -> dict[Key, str]:
    """Return the file of each part and kind, the first in order of names."""
    found: dict[Key, str] = {}
    for name in sorted(names):
        match = FILES[stage].fullmatch(name)
        kind = KIND_NAMES.get(match[2].lower()) if match else None
        if match and (kind or not match[2]):
            part: Part = "test" if match[1].lower() == "test" else "train"
            found.setdefault((part, kind), name)
    return found
