"""The loop: epochs, validation, the best weights, early stopping, going on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from neural_attn.backends.emit.base import Learner
from neural_attn.diagnostics.errors import fail
from neural_attn.trainer.batches import batches, by_length
from neural_attn.trainer.checkpoint import Row
from neural_attn.trainer.examples import Examples, weight


@dataclass(frozen=True)
class Plan:
    """How long and in which steps: `order` of the data, patience in epochs or None."""

    epochs: int
    batch_size: int
    seed: int
    shuffle: bool = True
    patience: int | None = None


class Watcher(Protocol):
    """Somebody who is told how it goes."""

    def begin(self, epoch: int, plan: Plan, examples: int) -> None:
        """An epoch begins."""

    def step(self, loss: object, examples: int) -> None:
        """A batch was learned from; `float(loss)` waits for it."""

    def end(self, row: Row) -> None:
        """An epoch has ended."""


@dataclass
class History:
    """What each epoch gave. `watched` is what decides: the loss of validation."""

    rows: list[Row] = field(default_factory=list)

    @property
    def watched(self) -> str:
        """The name of the loss that is to fall."""
        return "val_loss" if self.rows and "val_loss" in self.rows[0] else "loss"

    @property
    def best(self) -> int:
        """The number of the best epoch, from 1; 0 before the first."""
        losses = [row[self.watched] for row in self.rows]
        return losses.index(min(losses)) + 1 if losses else 0

    def is_over(self, plan: Plan) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        done = len(self.rows)
        waited = plan.patience is not None and done - self.best >= plan.patience
        return done >= plan.epochs or (done > 0 and waited)


def fit(
    learner: Learner,
    plan: Plan,
    examples: tuple[Examples, Examples | None],
    history: History,
    keep: Callable[[History, bool], None],
    watcher: Watcher,
) -> None:
    """Train from where the history ends; `keep` is called after each epoch.

    It is told whether this epoch is the best so far. Raises NeuralError (E0708) where
    the loss is no longer a number, before anything of that epoch is kept.
    """
    learned, held = examples
    held = None if held is None else by_length(held)
    while not history.is_over(plan):
        number, start = len(history.rows) + 1, time.perf_counter()
        watcher.begin(number, plan, len(learned))
        row: Row = {"epoch": number, "learning_rate": learner.rate}
        row["loss"] = _learn(learner, plan, learned, number, watcher)
        if held is not None:
            found = _measure(learner, held, plan.batch_size)
            row |= {f"val_{name}": value for name, value in found.items()}
        row["seconds"] = round(time.perf_counter() - start, 3)
        for name in ("loss", "val_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                fail("E0708", epoch=number, rate=row["learning_rate"])
        history.rows.append(row)
        keep(history, history.best == number)
        watcher.end(row)


def _learn(
    learner: Learner, plan: Plan, examples: Examples, epoch: int, watcher: Watcher
) -> float:
    order = (plan.seed, epoch) if plan.shuffle else None
    losses, counts = [], []
    for inputs, targets in batches(examples, plan.batch_size, order):
        losses.append(learner.step(inputs, targets))
        counts.append(weight(targets))
        watcher.step(losses[-1], len(targets))
    return _mean(map(float, losses), counts)


def _measure(learner: Learner, examples: Examples, size: int) -> dict[str, float]:
    found, counts = [], []
    for inputs, targets in batches(examples, size):
        found.append(learner.measure(inputs, targets))
        counts.append(weight(targets))
    return {n: _mean((one[n] for one in found), counts) for n in found[0]}


def _mean(values: Iterator[float], counts: list[int]) -> float:
    pairs = zip(values, counts, strict=True)
    return math.fsum(v * c for v, c in pairs) / max(sum(counts), 1)
