"""Measures every head of one text in a single pass over its weights.

The weights are read once, a few rows of all heads at a time. What a block of rows
needs fits the processor's cache, so memory does not grow with the number of heads and
nothing is computed per head or position in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.arithmetic import divide, product, row_mean
from neural_attn.analysis.geometry import Geometry
from neural_attn.analysis.scores import SCORES, target

__all__ = [
    "BINS",
    "COLUMNS",
    "METRICS",
    "Measured",
    "Plan",
    "measure",
    "plan_for",
]

Float = NDArray[np.float64]

# Metrics that are not sums over a target; definitions in docs/metrics.md.
METRICS = (
    "entropy",
    "normalized_entropy",
    "max_weight",
    "effective_keys",
    "top_key_share",
    "diagonal_strength",
    "weight_mean",
    "weight_std",
    "weight_min",
    "weight_max",
    "monotonicity",
)
COLUMNS = (*METRICS, *SCORES)
BINS = 20  # of the histograms of normalized entropy and greatest weight, on 0 … 1

_BLOCK_CELLS = 1 << 17  # 1 MiB of float64: two such blocks fit a core's cache
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Plan:
    """What one geometry asks of the weights, made once for all layers of a text.

    `targets` is float64 [scores, queries, keys]; the rest, float64 [scores, queries],
    belongs to rows with a choice and is 0 elsewhere: `rows` is 1 there, `mean` is the
    mean of the target over allowed keys, and `spread` its sum of squared deviations
    divided by (allowed keys - 1). `names` are the scores.
    """

    geometry: Geometry
    names: tuple[str, ...]
    targets: Float
    rows: Float
    mean: Float
    spread: Float


@dataclass(frozen=True)
class Measured:
    """The numbers of one text; NaN where a number is not defined.

    `values` is float64 [heads, COLUMNS]. `expected` and `variance`, float64 [heads,
    SCORES], are those of each score if every row's weights stood in random order.
    `uniform` [COLUMNS] are the values of uniform attention under the same mask. The
    histograms, int64 [heads, BINS], count queries.
    """

    values: Float
    expected: Float
    variance: Float
    uniform: Float
    entropy_histogram: NDArray[np.int64]
    maximum_histogram: NDArray[np.int64]


def plan_for(geometry: Geometry, extra: Sequence[tuple[str, Float]] = ()) -> Plan:
    """Make the targets of all scores that are defined, then those of `extra`."""
    found = [(name, target(score, geometry)) for name, score in SCORES.items()]
    defined = [(n, cells) for n, cells in (*found, *extra) if cells is not None]
    shape = (len(defined), geometry.queries, geometry.keys)
    targets = np.empty(shape)
    for index, (_, cells) in enumerate(defined):
        targets[index] = cells
    rows = np.asarray(targets.any(axis=2), dtype=np.float64)
    options = np.maximum(geometry.options, 1)
    total = targets.sum(axis=2)
    mean: Float = total / options
    spread = np.einsum("sqk,sqk->sq", targets, targets) - total * mean
    spread = np.maximum(spread / np.maximum(options - 1, 1), 0.0)
    names = tuple(name for name, _ in defined)
    return Plan(geometry, names, targets, rows, mean, spread)


@dataclass
class _Sums:
    """What the pass over the weights leaves: [heads, queries] unless said otherwise."""

    mass: Float
    square: Float
    entropy: Float
    high: Float
    low: Float
    center: Float
    columns: Float  # [heads, keys]
    scores: Float  # [heads, scores], summed over queries


def measure(plan: Plan, weights: Sequence[NDArray[np.floating]]) -> Measured:
    """Measure heads that share one geometry.

    Parameters
    ----------
    weights : float [heads, queries, keys], one array per layer
        Heads may differ in number. Masked cells must be 0.
    """
    geometry = plan.geometry
    sums = _one_pass(plan, weights)
    counts = (geometry.options > 0) & (sums.mass > 0)
    options = geometry.options
    normalized = sums.entropy / np.log(np.maximum(options, 2))
    choice = counts & (options > 1)
    values = np.full((len(sums.mass), len(COLUMNS)), np.nan)
    rows = {
        "entropy": row_mean(sums.entropy, counts),
        "normalized_entropy": row_mean(normalized, choice),
        "max_weight": row_mean(sums.high, counts),
        "effective_keys": row_mean(np.exp(sums.entropy), counts),
        "top_key_share": divide(sums.columns.max(axis=1), counts.sum(axis=1)),
        "diagonal_strength": _diagonal_strength(geometry, weights, sums, counts),
        "monotonicity": _monotonicity(geometry, sums, counts),
        **_distribution(sums, counts, geometry.keys),
    }
    for name, column in rows.items():
        values[:, COLUMNS.index(name)] = column
    expected, variance = _scores(plan, sums, counts, values)
    return Measured(
        values,
        expected,
        variance,
        _uniform(geometry, plan),
        _histogram(normalized, choice),
        _histogram(sums.high, counts),
    )


def _one_pass(plan: Plan, weights: Sequence[NDArray[np.floating]]) -> _Sums:
    queries, keys = plan.geometry.queries, plan.geometry.keys
    heads = sum(len(one) for one in weights)
    step = min(queries, max(1, _BLOCK_CELLS // (heads * keys)))
    block, logs = np.empty((heads, step, keys)), np.empty((heads, step, keys))
    scores = np.zeros((heads, len(plan.names)))
    a, b, c, d, e, f = np.empty((6, heads, queries))
    sums = _Sums(a, b, c, d, e, f, np.zeros((heads, keys)), scores)
    columns = np.stack([np.ones(keys), np.arange(keys, dtype=np.float64)], axis=1)
    for start in range(0, queries, step):
        at = slice(start, min(start + step, queries))
        some, log = block[:, : at.stop - start], logs[:, : at.stop - start]
        first = 0
        for one in weights:
            some[first : first + len(one)] = one[:, at]
            first += len(one)
        # 0 ln 0 = 0: the logarithm of the least number stands in, and 0 times it is 0.
        np.log(np.maximum(some, _TINY, out=log), out=log)
        sums.entropy[:, at] = -np.einsum("hqk,hqk->hq", some, log)
        sums.square[:, at] = np.einsum("hqk,hqk->hq", some, some)
        sums.high[:, at] = some.max(axis=2)
        sums.low[:, at] = some.min(axis=2)
        both = some @ columns
        sums.mass[:, at], sums.center[:, at] = both[..., 0], both[..., 1]
        sums.columns += some.sum(axis=1)
        cells = plan.targets[:, at].reshape(len(plan.names), (at.stop - start) * keys)
        sums.scores += product(some.reshape(heads, -1), cells)
    # A weight of 1 + 1e-7, from float32 rounding, gives an entropy just below 0.
    np.maximum(sums.entropy, 0.0, out=sums.entropy)
    return sums


def _scores(
    plan: Plan, sums: _Sums, counts: NDArray[np.bool_], values: Float
) -> tuple[Float, Float]:
    """Fill the scores in; their mean and variance over orders of each row's weights.

    For weights w in random order over n keys, sum(w T) has the mean sum(w) mean(T)
    and the variance S(w) S(T) / (n - 1), where S is the sum of squared deviations
    (Hoeffding, 1951). Rows are shuffled independently of each other.
    """
    options = np.maximum(plan.geometry.options, 1)
    number = product(counts.astype(np.float64), plan.rows)
    spread = np.maximum(sums.square - np.square(sums.mass) / options, 0.0)
    mean = divide(product(sums.mass, plan.rows * plan.mean), number)
    variance = divide(product(spread, plan.rows * plan.spread), np.square(number))
    score = divide(sums.scores, number)
    everything = np.full((2, len(values), len(SCORES)), np.nan)
    order = list(SCORES)
    for index, name in enumerate(plan.names):
        if name in SCORES:
            values[:, COLUMNS.index(name)] = score[:, index]
            everything[0, :, order.index(name)] = mean[:, index]
            everything[1, :, order.index(name)] = variance[:, index]
    return everything[0], everything[1]


def _distribution(
    sums: _Sums, counts: NDArray[np.bool_], keys: int
) -> dict[str, Float]:
    number = counts.sum(axis=1) * keys
    mean = divide(np.where(counts, sums.mass, 0.0).sum(axis=1), number)
    square = divide(np.where(counts, sums.square, 0.0).sum(axis=1), number)
    low = np.where(counts, sums.low, np.inf).min(axis=1)
    high = np.where(counts, sums.high, -np.inf).max(axis=1)
    return {
        "weight_mean": mean,
        "weight_std": np.sqrt(np.maximum(square - np.square(mean), 0.0)),
        "weight_min": np.where(np.isfinite(low), low, np.nan),
        "weight_max": np.where(np.isfinite(high), high, np.nan),
    }


def _diagonal_strength(
    geometry: Geometry,
    weights: Sequence[NDArray[np.floating]],
    sums: _Sums,
    counts: NDArray[np.bool_],
) -> Float:
    if not geometry.self_attention or geometry.queries != geometry.keys:
        return np.full(len(sums.mass), np.nan)
    diagonal = np.concatenate([np.diagonal(one, axis1=1, axis2=2) for one in weights])
    own = row_mean(diagonal.astype(np.float64), counts)
    return divide(own, row_mean(sums.mass / geometry.keys, counts))


def _monotonicity(geometry: Geometry, sums: _Sums, counts: NDArray[np.bool_]) -> Float:
    """Correlation of each query's position with the mean position it attends to."""
    if geometry.self_attention:
        return np.full(len(sums.mass), np.nan)
    center = divide(sums.center, sums.mass)
    number = counts.sum(axis=1, keepdims=True)
    mean = divide(np.where(counts, center, 0.0).sum(axis=1, keepdims=True), number)
    position = np.broadcast_to(np.arange(geometry.queries), counts.shape)
    middle = divide((position * counts).sum(axis=1, keepdims=True) * 1.0, number)
    dy = np.where(counts, center - mean, 0.0)
    dx = np.where(counts, position - middle, 0.0)
    scale = np.sqrt(np.square(dx).sum(axis=1) * np.square(dy).sum(axis=1))
    # Centers that differ by rounding alone have no order to speak of.
    flat = np.abs(dy).max(axis=1, initial=0.0) < 1e-6 * geometry.keys
    return divide(np.where(flat, 0.0, (dx * dy).sum(axis=1)), np.where(flat, 1, scale))


