"""Measures every head of one text, from a single pass over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.arithmetic import divide, product
from neural_attn.metrics.geometry import special_ends
from neural_attn.metrics.one_pass import Plan, Unkept, Weights, plan_for
from neural_attn.metrics.pattern_scores import SCORES
from neural_attn.metrics.registry import (
    BASED,
    BESIDE,
    COLUMNS,
    MEASURES,
    OF_CLASS,
    STATISTICS,
    Looked,
    Measuring,
    look,
)

__all__ = [
    "BASED",
    "BINS",
    "COLUMNS",
    "OF_CLASS",
    "STATISTICS",
    "Measured",
    "Plan",
    "Unkept",
    "Weights",
    "measure",
    "plan_for",
]

Float = NDArray[np.float64]

BINS = 20  # of the histograms of normalized entropy and greatest weight, on 0 … 1


@dataclass(frozen=True)
class Measured:
    """The numbers of one text; NaN where a number is not defined.

    `values` is float64 [heads, COLUMNS], `extra` [heads, BESIDE]. `expected` and
    `variance`, float64 [heads, BASED], are those of each score if every row's weights
    stood in random order. `uniform` [COLUMNS] and `extra_uniform` [BESIDE] are the
    values of uniform attention under the same mask. The histograms, int64 [heads,
    BINS], count queries. `rows`, float64 [heads, BASED], is how many queries each score
    rests on. `keys`, float64 [heads, OF_CLASS, 2], are sums over the keys of a class:
    of their mean weights, and of the squares of these. `special` is as in
    `geometry.special_ends`.
    """

    values: Float
    extra: Float
    expected: Float
    variance: Float
    uniform: Float
    extra_uniform: Float
    entropy_histogram: NDArray[np.int64]
    maximum_histogram: NDArray[np.int64]
    rows: Float
    keys: Float
    special: dict[str, frozenset[str]]


def measure(plan: Plan, weights: Sequence[Weights], *, rank: bool = False) -> Measured:
    """Measure heads that share one geometry.

    Parameters
    ----------
    weights : float [heads, queries, keys], one array per layer
        Heads may differ in number. Of what is `Unkept` a few rows at a time are read,
        except for slow metrics and those of other packages. Masked cells must be 0.
        What is not defined for the rows that the plan's geometry promises is NaN.
    rank : also the effective rank, which takes far longer than all else
    """
    found = look(plan, weights)
    values = np.full((len(found.whole.counts), len(COLUMNS)), np.nan)
    for index, metric in enumerate(MEASURES):
        values[:, index] = found.values(metric)
    expected, variance = np.full((2, len(values), len(BASED)), np.nan)
    rows = np.zeros((len(values), len(BASED)))
    keys = np.zeros((len(values), len(OF_CLASS), 2))
    if found.shares is not None:
        _scores(plan, found.shares, values, expected, variance, rows)
        _class_keys(plan, found.shares, keys)
        _, expected[:, -1], variance[:, -1], rows[:, -1] = found.shares.top_key
    asked = [metric if rank or not metric.slow else None for metric in BESIDE]
    extra = np.full((len(values), len(BESIDE)), np.nan)
    for index, one in enumerate(asked):
        if one is not None:
            extra[:, index] = found.values(one)
    return Measured(
        values,
        extra,
        expected,
        variance,
        _uniform(found, plan),
        np.array([np.nan if one is None else found.uniform(one) for one in asked]),
        *_histograms(found),
        rows,
        keys,
        special_ends(plan.geometry.key_tokens),
    )


def _scores(
    plan: Plan,
    found: Measuring,
    values: Float,
    expected: Float,
    variance: Float,
    rows: Float,
) -> None:
    """Fill the scores in; their mean and variance over orders of each row's weights.

    For weights w in random order over n keys, sum(w T) has the mean sum(w) mean(T)
    and the variance S(w) S(T) / (n - 1), where S is the sum of squared deviations
    (Hoeffding, 1951). Rows are shuffled independently of each other.
    """
    sums, counts = found.sums, found.counts
    options = np.maximum(plan.geometry.options, 1)
    number = product(counts.astype(np.float64), plan.rows)
    spread = np.maximum(sums.square - np.square(sums.mass) / options, 0.0)
    mean = divide(product(sums.mass, plan.rows * plan.mean), number)
    apart = divide(product(spread, plan.rows * plan.spread), np.square(number))
    score = divide(sums.scores, number)
    order = list(SCORES)
    for index, name in enumerate(plan.names):
        if name in SCORES:
            values[:, COLUMNS.index(name)] = score[:, index]
            expected[:, order.index(name)] = mean[:, index]
            variance[:, order.index(name)] = apart[:, index]
            rows[:, order.index(name)] = number[:, index]


def _class_keys(plan: Plan, found: Measuring, keys: Float) -> None:
    """Fill in what the keys of each class get, and its squares."""
    for index, name in enumerate(OF_CLASS):
        if name in plan.names:
            # T of a class is the same in every row
            inside = plan.targets[plan.names.index(name)][0] > 0
            shares = found.key_shares[:, inside]
            keys[:, index, 0] = shares.sum(axis=1)
            keys[:, index, 1] = np.square(shares).sum(axis=1)


def _histograms(found: Looked) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Queries by normalized entropy and by greatest share; none of signed rows."""
    if found.shares is None:
        none = np.zeros((len(found.whole.counts), BINS), np.int64)
        return none, none
    shares = found.shares
    return (
        _histogram(shares.normalized, shares.choice),
        _histogram(shares.sums.high, shares.counts),
    )


def _histogram(rows: Float, counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    bins = np.clip((rows * BINS).astype(np.int64), 0, BINS - 1)
    bins += BINS * np.arange(len(rows))[:, np.newaxis]
    found = np.bincount(bins[counts], minlength=BINS * len(rows))
    return found.reshape(len(rows), BINS).astype(np.int64)


def _uniform(found: Looked, plan: Plan) -> Float:
    """What uniform attention over the allowed keys would give."""
    result = np.full(len(COLUMNS), np.nan)
    if found.shares is None or not found.shares.seen.size:
        return result
    for index, metric in enumerate(MEASURES):
        result[index] = found.uniform(metric)
    for index, name in enumerate(plan.names):
        if name in SCORES:
            number = plan.rows[index].sum()
            mean = (plan.rows[index] * plan.mean[index]).sum() / number
            result[COLUMNS.index(name)] = mean
    return result
