"""What one geometry asks of the weights, and the one pass that gathers it.

The weights are read once, a few rows of all heads at a time. What a block of rows
needs fits the processor's cache, so memory does not grow with the number of heads and
nothing is computed per head or position in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.arithmetic import product
from neural_attn.metrics.content_and_rank import set_aside
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.pattern_scores import SCORES, Score, target

__all__ = ["Plan", "Sums", "one_pass", "plan_for"]

Float = NDArray[np.float64]

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


def plan_for(
    geometry: Geometry,
    extra: Sequence[tuple[str, Float]] = (),
    scores: Mapping[str, Score] = SCORES,
) -> Plan:
    """Make the targets of all scores that are defined, then those of `extra`."""
    found = [(name, target(score, geometry)) for name, score in scores.items()]
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
class Sums:
    """What the pass over the weights leaves: [heads, queries] unless said otherwise."""

    mass: Float
    square: Float
    entropy: Float
    high: Float
    low: Float
    center: Float
    columns: Float  # [heads, keys]
    scores: Float  # [heads, scores], summed over queries
    aside_mass: Float  # of the keys that `set_aside` names, as `aside_entropy`
    aside_entropy: Float


def one_pass(plan: Plan, weights: Sequence[NDArray[np.floating]]) -> Sums:
    """Read the weights once; `weights` is as in `measure`."""
    queries, keys = plan.geometry.queries, plan.geometry.keys
    heads = sum(len(one) for one in weights)
    step = min(queries, max(1, _BLOCK_CELLS // (heads * keys)))
    block, logs = np.empty((heads, step, keys)), np.empty((heads, step, keys))
    scores = np.zeros((heads, len(plan.names)))
    a, b, c, d, e, f, g, h = np.empty((8, heads, queries))
    sums = Sums(a, b, c, d, e, f, np.zeros((heads, keys)), scores, g, h)
    aside = set_aside(plan.geometry)
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
        rest = some[:, :, aside]
        sums.aside_mass[:, at] = rest.sum(axis=2)
        sums.aside_entropy[:, at] = -np.einsum("hqk,hqk->hq", rest, log[:, :, aside])
        cells = plan.targets[:, at].reshape(len(plan.names), (at.stop - start) * keys)
        sums.scores += product(some.reshape(heads, -1), cells)
    # A weight of 1 + 1e-7, from float32 rounding, gives an entropy just below 0.
    np.maximum(sums.entropy, 0.0, out=sums.entropy)
    return sums
