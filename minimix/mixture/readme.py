"""What can be said of a folder of tasks: printed when it is made, and kept beside the tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from minimix.disk import atomic, unwritable
from minimix.mixture.statistics import CountTokens, statistics, table
from minimix.mixture.tasks import HELD_OUT, TRAIN, Example, write_examples

README = "README.md"


def write_tasks(output: Path, train: Sequence[Example], held_out: Sequence[Example]) -> None:
    """Write both parts of a folder; of nothing held out there is no file.

    What was there before goes first and train.jsonl comes last: whenever the writing ends, tasks
    to train on lie beside no held-out tasks but their own.
    """
    for path in (output / TRAIN, output / HELD_OUT):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
    if held_out:
        write_examples(output / HELD_OUT, held_out)
    write_examples(output / TRAIN, train)


def describe(
    train: Sequence[Example],
    held_out: Sequence[Example],
    *,
    notes: Sequence[str] = (),
    count_tokens: CountTokens,
) -> str:
    """Return the statistics of both parts, and `notes` (paragraphs or tables) after them."""
    held = statistics(held_out, count_tokens) if held_out else "nothing is held out"
    parts = [f"{TRAIN}\n\n{statistics(train, count_tokens)}", f"{HELD_OUT}\n\n{held}"]
    return "\n\n".join([*parts, *notes])


def write_readme(output: Path, facts: Mapping[str, object], body: str) -> None:
    """Write how the tasks were made, name by name, and what `describe` says of them."""
    how = table(("made", "how"), [(name, str(value)) for name, value in facts.items()])
    with atomic(output / README) as file:
        file.write(f"# Tasks for a distiller\n\n{how}\n\n{body}\n")