def _histogram(rows: Float, counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    bins = np.clip((rows * BINS).astype(np.int64), 0, BINS - 1)
    bins += BINS * np.arange(len(rows))[:, np.newaxis]
    found = np.bincount(bins[counts], minlength=BINS * len(rows))
    return found.reshape(len(rows), BINS).astype(np.int64)


def _uniform(geometry: Geometry, plan: Plan) -> Float:
    """What uniform attention over the allowed keys would give."""
    result = np.full(len(COLUMNS), np.nan)
    options = geometry.options[geometry.options > 0]
    if not options.size:
        return result
    rows = geometry.allowed / np.maximum(geometry.options, 1)[:, np.newaxis]
    flat = {
        "entropy": np.log(options).mean(),
        "max_weight": (1 / options).mean(),
        "effective_keys": options.mean(),
        "top_key_share": rows.sum(axis=0).max() / len(options),
    }
    if (options > 1).any():
        flat["normalized_entropy"] = 1.0
    if geometry.self_attention and geometry.queries == geometry.keys:
        diagonal = np.diagonal(rows).sum() / len(options)
        flat["diagonal_strength"] = diagonal * geometry.keys
    for index, name in enumerate(plan.names):
        if name in SCORES:
            number = plan.rows[index].sum()
            flat[name] = (plan.rows[index] * plan.mean[index]).sum() / number
    for name, value in flat.items():
        result[COLUMNS.index(name)] = value
    return result
