"""What can be seen of a training while it runs: log.csv, loss.png, and a line now and then."""

import csv
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minimix.disk import atomic, write_bytes
from minimix.extras import need

Row = dict[str, float]
LOG = "log.csv"
WARNING = "warning: "
"""How a line begins that is shown even to those who want no lines."""
WINDOW = 5
"""Last lines of the log that are held against the first."""
LONGER, SHORTER, MORE_COPIED = 1.5, 0.5, 0.2
"""Mean length by which factor, and share copied by how much more, is worth a warning."""


def is_first() -> bool:
    """Whether this is the process that writes, of those that accelerate has launched."""
    return int(os.environ.get("RANK", "0")) == 0


class Log:
    """The rows of log.csv; the file is whole at any time, and a resumed run goes on with it."""

    def __init__(self, folder: Path, columns: Sequence[str], *, done: int = 0) -> None:
        """Take over the rows up to step `done`: later ones were of steps that are made again."""
        self.path, self.columns = folder / LOG, ("step", *columns, "seconds")
        self.rows = [row for row in _read(self.path) if row["step"] <= done] if done else []
        self.before = {
            name: max((row.get(name, 0.0) for row in self.rows), default=0.0)
            for name in ("seconds", "tokens")
        }
        self.start = time.monotonic()

    def add(self, step: int, values: Mapping[str, float]) -> Row:
        """Add what is known at a step, to its row if it has one, and write the file."""
        known = {name: float(values[name]) for name in self.columns if name in values}
        known["seconds"] = self.before["seconds"] + time.monotonic() - self.start
        if "tokens" in known:
            known["tokens"] += self.before["tokens"]
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1] |= known
        else:
            self.rows.append({"step": float(step), **known})
        if is_first():
            self._write()
        return self.rows[-1]

    def _write(self) -> None:
        with atomic(self.path) as file:
            table = csv.DictWriter(file, self.columns, lineterminator="\n")
            table.writeheader()
            table.writerows([_as_text(row) for row in self.rows])

    def last(self, name: str) -> float | None:
        """Return the last value of a column, None for none."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    def plot(self, names: Sequence[str], file: str) -> None:
        """Draw columns over the steps into a PNG file beside the log, but no empty plot."""
        curves = {
            name: [(row["step"], row[name]) for row in self.rows if name in row] for name in names
        }
        if not any(curves.values()):
            return
        figures = need("matplotlib.figure", extra="train")
        figure = figures.Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="step")
        for name, points in curves.items():
            if points:
                steps, values = zip(*points, strict=True)
                axes.plot(steps, values, marker="." if len(points) < 50 else "", label=name)
        axes.legend()
        axes.grid(alpha=0.3)
        if is_first():
            write_bytes(self.path.with_name(file), _png(figure))


def runaway(rows: Sequence[Row], first: int) -> dict[str, str]:
    """Return what has left the bounds set by the steps up to `first`: column to warning.

    Where the log's first line comes later than that, the bounds are set by this line.
    """
    early = [row for row in rows if row["step"] <= first] or rows[:1]
    late = rows[len(early) :][-WINDOW:]
    found = {}
    for name in ("length", "copied"):
        before, now = ([row[name] for row in part if name in row] for part in (early, late))
        if not before or len(now) < WINDOW:
            continue
        usual, lately = sum(before) / len(before), sum(now) / len(now)
        longer = name == "length" and not SHORTER * usual <= lately <= LONGER * usual
        if longer or (name == "copied" and lately > usual + MORE_COPIED):
            found[name] = f"{name} has gone from {usual:.3g} to {lately:.3g}"
    return found


def _png(figure: Any) -> bytes:
    buffer = need("io").BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return bytes(buffer.getvalue())


def _as_text(row: Row) -> dict[str, str]:
    return {name: f"{value:.6g}" if value % 1 else f"{value:.0f}" for name, value in row.items()}


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def listener(heard: Callable[[int, dict[str, float]], None], saved: Callable[[], None]) -> Any:
    """Return a transformers callback: `heard` is told step and numbers, `saved` of checkpoints."""
    base = need("transformers", extra="train").TrainerCallback

    class Listener(base):  # type: ignore[misc,valid-type]
        def on_train_begin(
            self, args: Any, state: Any, *_: Any, lr_scheduler: Any = None, **__: Any
        ) -> None:
            """Take rate and rhythm from the settings of this run: a checkpoint brings its own."""
            state.compute_steps(args, state.max_steps)
            schedule = getattr(lr_scheduler, "scheduler", lr_scheduler)
            groups = schedule.optimizer.param_groups
            for group, first, share in zip(
                groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
            ):
                group["lr"] = first * share(schedule.last_epoch)
            schedule._last_lr = [group["lr"] for group in groups]  # what is logged

        def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
            """Log the last step too, so that what is counted is counted to the end."""
            control.should_log = control.should_log or state.global_step >= state.max_steps

        def on_log(self, *given: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
            numbers = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
            heard(int(given[1].global_step), numbers)

        def on_save(self, *_: Any, **__: Any) -> None:
            saved()

    return Listener()
