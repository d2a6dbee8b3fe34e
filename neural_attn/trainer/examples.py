"""Examples as a network learns from them: rows of each input, and what is right."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = -100  # the target of a step that does not count

Column = NDArray[Any] | list[NDArray[Any]]
Batch = tuple[dict[str, NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Examples:
    """Inputs by name and targets, a row for each example.

    Rows of a list may differ in length: a batch pads them, inputs with 0 and targets
    with IGNORED, to the longest of them or to what `widths` says.
    """

    inputs: Mapping[str, Column]
    targets: Column
    widths: Mapping[str, int | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The longest row of each example, targets included."""
        columns = [*self.inputs.values(), self.targets]
        ragged = [list(map(len, c)) for c in columns if isinstance(c, list)]
        if not ragged:
            return np.zeros(len(self), np.int64)
        found: NDArray[np.int64] = np.max(np.array(ragged, np.int64), axis=0)
        return found

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Some examples as arrays [batch, …]."""
        inputs = {
            name: _stacked(column, rows, 0, self.widths.get(name))
            for name, column in self.inputs.items()
        }
        width = self.widths.get("")
        return inputs, _stacked(self.targets, rows, IGNORED, width)

    def part(self, rows: NDArray[np.int64]) -> Examples:
        """Some of the examples."""
        inputs = {name: _chosen(column, rows) for name, column in self.inputs.items()}
        return Examples(inputs, _chosen(self.targets, rows), self.widths)

    @property
    def digest(self) -> str:
        """What tells these examples from others."""
        found = hashlib.sha256()
        for column in (*self.inputs.values(), self.targets):
            for row in column:
                found.update(np.ascontiguousarray(row).tobytes() + b"|")
        return found.hexdigest()


def _chosen(column: Column, rows: NDArray[np.int64]) -> Column:
    if isinstance(column, list):
        return [column[row] for row in rows]
    return column[rows]


def _stacked(
    column: Column, rows: NDArray[np.int64], fill: int, width: int | None
) -> NDArray[Any]:
    if not isinstance(column, list):
        return column[rows]
    chosen: Sequence[NDArray[Any]] = [column[row] for row in rows]
    size = width or max(map(len, chosen))
    found = np.full((len(chosen), size), fill, np.int64)
    for place, row in zip(found, chosen, strict=True):
        place[: len(row)] = row
    return found


def weight(targets: NDArray[Any]) -> int:
    """How many targets count; of numbers that are not ids, how many examples."""
    if targets.dtype.kind != "i":
        return len(targets)
    return int((targets != IGNORED).sum())


def split(
    examples: Examples, share: float, seed: int
) -> tuple[Examples, Examples | None]:
    """Examples to learn from and those kept for validation, drawn by the seed alone."""
    count = min(max(1, round(len(examples) * share)), len(examples) - 1)
    if share <= 0 or count < 1:
        return examples, None
    rows = np.random.default_rng([seed, 1]).permutation(len(examples))
    return examples.part(np.sort(rows[count:])), examples.part(np.sort(rows[:count]))
