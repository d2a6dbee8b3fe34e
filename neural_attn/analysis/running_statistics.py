"""Running statistics over texts, whose parts merge into those of the whole.

A `Tally` holds numbers per head and none per text, so memory does not grow with the
number of texts. `merge` gives what one pass over both parts would have given (Chan,
Golub and LeVeque, 1983), so parts may come from several processes or machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.measure import (
    BASED,
    BINS,
    OF_CLASS,
    STATISTICS,
    Measured,
)

__all__ = ["Moments", "Tally"]

Float = NDArray[np.float64]


@dataclass
class Moments:
    """Count, mean, sum of squared deviations, least and greatest; all of one shape.

    NaN counts nowhere. Without any value the mean is 0, least inf, greatest -inf.
    """

    count: Float
    mean: Float
    squares: Float
    low: Float
    high: Float

    @classmethod
    def of(cls, values: Float) -> Moments:
        """Take each value as a sample of one."""
        there = ~np.isnan(values)
        return cls(
            there.astype(np.float64),
            np.where(there, values, 0.0),
            np.zeros(values.shape),
            np.where(there, values, np.inf),
            np.where(there, values, -np.inf),
        )

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Moments:
        """Take nothing yet."""
        return cls.of(np.full(shape, np.nan))

    def merge(self, other: Moments) -> Moments:
        """Give the moments of both samples together."""
        count = self.count + other.count
        safe = np.maximum(count, 1.0)
        apart = other.mean - self.mean
        mean = (self.count * self.mean + other.count * other.mean) / safe
        between = np.square(apart) * self.count * other.count / safe
        return Moments(
            count,
            mean,
            self.squares + other.squares + between,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def std(self) -> Float:
        """Standard deviation between texts (n - 1); NaN for fewer than two."""
        result: Float = np.full(self.count.shape, np.nan)
        more = self.count > 1
        np.divide(self.squares, self.count - 1, out=result, where=more)
        return np.sqrt(result)

    @property
    def average(self) -> Float:
        """The mean, NaN where nothing was counted."""
        return np.where(self.count > 0, self.mean, np.nan)


@dataclass
class Tally:
    """Statistics of the heads of one map; the arrays begin with the heads.

    `values` are the moments of the metrics [heads, STATISTICS] and `uniform` those of
    uniform attention. `expected` and `variance` [heads, BASED] are sums over texts, as
    `measure` gives them for one; histograms [heads, BINS] count queries. `rows` [heads,
    BASED] are the queries that each score rests on, and `fewest` the least of them in
    any text that has some, inf without. `keys` [heads, OF_CLASS, 2] are sums over the
    keys of a class in all texts, as `measure` gives them for one, and `special`
    the special tokens of all texts, as `geometry.special_ends` has them.
    """

    texts: int
    values: Moments
    expected: Float
    variance: Float
    uniform: Moments
    entropy_histogram: NDArray[np.int64]
    maximum_histogram: NDArray[np.int64]
    rows: Float
    fewest: Float
    keys: Float
    special: dict[str, frozenset[str]]

    @classmethod
    def empty(cls, heads: int) -> Tally:
        """Take nothing yet."""
        return cls(
            0,
            Moments.empty((heads, len(STATISTICS))),
            np.zeros((heads, len(BASED))),
            np.zeros((heads, len(BASED))),
            Moments.empty((heads, len(STATISTICS))),
            np.zeros((heads, BINS), dtype=np.int64),
            np.zeros((heads, BINS), dtype=np.int64),
            np.zeros((heads, len(BASED))),
            np.full((heads, len(BASED)), np.inf),
            np.zeros((heads, len(OF_CLASS), 2)),
            {},
        )

    @property
    def effective_keys(self) -> Float:
        """How many keys each score rests on, [heads, BASED]; inf if of no class.

        It is the effective sample size of Kish (1965), (sum of a)² / sum of a², a the
        mean weight of each key of the class in each text: n keys with equal weight are
        n, and one key that has it all is 1, however many rows look at it.
        """
        result = np.full(self.rows.shape, np.inf)
        for index, name in enumerate(OF_CLASS):
            total, squares = self.keys[:, index].T
            safe = np.where(squares > 0, squares, 1.0)
            result[:, BASED.index(name)] = np.square(total) / safe
        return result

    def add(self, heads: list[int], found: Measured, at: slice) -> None:
        """Count one text for some heads; `at` is where they stand in `found`.

        `texts` is left to the caller: the heads of a layer may come in several calls.
        """
        values = np.concatenate([found.values[at], found.extra[at]], axis=1)
        even = np.concatenate([found.uniform, found.extra_uniform])
        uniform = np.broadcast_to(even, values.shape)
        for mine, new in ((self.values, values), (self.uniform, uniform)):
            part = Moments(*(getattr(mine, f.name)[heads] for f in fields(Moments)))
            part = part.merge(Moments.of(new))
            for field in fields(Moments):
                getattr(mine, field.name)[heads] = getattr(part, field.name)
        self.expected[heads] += np.nan_to_num(found.expected[at])
        self.variance[heads] += np.nan_to_num(found.variance[at])
        self.entropy_histogram[heads] += found.entropy_histogram[at]
        self.maximum_histogram[heads] += found.maximum_histogram[at]
        rows = found.rows[at]
        self.rows[heads] += rows
        self.keys[heads] += found.keys[at]
        self.special = _joined(self.special, found.special)
        some = np.where(rows > 0, rows, np.inf)
        self.fewest[heads] = np.minimum(self.fewest[heads], some)

    def merge(self, other: Tally) -> Tally:
        """Give the statistics of both sets of texts together.

        Raises
        ------
        ValueError
            If the numbers of heads differ.
        """
        if self.expected.shape != other.expected.shape:
            raise ValueError(
                f"a layer has {len(self.expected)} heads in one part "
                f"but {len(other.expected)} in the other"
            )
        return Tally(
            self.texts + other.texts,
            self.values.merge(other.values),
            self.expected + other.expected,
            self.variance + other.variance,
            self.uniform.merge(other.uniform),
            self.entropy_histogram + other.entropy_histogram,
            self.maximum_histogram + other.maximum_histogram,
            self.rows + other.rows,
            np.minimum(self.fewest, other.fewest),
            self.keys + other.keys,
            _joined(self.special, other.special),
        )


def _joined(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    return {
        score: one.get(score, frozenset()) | other.get(score, frozenset())
        for score in (*one, *(name for name in other if name not in one))
    }
