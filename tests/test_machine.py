"""How a model runs on this machine: what is derived, what is tried, and how it is stopped."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from minimix.config import EngineConfig
from minimix.engines import open_engine, trial
from minimix.engines.bundled import ADAPTER, fast_model, packaged_model
from minimix.engines.llama import Batcher
from minimix.engines.machine import Machine, fitted, gpu_memory, layers, offloaded
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import Sampling
from minimix.engines.slots import shared_start
from minimix.engines.stopping import Stopping
from minimix.errors import ConfigError, ModelError
from minimix.prompt import to_messages
from minimix.records import Answer, Task
from minimix.threads import cores

GIB = 2**30
CHATS = [
    to_messages(Task("qa", parts))
    for parts in (
        ("Q: What is a bond?\nA: A bond is a loan to a firm.", "Q: bond?\nA: bonds pay interest."),
        ("Q: What is bread?\nA: Bread is baked dough.", "Q: bread\nA: it needs yeast and flour."),
        ("Q: Who was Ada?\nA: Ada Lovelace wrote code.", "Q: Ada who\nA: she was born in 1815."),
        ("Q: What is ice?\nA: Ice is frozen water, less dense.", "Q: ice?\nA: it floats."),
    )
]


def with_one_thread(**given: Any) -> Machine:
    usual = {"parallel": 8, "batch": 512, "flash_attention": False, "cache_type": "f16"}
    return Machine(threads=1, **{**usual, "exact": False, **given})


def write(model: LlamaModel, chats: Any, own: Machine, *, candidates: int = 2) -> list[Answer]:
    sampling = Sampling(candidates, temperature=0.7, top_p=0.95, seed=1)
    found = Batcher(model, sampling, own).run(chats, context=1024, new=40)
    return sorted(found, key=lambda answer: (answer.task, answer.candidate))


@pytest.fixture(scope="module")
def model():
    with LlamaModel(fast_model(), gpu_layers=0) as opened:
        yield opened


class Small:
    """A model of 10 values a token, trained on 100 tokens."""

    cache_values, trained_context, flash = 10, 100, False


# settings


def test_sequences_in_flight_follow_from_memory_and_the_cache_of_one(monkeypatch):
    def parallel(memory: int, **given: Any) -> int:
        monkeypatch.setattr("minimix.engines.machine._memory", lambda: memory)
        return fitted(EngineConfig(**given), Small()).parallel  # type: ignore[arg-type]

    sequence = 100 * 10 * 2  # bytes in f16
    assert parallel(4 * 6 * sequence) == 5  # a quarter holds six, one of them the shared start
    assert parallel(4 * 100 * sequence) == 16
    assert parallel(1) == 1
    assert parallel(4 * 6 * sequence, cache_type="q8_0") == 10
    assert parallel(1, parallel=7) == 7


def test_flash_attention_is_what_a_trial_says_unless_given():
    pays, costs = Small(), Small()
    pays.flash = True

    def chosen(one: Small, **given: Any) -> bool:
        return fitted(EngineConfig(**given), one).flash_attention  # type: ignore[arg-type]

    assert (chosen(pays), chosen(costs)) == (True, False)
    assert not chosen(pays, flash_attention="off")
    assert chosen(costs, flash_attention="on")
    assert chosen(costs, cache_type="q8_0")  # llama.cpp has no other way to such a cache


def test_a_setting_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="flash_attention: expected auto or on or off, found 1"):
        EngineConfig(flash_attention=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="q8_0 needs flash_attention, found off"):
        EngineConfig(cache_type="q8_0", flash_attention="off")


def test_processors_are_physical_cores_within_the_affinity(monkeypatch, tmp_path):
    for cpu, core in enumerate("0011"):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "core_id").write_text(f"{core}\n")
        (folder / "physical_package_id").write_text("0\n")
    monkeypatch.setattr("minimix.threads.TOPOLOGY", tmp_path)
    for allowed, count in (({0, 1, 2, 3}, 2), ({0, 1}, 1), ({1, 2}, 2), ({9}, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, own=allowed: own, raising=False)
        assert cores() <= count  # a cgroup may allow fewer
        assert cores() == 1 or count > 1


def test_a_gpu_takes_all_layers_that_its_memory_holds():
    assert layers(10 * GIB, 9, 0, 16 * GIB) == -1  # 1 GiB a layer: 14 would fit
    assert layers(10 * GIB, 9, 0, 8 * GIB) == 7
    assert layers(10 * GIB, 9, 10 * GIB, 8 * GIB) == 3  # the cache is on it too
    assert layers(10 * GIB, 9, 0, 0) == 0


@pytest.mark.slow
def test_what_a_small_gpu_cannot_hold_stays_on_the_cpu(model, monkeypatch):
    monkeypatch.setattr(model.c, "llama_supports_gpu_offload", lambda: True)
    usual = EngineConfig(parallel=1)
    for memory, found in ((4 * GIB, -1), (0, 0)):
        monkeypatch.setattr("minimix.engines.machine.gpu_memory", lambda _, own=memory: own)
        assert offloaded(model.path, usual) == found
    weights = model.path.stat().st_size
    monkeypatch.setattr("minimix.engines.machine.gpu_memory", lambda _: weights)
    assert 0 < offloaded(model.path, usual) < 30  # of 30 layers: the cache takes room too
    assert offloaded(model.path, EngineConfig(gpu_layers=7)) == 7


def test_no_gpu_is_found_where_llama_cpp_has_none(model):
    if model.c.llama_supports_gpu_offload():
        pytest.skip("this build of llama.cpp has a GPU")
    assert gpu_memory(model.c) == 0


# trials


@pytest.mark.slow
def test_a_trial_is_made_once_and_remembered(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path))
    path = fast_model()
    found = trial.tried(path, gpu_layers=0)
    (mark,) = (tmp_path / "trials").iterdir()
    seconds = json.loads(mark.read_text())
    assert found.flash == (seconds["on"] <= 0.9 * seconds["off"])
    monkeypatch.setattr(sys, "executable", "nothing that runs")
    assert trial.tried(path, gpu_layers=0) == found
    mark.write_text('{"off": 1.0, "on": 0.5}')
    assert trial.tried(path, gpu_layers=0).flash
    mark.write_text('{"off": 1.0, "on": null}')
    assert not trial.tried(path, gpu_layers=0).flash


@pytest.mark.slow
def test_a_crash_in_the_child_is_a_way_that_does_not_work(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path))
    path = fast_model()
    crashing = tmp_path / "python"
    crashing.write_text('#!/bin/sh\nif [ "$5" = 1 ]; then kill -SEGV $$; fi\n' + 'echo "{}"\n')
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    assert trial.tried(path, gpu_layers=0) == trial.Trial(repack=False, flash=False)
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    with pytest.raises(ModelError, match=r"llama\.cpp cannot run it here"):
        trial.tried(path, gpu_layers=1)


@pytest.mark.slow
def test_a_lora_is_tried_with_its_model_and_apart_from_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIMIX_CACHE", str(tmp_path))
    crashing = tmp_path / "python"
    crashing.write_text('#!/bin/sh\nif [ -n "$7" ]; then kill -SEGV $$; fi\n' + 'echo "{}"\n')
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    assert trial.tried(packaged_model(), gpu_layers=0) == trial.Trial(repack=True, flash=False)
    with pytest.raises(ModelError, match=rf" with .*{ADAPTER.name}: llama\.cpp cannot run it here"):
        trial.tried(packaged_model(), ADAPTER, gpu_layers=0)


@pytest.mark.slow
def test_every_setting_is_shown():
    engine = open_engine(EngineConfig(threads=1, flash_attention="on"), candidates=1, seed=0)
    shown = engine.settings
    assert shown["flash_attention"] is True
    assert {"threads", "parallel", "batch", "cache_type", "exact", "repack", "gpu_layers"} <= set(
        shown
    )


# what runs beside a chat


@pytest.mark.slow
def test_an_exact_answer_is_the_same_whatever_else_is_asked(model):
    own = with_one_thread(exact=True)
    together = write(model, CHATS, own)
    alone = [answer for chat in CHATS for answer in write(model, [chat], own)]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    turned = write(model, CHATS[::-1], own)
    assert {answer.text for answer in turned} == {answer.text for answer in together}


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"flash_attention": True}, {"batch": 64}, {"parallel": 1}])
def test_other_settings_answer_every_chat_too(model, given):
    found = write(model, CHATS, with_one_thread(**given))
    assert [(a.task, a.candidate) for a in found] == [(t, c) for t in range(4) for c in range(2)]
    assert all(answer.text for answer in found)


# stopping


def stopped(model: LlamaModel, which: signal.Signals) -> int:
    """Return how many of 512 tokens were read when a signal came 0.1 s into their decode."""
    batcher = Batcher(model, Sampling(1, 0.0, 1.0, 0), with_one_thread(parallel=1))
    batcher._open(768)
    for position in range(512):
        batcher.batch.put(100 + position, position, 1, wanted=False)
    late = threading.Timer(0.1, os.kill, (os.getpid(), which))
    late.start()
    try:
        batcher.batch.run()
    finally:
        late.join()
        read = int(batcher.c.llama_memory_seq_pos_max(batcher.memory, 1)) + 1
        batcher._close()
        assert read < 512
    return read


@pytest.fixture
def heard() -> Iterator[None]:
    """Let Ctrl-C be heard: in a shell's background it is ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.slow
