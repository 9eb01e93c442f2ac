"""Ctrl-C and SIGTERM while llama.cpp computes: it stops at its next operation, not batches later.

Python looks at signals between its own instructions, and one decode of a large model on a CPU can
take many seconds. While llama.cpp computes the two signals are only noted; it asks after each
operation whether to go on; then they take their usual way.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """What one context of llama.cpp asks whether to go on; it must outlive the context."""

    def __init__(self, c: Any, context: Any) -> None:
        """Have `context` ask."""
        self.caught = 0
        self._ask = c.ggml_abort_callback(lambda _data: bool(self.caught))
        c.llama_set_abort_callback(context, self._ask, None)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the signals that come within, and let them take their usual way at the end.

        Signals go to the main thread: in others nothing is done. One that is ignored, as Ctrl-C is
        in a shell's background, stays so.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = {which: signal.getsignal(which) for which in STOPS}
        heeded = [which for which in STOPS if usual[which] not in (signal.SIG_IGN, None)]
        for which in heeded:
            signal.signal(which, self._note)
        try:
            yield
        finally:
            for which in heeded:
                signal.signal(which, usual[which])
        if self.caught:
            caught, self.caught = self.caught, 0
            signal.raise_signal(caught)

    def _note(self, which: int, _frame: Any) -> None:
        self.caught = which
