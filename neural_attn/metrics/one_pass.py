"""What one geometry asks of the weights, and the one pass that gathers it.

The weights are read once, a few rows of all heads at a time. What a block of rows
needs fits the processor's cache, so memory does not grow with the number of heads and
nothing is computed per head or position in Python. Weights that nobody keeps are made
as they are read (`Unkept`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.entropy import entropy, logarithms
from neural_attn.metrics.arithmetic import product
from neural_attn.metrics.content_and_rank import set_aside
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.pattern_scores import SCORES, Score, target

__all__ = ["Plan", "Sums", "Unkept", "Weights", "one_pass", "plan_for"]

Float = NDArray[np.float64]

_BLOCK_CELLS = 1 << 17  # 1 MiB of float64: two such blocks fit a core's cache


_MADE_CELLS = 1 << 20  # of rows that are made together: 4 MiB of float32


class Unkept:
    """Weights [heads, queries, keys] of which a few rows at a time are in memory.

    It is read as an array is, from the first row to the last; whoever asks for more
    than some rows of all heads gets all of it made.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        make: Callable[[slice], NDArray[np.floating]],
    ) -> None:
        """Take what makes the rows of a slice, float [heads, rows, keys]."""
        self.shape = shape
        self._make = make
        self._made: NDArray[np.floating]
        self._start, self._made = 0, np.empty((shape[0], 0, shape[2]), np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> NDArray[np.floating]:
        if not (isinstance(at, tuple) and len(at) == 2 and at[0] == slice(None)):
            whole: NDArray[np.floating] = np.asarray(self)[at]
            return whole
        start, stop, step = at[1].indices(self.shape[1])
        if step != 1:
            return self._picked(range(start, stop, step))
        if not self._start <= start <= stop <= self._start + self._made.shape[1]:
            heads, queries, keys = self.shape
            more = max(stop - start, _MADE_CELLS // (heads * keys))
            self._start = start
            self._made = self._make(slice(start, min(start + more, queries)))
        return self._made[:, start - self._start : stop - self._start]

    def of_heads(self, heads: Sequence[int]) -> Unkept:
        """The same of some heads."""
        at = list(heads)
        shape = (len(at), *self.shape[1:])
        return Unkept(shape, lambda rows: self[:, rows][at])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._make(slice(0, self.shape[1])), dtype)

    def _picked(self, rows: range) -> NDArray[np.floating]:
        return np.concatenate([self._make(slice(r, r + 1)) for r in rows], axis=1)


Weights: TypeAlias = NDArray[np.floating] | Unkept


@dataclass(frozen=True)
class Plan:
    """What one geometry asks of the weights, made once for all layers of a text.

    `targets` are the T of the scores `names`, bool or numbers of 0 or more [queries,
    keys], most of them views. The rest, float64 [scores, queries], belongs to rows with
    a choice and is 0 elsewhere: `rows` is 1 there, `mean` is the mean of the target
    over allowed keys, and `spread` its sum of squared deviations divided by (allowed
    keys - 1).
    """

    geometry: Geometry
    names: tuple[str, ...]
    targets: tuple[NDArray[np.generic], ...]
    rows: Float
    mean: Float
    spread: Float

    @property
    def bare(self) -> Plan:
        """The same without any score."""
        none = self.rows[:0]
        return Plan(self.geometry, (), (), none, none, none)

    def cells(self, at: slice, out: Float | None = None) -> Float:
        """The targets of some queries, float64 [scores, queries, keys].

        They are 0 where attending is not allowed and in rows without a choice.
        """
        allowed = self.geometry.allowed[at]
        cells = np.empty((len(self.names), *allowed.shape)) if out is None else out
        for index, cells_of in enumerate(self.targets):
            counts = allowed & (self.rows[index, at, np.newaxis] > 0)
            np.multiply(cells_of[at], counts, out=cells[index])
        return cells


def plan_for(geometry: Geometry, scores: Mapping[str, Score] = SCORES) -> Plan:
    """Make the targets of all scores that are defined and leave any row a choice."""
    found = [(name, target(score, geometry)) for name, score in scores.items()]
    defined = [(name, cells) for name, cells in found if cells is not None]
    total, square = np.empty((2, len(defined), geometry.queries))
    step = _step(geometry.queries, geometry.keys)
    space = np.empty((step, geometry.keys))
    for at in _blocks(geometry.queries, step):
        for index, (_, cells) in enumerate(defined):
            some = space[: at.stop - at.start]
            np.multiply(cells[at], geometry.allowed[at], out=some)
            total[index, at] = some.sum(axis=1)
            square[index, at] = np.einsum("qk,qk->q", some, some)
    options = np.maximum(geometry.options, 1)
    # Equal just where all allowed cells are, which leaves no choice (Cauchy-Schwarz).
    rows = np.asarray(options * square > np.square(total), dtype=np.float64)
    mean = rows * total / options
    spread = (rows * square - total * mean) / np.maximum(options - 1, 1)
    kept = np.flatnonzero(rows.any(axis=1))
    return Plan(
        geometry,
        tuple(defined[index][0] for index in kept),
        tuple(defined[index][1] for index in kept),
        rows[kept],
        mean[kept],
        np.maximum(spread[kept], 0.0),
    )


def _step(queries: int, cells: int) -> int:
    """How many queries to take at a time, each of which has so many cells."""
    return min(queries, max(1, _BLOCK_CELLS // cells))


def _blocks(queries: int, step: int) -> Iterator[slice]:
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


@dataclass
class Sums:
    """What the pass over the weights leaves: [heads, queries] unless said otherwise."""

    mass: Float
    around: Float  # sum of (w - 1 / keys)², from which nothing cancels
    entropy: Float
    high: Float
    low: Float
    center: Float
    own: Float  # on the key of the query's own number; 0 where there is none
    columns: Float  # [heads, keys]
    scores: Float  # [heads, scores], summed over queries
    aside_mass: Float  # of the keys that `set_aside` names, as `aside_entropy`
    aside_entropy: Float

    @property
    def some(self) -> NDArray[np.bool_]:
        """Whether any weight of a row is not 0."""
        return (self.high > 0) | (self.low < 0)

    @property
    def square(self) -> Float:
        """Sum of w²."""
        square: Float = self.around + (2 * self.mass - 1) / self.columns.shape[1]
        return square


def one_pass(plan: Plan, weights: Sequence[Weights]) -> Sums:
    """Read the weights once; `weights` is as in `measure`."""
    queries, keys = plan.geometry.queries, plan.geometry.keys
    heads = sum(len(one) for one in weights)
    scores = np.zeros((heads, len(plan.names)))
    a, b, c, d, e, f, g, h, i = np.empty((9, heads, queries))
    sums = Sums(a, b, c, d, e, f, g, np.zeros((heads, keys)), scores, h, i)
    aside = set_aside(plan.geometry)
    columns = np.stack([np.ones(keys), np.arange(keys, dtype=np.float64)], axis=1)
    step = _step(queries, heads * keys)
    # Memory that is taken anew for each block costs as much as the pass.
    block, logs = np.empty((2, heads, step, keys))
    targets = np.empty((len(plan.names), step, keys))
    for at in _blocks(queries, step):
        rows = slice(at.stop - at.start)
        some = np.concatenate([one[:, at] for one in weights], out=block[:, rows])
        log = logarithms(some, logs[:, rows])
        sums.entropy[:, at] = entropy(some, log)
        sums.high[:, at] = some.max(axis=2)
        sums.low[:, at] = some.min(axis=2)
        both = some @ columns
        sums.mass[:, at], sums.center[:, at] = both[..., 0], both[..., 1]
        sums.columns += some.sum(axis=1)
        own = np.diagonal(some, at.start, axis1=1, axis2=2)
        sums.own[:, at] = 0
        sums.own[:, at.start : at.start + own.shape[1]] = own
        rest = some[:, :, aside]
        sums.aside_mass[:, at] = rest.sum(axis=2)
        sums.aside_entropy[:, at] = entropy(rest, log[:, :, aside])
        off = np.subtract(some, 1 / keys, out=log)
        sums.around[:, at] = np.einsum("hqk,hqk->hq", off, off)
        cells = plan.cells(at, targets[:, rows])
        shape = -1, rows.stop * keys
        sums.scores += product(some.reshape(shape), cells.reshape(shape))
    # A weight of 1 + 1e-7, from float32 rounding, gives an entropy just below 0.
    np.maximum(sums.entropy, 0.0, out=sums.entropy)
    return sums
