"""What a small distiller often gets wrong and a rule puts right, before anything is judged.

It merges two answers and asks one of their questions; it says a sentence of both twice, leaves
others out, and tells them in the order in which it met them. The words stay its own, or a source's.
"""

from minimix.mend.asked import asked_in_full
from minimix.mend.told import told_well
from minimix.records import Task


def mended(task: Task, text: str) -> str:
    """Return a model's answer to `task`, told well and asked in full; its form does not change."""
    return asked_in_full(task, told_well(task, text))
