"""One function for each way into minimix: any bytes end as a value or as a MinimixError.

A target is given bytes, and raises what the code under it raises, but for MinimixError, which is
how minimix refuses. Its seeds are small inputs of the real form, from which a fuzzer begins.
"""

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import httpx

from minimix.audit import audit
from minimix.columns import Columns
from minimix.config import DistillConfig, read_yaml
from minimix.engines.endpoint import Endpoint
from minimix.engines.forms import Forms
from minimix.engines.received import received
from minimix.engines.sound import check_adapter, check_model
from minimix.errors import MinimixError
from minimix.files import read_records
from minimix.formats import SHAPES, write_row
from minimix.journal import FOLDER, open_journal
from minimix.kinds import Record, record
from minimix.ledger import drop, read_ledger
from minimix.mend import mended
from minimix.mixture.hub.rows import kind_of, to_example
from minimix.mixture.tasks import read_examples, target, to_sources
from minimix.parse import as_read, parse
from minimix.pool import find
from minimix.rating.llm import read_reply
from minimix.rating.store import load
from minimix.records import KINDS, Dropped, Place, Sample, Task
from minimix.report import DATA, remake
from minimix.rows import rows_of
from minimix.spool import record_writer, sample_writer
from minimix.template import render
from tests.fuzz import seeds
from tests.fuzz.values import value_of

