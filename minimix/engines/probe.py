"""`python -m minimix.engines.probe FILE REPACK LAYERS [LORA]`: a few decodes in a child, timed.

A crash inside llama.cpp stays here. The last line of stdout is JSON: the seconds that they took
without flash attention and with it, null where llama.cpp refuses it.
"""

import json
import sys
import time
from pathlib import Path

from minimix.engines.llama import Batcher
from minimix.engines.machine import Machine
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import Sampling
from minimix.errors import ModelError
from minimix.records import Messages
from minimix.threads import cores

WORDS, CANDIDATES, TOKENS = 240, 8, 8
"""About what one cluster is: a prompt that is read once, and several answers side by side."""
QUICK_S = 3.0
"""What takes no longer is timed a second time, and the better time counts."""


def seconds(model: LlamaModel, *, flash: bool) -> float | None:
    """Return how long a prompt and the first tokens of its answers take, None where refused.

    On a CPU that is computing time: another process at work must not decide anything.
    """
    clock = time.perf_counter if model.gpu_layers else time.process_time
    sampling = Sampling(candidates=CANDIDATES, temperature=1.0, top_p=1.0, seed=0)
    machine = Machine(
        threads=cores(),
        parallel=CANDIDATES,
        batch=512,
        flash_attention=flash,
        cache_type="f16",
        exact=False,
    )
    batcher = Batcher(model, sampling, machine)
    chat: Messages = [{"role": "user", "content": "yes " * WORDS}]
    start = clock()
    try:
        list(batcher.run([chat], context=512, new=TOKENS))
    except ModelError:
        if not flash:
            raise
        return None
    return clock() - start


def main() -> None:
    """Time the model named on the command line."""
    path, repack, gpu_layers, *adapters = sys.argv[1:]
    with LlamaModel(
        Path(path),
        adapter=next(map(Path, adapters), None),
        repack=repack == "1",
        gpu_layers=int(gpu_layers),
    ) as model:
        seconds(model, flash=False)  # the first decode also reads the file
        off, on = seconds(model, flash=False), seconds(model, flash=True)
        if off is not None and on is not None and max(off, on) < QUICK_S:
            off = min(off, seconds(model, flash=False) or off)
            on = min(on, seconds(model, flash=True) or on)
    sys.stdout.write(json.dumps({"off": off, "on": on}) + "\n")


if __name__ == "__main__":
    main()