@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_a_decode_before_it_is_done(model):
    with pytest.raises(KeyboardInterrupt):
        stopped(model, signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heard")
def test_a_signal_that_is_ignored_stays_so(model):
    batcher = Batcher(model, Sampling(1, 0.0, 1.0, 0), with_one_thread(parallel=1))
    batcher._open(256)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with batcher.batch.stopping.noted():
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    batcher._close()


@pytest.mark.slow
def test_sigterm_goes_its_usual_way_after_the_decode_is_left(model):
    came: list[int] = []
    usual = signal.signal(signal.SIGTERM, lambda which, _: came.append(which))
    try:
        with pytest.raises(ModelError, match=r"could not decode \(code 2\)"):
            stopped(model, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert came == [signal.SIGTERM]


def test_another_thread_leaves_signals_alone(model):
    batcher = Batcher(model, Sampling(1, 0.0, 1.0, 0), with_one_thread(parallel=1))
    batcher._open(256)
    stopping: Stopping = batcher.batch.stopping
    handlers: list[Any] = []

    def look() -> None:
        with stopping.noted():
            handlers.append(signal.getsignal(signal.SIGINT))

    other = threading.Thread(target=look)
    other.start()
    other.join()
    batcher._close()
    assert handlers == [signal.getsignal(signal.SIGINT)]


def decodes(model: LlamaModel, monkeypatch: Any) -> list[list[tuple[int, int]]]:
    """Note the sequence and the position of every token of every decode from now on."""
    noted: list[list[tuple[int, int]]] = []
    decode = model.c.llama_decode

    def note(context: Any, raw: Any) -> int:
        noted.append([(raw.seq_id[n][0], raw.pos[n]) for n in range(raw.n_tokens)])
        return int(decode(context, raw))

    monkeypatch.setattr(model.c, "llama_decode", note)
    return noted


def test_a_prompt_is_read_once_for_all_its_candidates(model, monkeypatch):
    noted = decodes(model, monkeypatch)
    found = write(model, CHATS[:2], with_one_thread(), candidates=4)
    assert len(found) == 8
    one, two = (model.prompt_ids(chat) for chat in CHATS[:2])
    shared = shared_start([one, two])
    reads = [len(batch) for batch in noted if len(batch) > 8]  # of 8 sequences one token each
    assert sum(reads) == len(one) + len(two) - shared


def test_one_decode_reads_of_one_prompt_and_no_more_than_a_batch(model, monkeypatch):
    noted = decodes(model, monkeypatch)
    write(model, CHATS, with_one_thread(batch=32))
    assert max(map(len, noted)) == 32
    for batch in noted:
        sequences = [sequence for sequence, _ in batch]
        assert len(set(sequences)) in (1, len(sequences))


def test_sequences_that_are_decoded_together_follow_each_other_in_number(model, monkeypatch):
    noted = decodes(model, monkeypatch)
    write(model, CHATS, with_one_thread(parallel=3))
    writing = [numbers for batch in noted if len(numbers := [seq for seq, _ in batch]) <= 3]
    assert {len(numbers) for numbers in writing} == {1, 2, 3}
    for numbers in writing:
        assert numbers == list(range(1, len(numbers) + 1))
