"""The arrow on Ray: the same bytes as in one process, whichever worker is lost on the way."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from minimix.columns import Columns
from minimix.config import LOCAL, RAY, STATIC, DistillConfig, EngineConfig
from minimix.engines import open_engine
from minimix.errors import ConfigError, DataError, FormatError, MissingExtraError, ModelError
from minimix.executors import open_executor, stages
from minimix.executors.stages import over_blocks, read_files
from minimix.pool import read_found
from minimix.progress import silent
from minimix.records import Models
from minimix.run import distill_file
from tests import fakes

pytestmark = pytest.mark.filterwarnings("ignore:::ray.*")  # it warns of itself
EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
SAME = ("train.jsonl", "provenance.jsonl", "dropped.jsonl", "README.md")
GOOD = json.dumps({"instruction": "Name a fruit.", "output": "An apple."})
CONFIG = DistillConfig(
    budget="6",
    mix=1.0,
    candidates=2,
    cohort=1,
    tries=1,
    embedder=STATIC,
    engine=EngineConfig(threads=1, parallel=4, max_new_tokens=32),
)


def here(opened, blocks, **_):
    """Work on blocks in this process, one after the other."""
    work = opened()
    for block in blocks:
        yield from work(block)


def folder_of(folder: Path, *files: str) -> str:
    folder.mkdir()
    for number, text in enumerate(files):
        (folder / f"{number}.jsonl").write_text(text)
    return str(folder)


# stages, wherever they are worked on


def test_a_folder_gives_what_it_gives_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "RECORDS", 2)
    source = folder_of(tmp_path / "data", "\n".join([GOOD] * 5), "oops", f"{GOOD}\n[]\n")
    found = list(read_files(here, source, Columns()))
    assert found == list(read_found(source, Columns()))
    assert [one.parsed is None for one in found] == [False] * 5 + [True, False, True]


def test_a_file_that_cannot_be_read_is_refused_in_its_turn(tmp_path):
    source = folder_of(tmp_path / "data", GOOD, "", GOOD)
    found = read_files(here, source, Columns())
    assert next(found).parsed
    with pytest.raises(FormatError, match=r"1\.jsonl: the file is empty"):
        next(found)
    assert len(list(islice(read_files(here, source, Columns()), 1))) == 1  # a limit ends before it


def test_texts_and_samples_come_out_row_for_row_of_their_blocks(monkeypatch):
    monkeypatch.setattr(stages, "STATIC_TEXTS", 2)
    monkeypatch.setattr(stages, "SAMPLES", 2)
    samples = fakes.near_rows(5)
    with open_executor(LOCAL) as alone:
        whole = alone.place(real_models(), CONFIG, silent)
    placed = over_blocks(here, real_models(), CONFIG, silent)
    texts = [sample.text for sample in samples]
    assert (placed.embed(texts) == whole.embed(texts)).all()
    assert (placed.rater.rate(samples) == whole.rater.rate(samples)).all()
    assert placed.embed([]).shape == whole.embed([]).shape
    assert placed.rater.rate([]).shape == (0,)


def real_models() -> Models:
    from minimix.embed import load_embedder
    from minimix.rating import open_rater

    engine = open_engine(EngineConfig(model="extract"), candidates=1, seed=0)
    return Models(
        embed=load_embedder(STATIC).embed, embedder="static", rater=open_rater(), engine=engine
    )


def test_a_worker_with_another_engine_is_refused_by_name():
    models = replace(real_models(), engine=replace(fakes.engine(), settings={"repack": True}))
    config = replace(CONFIG, engine=EngineConfig(model="extract"))
    cohorts = over_blocks(here, models, config, silent).engine.cohorts
    assert cohorts
    with pytest.raises(ModelError, match="repack is None there, True here"):
        next(cohorts([[[{"role": "user", "content": "x"}]]]))


def test_where_it_runs_is_no_part_of_what_a_run_is():
    assert replace(CONFIG, executor=RAY).flat() == CONFIG.flat()
    with pytest.raises(ConfigError, match="executor: expected local or ray, found 'spark'"):
        replace(CONFIG, executor="spark")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'minimix\[ray\]'"),
        open_executor(RAY),
    ):
        pass


# on a Ray of two workers


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def spread(ray):
    from minimix.executors.ray import cluster

    with cluster() as found:
        yield found
    assert ray.is_initialized()  # it was there before, so it is left


def noted(log: Path) -> list[str]:
    return sorted(log.read_text().split())


@pytest.mark.slow
def test_parts_come_in_the_order_of_the_blocks_and_what_is_opened_stays_open(spread, tmp_path):
    log = tmp_path / "log"

    def opened():
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")

        def work(block):
            time.sleep(0.3 * (block == 0))
            yield from (f"{block}a", f"{block}b")

        return work

    for _ in range(2):
        parts = list(spread(opened, range(5)))
        assert parts == [f"{block}{part}" for block in range(5) for part in "ab"]
    assert len(set(noted(log))) == len(noted(log)) <= 2


@pytest.mark.slow
def test_what_minimix_refuses_comes_out_as_it_is_and_a_bug_with_its_place(spread):
    def opened():
        def work(block):
            yield block
            if block == 1:
                raise DataError("row 7: no")
            yield 1 / (block - 3)

        return work

    parts = spread(opened, [0, 1, 2])
    assert list(islice(parts, 3)) == [0, -1 / 3, 1]
    with pytest.raises(DataError, match=r"^row 7: no$"):
        next(parts)
    with pytest.raises(Exception, match="ZeroDivisionError: division by zero"):
        list(spread(opened, [3]))


@pytest.mark.slow
def test_a_worker_that_is_lost_costs_its_block_alone(spread, tmp_path):
    log, mark = tmp_path / "log", tmp_path / "mark"

    def opened():
        def work(block):
            with log.open("a") as file:
                file.write(f"{block}\n")
            yield block * 10
            if block == 3 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield block * 10 + 1

        return work

    expected = [block * 10 + part for block in range(6) for part in (0, 1)]
    assert list(spread(opened, range(6))) == expected
    assert noted(log) == ["0", "1", "2", "3", "3", "4", "5"]


@pytest.mark.slow
def test_a_block_that_ends_every_worker_ends_the_run(spread):
    def opened():
        return lambda _: os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ModelError, match="a block was given up") as refused:
        list(spread(opened, [0]))
    assert "\n" not in str(refused.value)


def descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        status = Path(f"/proc/{pid}/status").read_text()
        pid = int(status.partition("PPid:")[2].split()[0])
    return pid == ancestor


def workers() -> Iterator[int]:
    """Yield the processes of our Ray that work on a block just now."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            busy = (folder / "cmdline").read_bytes().startswith(b"ray::MapBatches")
            if busy and descends(int(folder.name), os.getpid()):
                yield int(folder.name)
        except OSError:
            continue  # it has ended since


