"""Continuous batching over llama.cpp: many sequences in one context, one prefill per prompt.

Sequence 0 holds the start that all prompts share. A slot is one further sequence: it copies the
start, reads the rest of a prompt, and writes a candidate. The other candidates of that prompt
fork from it; when one ends, its slot goes back to the end of the prompt and writes the next.
"""

import ctypes
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minimix.engines.batch import Batch
from minimix.engines.machine import CACHE_TYPES, Machine
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import Sampling
from minimix.engines.slots import Job, Slot, shared_start
from minimix.errors import ModelError
from minimix.prompt import STOPS
from minimix.records import Answer, Finish, Messages

CONTEXT_STEP = 256
FLASH_OFF, FLASH_ON = 0, 1
TAIL = max(map(len, STOPS))
STOP_BYTES = tuple(stop.encode() for stop in STOPS)


class Batcher:
    """Generates for one list of chats at a time, from a clean context each time."""

    def __init__(self, model: LlamaModel, sampling: Sampling, machine: Machine) -> None:
        """Keep what every context is made with.

        What is exact has its own context for each chat, with room for its candidates.
        """
        self.model, self.c, self.sampling, self.machine = model, model.c, sampling, machine
        alone = min(machine.parallel, sampling.candidates)
        self.parallel = alone if machine.exact else machine.parallel
        self.context: Any = None
        self.batch: Any = None

    def run(self, chats: Sequence[Messages], *, context: int, new: int) -> Iterator[Answer]:
        """Yield every candidate of every chat as it ends.

        `context` bounds prompt and answer of one sequence, `new` the answer, in tokens. An answer
        never gets longer than its prompt: a fusion is no longer than what it fuses. A prompt that
        leaves no room is refused before anything is decoded.
        """
        jobs = []
        for task, chat in enumerate(chats):
            ids = self.model.prompt_ids(chat)
            room = context - len(ids)
            if room < min(new, len(ids)):
                note = f"a prompt of {len(ids)} tokens does not fit a context of {context}"
                for candidate in range(self.sampling.candidates):
                    yield Answer(task, candidate, "", "refused", note)
            else:
                key, held = repr(ids).encode(), self.sampling.held_to(chat)
                jobs.append(Job(task, ids, min(new, len(ids)), key=key, held=held))
        if not jobs:
            return
        for together in [[job] for job in jobs] if self.machine.exact else [jobs]:
            longest = max(len(job.ids) + job.limit for job in together)
            self._open(-(-longest // CONTEXT_STEP) * CONTEXT_STEP)
            try:
                yield from self._generate(together)
            finally:
                self._close()

    def _open(self, context: int) -> None:
        c = self.c
        params = c.llama_context_default_params()
        params.n_seq_max = self.parallel + 1
        params.n_ctx = context * params.n_seq_max
        params.n_batch = params.n_ubatch = self.machine.batch
        params.n_threads = params.n_threads_batch = self.machine.threads
        params.flash_attn_type = FLASH_ON if self.machine.flash_attention else FLASH_OFF
        params.type_k = params.type_v = CACHE_TYPES[self.machine.cache_type][0]
        params.kv_unified, params.no_perf = False, True
        self.context = c.llama_init_from_model(self.model.pointer, params)
        if not self.context:
            raise ModelError(
                f"{self.model.path}: no memory for {self.parallel} sequences of {context} tokens; "
                "give a smaller --parallel or --context"
            )
        if self.model.adapter:
            adapters = (c.llama_adapter_lora_p_ctypes * 1)(self.model.adapter)
            c.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(1.0))
        self.memory = c.llama_get_memory(self.context)
        self.batch = Batch(self.model, self.context, self.machine.batch)

    def _close(self) -> None:
        self.batch.free()
        self.c.llama_free(self.context)
        self.context = self.batch = None

    def _generate(self, jobs: list[Job]) -> Iterator[Answer]:
        shared = shared_start([job.ids for job in jobs])
        self._read_shared(jobs[0].ids[:shared])
        waiting = deque(sorted(jobs, key=lambda job: (-len(job.ids), job.task)))
        slots: dict[int, Slot] = {}
        while True:
            self._fill(slots, waiting, shared)
            ended = [(slot, self._take(slot)) for slot in list(slots.values()) if slot.fresh]
            for slot, finish in ended:
                if finish:
                    text = slot.text.decode("utf-8", "replace")
                    yield Answer(slot.job.task, slot.candidate, text, finish)
                    self._end(slot, slots)
            if any(finish for _, finish in ended):
                continue
            if not slots:
                return
            self._decode([slots[seq] for seq in sorted(slots)])

    def _fill(self, slots: dict[int, Slot], waiting: deque[Job], shared: int) -> None:
        """Give free sequences to candidates whose prompt is read, then to prompts that wait."""
        for seq in [seq for seq in range(1, self.parallel + 1) if seq not in slots]:
            parent = next((slot for slot in slots.values() if self._forks(slot)), None)
            if parent:
                self.c.llama_memory_seq_cp(self.memory, parent.seq, seq, -1, -1)
                self._begin(Slot(seq, parent.job, -1), slots)
            elif waiting:
                job = waiting.popleft()
                job.begun = 1
                self.c.llama_memory_seq_cp(self.memory, 0, seq, -1, -1)
                slots[seq] = Slot(seq, job, 0, todo=job.ids[shared:], position=shared)
        self._close_up(slots)

    def _close_up(self, slots: dict[int, Slot]) -> None:
        """Move the last sequences into gaps: llama.cpp parts a batch where a number is missing."""
        for gap in [seq for seq in range(1, len(slots) + 1) if seq not in slots]:
            slot = slots.pop(max(slots))
            self.c.llama_memory_seq_cp(self.memory, slot.seq, gap, -1, -1)
            self.c.llama_memory_seq_rm(self.memory, slot.seq, -1, -1)
            slot.seq, slots[gap] = gap, slot

    def _forks(self, slot: Slot) -> bool:
        return slot.job.logits is not None and slot.job.begun < self.sampling.candidates

    def _begin(self, slot: Slot, slots: dict[int, Slot]) -> None:
        """Put a sequence that holds the prompt at its end and draw the next candidate's token."""
        job = slot.job
        slot.candidate, slot.position = job.begun, len(job.ids)
        job.begun += 1
        self.c.llama_memory_seq_rm(self.memory, slot.seq, len(job.ids), -1)
        slot.picker = self.sampling.picker(self.model, job.key, slot.candidate, held=job.held)
        if job.logits is not None:
            slot.last, slot.fresh = slot.picker.pick_from(job.logits), True
        slots[slot.seq] = slot

    def _end(self, slot: Slot, slots: dict[int, Slot]) -> None:
        if slot.picker:
            slot.picker.free()
        del slots[slot.seq]
        if self._forks(slot):
            self._begin(Slot(slot.seq, slot.job, -1), slots)
        else:
            self.c.llama_memory_seq_rm(self.memory, slot.seq, -1, -1)

    def _take(self, slot: Slot) -> Finish | None:
        """Add the token just picked to a slot's text; return how it ended, None to go on."""
        slot.fresh = False
        if self.model.ends(slot.last):
            return "stop"
        slot.text += self.model.piece(slot.last)
        slot.written += 1
        tail = slot.text[-2 * TAIL :]
        stops = [stop for stop in STOP_BYTES if stop in tail]
        if stops:
            end = slot.text.rindex(stops[0]) + len(stops[0])
            del slot.text[end:]
            return "stop"
        return "length" if slot.written >= slot.job.limit else None

    def _read_shared(self, ids: list[int]) -> None:
        size = self.machine.batch
        for start in range(0, len(ids), size):
            self.batch.clear()
            for position, token in enumerate(ids[start : start + size], start):
                self.batch.put(token, position, 0, wanted=False)
            self.batch.run()

    def _decode(self, slots: list[Slot]) -> None:
        """Run one batch: as much of one prompt as fits, or else a token of every slot.

        llama.cpp parts a batch until each part has as many tokens of each of its sequences, and
        these follow each other in number. Prompts of several lengths, a prompt beside single
        tokens, and sequences in another order would all make parts too small to be fast.
        """
        self.batch.clear()
        reading = next((slot for slot in slots if slot.todo), None)
        if reading:
            outputs = self._read(reading)
        else:
            outputs = [(slot, self._put(slot, slot.last, wanted=True)) for slot in slots]
        self.batch.run()
        for slot, index in outputs:
            self._pick(slot, index)

    def _read(self, slot: Slot) -> list[tuple[Slot, int]]:
        size = self.machine.batch
        chunk, slot.todo = slot.todo[:size], slot.todo[size:]
        index, last = -1, len(slot.job.ids) - 1
        for token in chunk:
            index = self._put(slot, token, wanted=slot.position == last)
        return [] if slot.todo else [(slot, index)]

    def _put(self, slot: Slot, token: int, *, wanted: bool) -> int:
        slot.position += 1
        return int(self.batch.put(token, slot.position - 1, slot.seq, wanted=wanted))

    def _pick(self, slot: Slot, index: int) -> None:
        if slot.picker is None:
            job = slot.job
            slot.picker = self.sampling.picker(self.model, job.key, slot.candidate, held=job.held)
            logits = self.c.llama_get_logits_ith(self.context, index)
            job.logits = np.ctypeslib.as_array(logits, (self.model.vocabulary,)).copy()
        slot.last = slot.picker.pick(self.context, index)
        slot.fresh = True
