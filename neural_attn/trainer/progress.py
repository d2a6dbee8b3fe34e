"""A bar for each epoch on a terminal: loss, speed, remaining time. Quiet in pipes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neural_attn.trainer.checkpoint import Row
from neural_attn.trainer.loop import Plan, Watcher

_PAUSE = (
    0.1  # seconds between two looks at the loss, each of which waits for the device
)


class Quiet:
    """Watches without a word."""

    def begin(self, epoch: int, plan: Plan, examples: int) -> None:
        """Nothing."""

    def step(self, loss: object, examples: int) -> None:
        """Nothing."""

    def end(self, row: Row) -> None:
        """Nothing."""


class Bar:
    """A bar of `rich`, and a line for each epoch that has ended."""

    def __init__(self, bar: Any) -> None:
        """Take a started `Progress`."""
        self._bar, self._task, self._last = (
            bar,
            bar.add_task("", total=None, loss=""),
            0.0,
        )
        self._epochs = 0

    def begin(self, epoch: int, plan: Plan, examples: int) -> None:
        """Set the bar to 0."""
        self._epochs = plan.epochs
        text = f"epoch {epoch}/{plan.epochs}"
        self._bar.reset(self._task, total=examples, description=text, loss="")

    def step(self, loss: object, examples: int) -> None:
        """Move on, and now and then look at the loss."""
        self._bar.advance(self._task, examples)
        if time.monotonic() - self._last > _PAUSE:
            self._last = time.monotonic()
            self._bar.update(self._task, loss=f"loss {float(loss):.4f}")  # type: ignore[arg-type]

    def end(self, row: Row) -> None:
        """Say what the epoch gave."""
        self._bar.console.print(described(row, self._epochs), highlight=False)


def described(row: Row, epochs: int) -> str:
    """An epoch in a line: its losses and metrics."""
    left_out = ("epoch", "learning_rate", "seconds")
    values = (f"{n} {v:.4f}" for n, v in row.items() if n not in left_out)
    return f"epoch {row['epoch']}/{epochs}: {', '.join(values)}, {row['seconds']:.1f} s"


@contextmanager
def watching() -> Iterator[Watcher]:
    """The watcher that fits where standard error goes."""
    if not sys.stderr.isatty():
        yield Quiet()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """Examples a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar)