def kill_one_that_writes(journal: Path, killed: list[int]) -> None:
    """Kill a worker once two cohorts are written: it is at work on the third or later."""
    while not killed:
        written = journal.read_text().count("\n") if journal.exists() else 0
        for pid in workers() if written >= 2 else ():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            break
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="the worker to kill is found in /proc")
@pytest.mark.usefixtures("ray")
def test_a_run_on_ray_gives_the_bytes_of_one_in_process_though_a_worker_is_killed(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = EXAMPLE.read_text().splitlines()
    folder_of(tmp_path / "data", "\n".join(rows[:50]), "\n".join(rows[50:]))
    monkeypatch.chdir(tmp_path)  # names are relative, in the ledgers and for the workers
    distill_file("data", CONFIG, output=Path("one", "out"))
    for name in ("STATIC_TEXTS", "SAMPLES"):
        monkeypatch.setattr(stages, name, 32)
    journal, killed = Path("two", "out", "journal", "cohorts.jsonl"), list[int]()
    killer = threading.Thread(
        target=partial(kill_one_that_writes, journal.absolute(), killed), daemon=True
    )
    killer.start()
    distill_file("data", replace(CONFIG, executor=RAY), output=Path("two", "out"))
    assert killed
    assert contents(Path("two", "out")) == contents(Path("one", "out"))
    # and what was begun on Ray can be ended in process
    shutil.copytree(Path("two", "out", "journal"), Path("three", "out", "journal"))
    begun = Path("three", "out", "journal", "cohorts.jsonl")
    begun.write_text("".join(begun.read_text().splitlines(keepends=True)[:2]))
    distill_file("data", CONFIG, output=Path("three", "out"))
    assert contents(Path("three", "out")) == contents(Path("one", "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


@pytest.mark.slow
def test_a_worker_of_one_thread_embeds_by_the_transformer_to_the_same_bits(spread):
    from minimix.embed import load_embedder

    texts = [f"{'word ' * n}number {n}" for n in range(11)]
    (found,) = spread(partial(stages._embedder, "minilm"), [texts])
    assert np.array_equal(found, load_embedder().embed(texts))