Run = Callable[[bytes], None]
MEMORY = Path("/dev/shm")
HERE = Path(mkdtemp(prefix="minimix-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
"""Where inputs that have to be files lie: in memory, where the system has that."""
CHAT = [{"role": "system", "content": "\x020\x03"}, {"role": "user", "content": "\x021\x03"}]
COLUMNS = Columns()
SOURCE = Sample("Name a moon.", "Io is a moon of Jupiter, 3,643 km wide.", (Place("f", 1, 0, ""),))


@dataclass(frozen=True)
class Target:
    """A way in, and the inputs that a fuzzer starts from."""

    run: Run
    seeds: Sequence[bytes]


def _use(one: Record) -> None:
    """Do with a record what a run does: keep it, make samples of it, and write these again."""
    records, samples = record_writer(HERE), sample_writer(HERE)
    records.add(one)
    assert records.spool()[0].place == one.place
    found = find(one, COLUMNS)
    for sample in found.parsed.samples if found.parsed else ():
        samples.add(sample)
        sample.id.encode()
        for shape in SHAPES:
            write_row(sample, shape)
    list(samples.spool())
    drop(Dropped(one.place, "read", found.problem))
    example = to_example(one, kind_of(one))
    if not isinstance(example, str):
        target(example)
        to_sources(example.task)


def _file(name: str) -> Run:
    """Return the target for a file of this name."""
    path = HERE / name

    def run(data: bytes) -> None:
        path.write_bytes(data)
        for one in read_records(str(path), folder=HERE):
            find(one, COLUMNS)

    return run


def stdin(data: bytes) -> None:
    """Read bytes that have no name."""
    before: Any = sys.stdin
    sys.stdin = SimpleNamespace(buffer=io.BytesIO(data))
    try:
        for one in read_records("-", folder=HERE):
            find(one, COLUMNS)
    finally:
        sys.stdin = before


def shapes(data: bytes) -> None:
    """Read a row built of the fields that shapes are told by."""
    _use(record("f", 1, value_of(data)))


def rows(data: bytes) -> None:
    """Read rows that a caller has at hand, numpy's and endless numbers among them."""
    for one in rows_of([value_of(data, at_hand=True)]).records():
        _use(one)


def draft(data: bytes) -> None:
    """Read what a model wrote, as every kind, and audit it."""
    text = data.decode("utf-8", "replace")
    for kind in KINDS:
        for think in (False, True):
            asked = Task(kind, ("x",), think=think)
            found = parse(asked, mended(asked, text))
            as_read(found, kind)
    audit(found, [SOURCE])
    to_sources(Task("qa", (text,)))


def reply(data: bytes) -> None:
    """Read an LLM's rating."""
    read_reply(data.decode("utf-8", "replace"))


def journal(data: bytes) -> None:
    """Resume a run: the first line is how it was started, the others are its cohorts."""
    run, _, cohorts = data.partition(b"\n")
    output = HERE / "run"
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    (output / FOLDER / "run.json").write_bytes(run)
    (output / FOLDER / "cohorts.jsonl").write_bytes(cohorts)
    with open_journal(output, restart=False) as opened:
        list(opened.engine_settings.items())
        str(opened.embedder).encode("utf-8", "replace")
        for number in range(3):
            for answer in opened.answers(number, seeds.CHATS) or ():
                parse(Task("qa", ("x",)), answer.text)
        opened.begin({"settings": {"seed": 42}, "engine": {}})


def ledger(data: bytes) -> None:
    """Read the ledger of an earlier run."""
    path = HERE / "provenance.jsonl"
    path.write_bytes(data)
    list(read_ledger(path))


def gguf(data: bytes) -> None:
    """Read the header of a model, and of a LoRA."""
    path = HERE / "model.gguf"
    path.write_bytes(data)
    for check in (check_model, check_adapter):
        with suppress(MinimixError):
            check(path)


def template(data: bytes) -> None:
    """Render a chat template that somebody wrote."""
    render(CHAT, data.decode("utf-8", "replace"), ("<s>", "</s>"))


def settings(data: bytes) -> None:
    """Read settings."""
    path = HERE / "config.yaml"
    path.write_bytes(data)
    DistillConfig().with_settings(read_yaml(path)).flat()


def rater(data: bytes) -> None:
    """Read a rater from disk: as bytes, and built of arrays and a text."""
    path = HERE / "rater.npz"
    path.write_bytes(seeds.archive(data) if data[:2] != b"PK" else data)
    load(path)


def server(data: bytes) -> None:
    """Read a server's answers: the first line is status and headers, the rest the body."""
    head, _, body = data.partition(b"\n")
    status, *fields = head.split(b"|")
    number = int(status) if status.isdigit() and 200 <= int(status[:4]) < 600 else 200
    headers = [tuple(field.split(b"=", 1)) for field in fields if field.count(b"=")]
    answers = httpx.MockTransport(
        lambda _: httpx.Response(number, headers=headers, stream=httpx.ByteStream(body))  # type: ignore[arg-type]
    )
    address = "http://localhost/"
    endpoint = Endpoint(address)
    with httpx.Client(transport=answers, base_url=address) as client:
        for forms in (Forms(None), Forms({"type": "object"})):
            with suppress(MinimixError):
                endpoint.post(client, {}, forms).text.encode()
        with suppress(MinimixError, httpx.RequestError):
            endpoint.models(received(client, "GET", "models"))


def page(data: bytes) -> None:
    """Make the report of an earlier run again: of bytes, and of one in which a value is another."""
    (HERE / DATA).write_bytes(data if data[:1] in b"{" else seeds.changed_page(data))
    remake(HERE).read_text(encoding="utf-8")


def examples(data: bytes) -> None:
    """Read tasks with known good fusions."""
    path = HERE / "train.jsonl"
    path.write_bytes(data)
    for example in read_examples(path):
        parse(example.task, target(example))
        to_sources(example.task)


TARGETS: dict[str, Target] = {
    **{name: Target(_file(name), given) for name, given in seeds.FILES.items()},
    "stdin": Target(stdin, [data for given in seeds.FILES.values() for data in given]),
    "shapes": Target(shapes, seeds.VALUES),
    "rows": Target(rows, seeds.VALUES),
    "draft": Target(draft, seeds.DRAFTS),
    "reply": Target(reply, seeds.REPLIES),
    "journal": Target(journal, seeds.JOURNALS),
    "ledger": Target(ledger, seeds.FILES["data.jsonl"]),
    "gguf": Target(gguf, seeds.HEADERS),
    "template": Target(template, seeds.TEMPLATES),
    "settings": Target(settings, seeds.SETTINGS),
    "rater": Target(rater, seeds.RATERS),
    "server": Target(server, seeds.ANSWERS),
    "report": Target(page, seeds.REPORTS),
    "examples": Target(examples, seeds.EXAMPLES),
}
"""Every way into minimix by name."""


def attempt(run: Run, data: bytes) -> None:
    """Run a target on an input; a MinimixError is an answer, if it is one line."""
    try:
        run(data)
    except MinimixError as error:
        lines = str(error).splitlines()
        if len(lines) != 1:
            raise AssertionError(f"expected one line, found {lines!r}") from error
