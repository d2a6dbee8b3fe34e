"""Attention through layers: rollout and flow (Abnar and Zuidema, 2020).

Both start from layers in which the residual connection stands beside the attention,
A' = (1 - r) A + r I, with the residual share r = 0.5 of the paper. Rollout multiplies
the layers; flow is the greatest flow from an output position to an input position in
the network whose capacities they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.entropy import divided
from neural_attn.promises import NONNEGATIVE, SHARES

__all__ = [
    "attention_flow",
    "attention_rollout",
    "layers_of",
    "require_scipy",
    "residual_layers",
    "rollout_agreement",
    "stack_of",
]

Float = NDArray[np.float64]

RESIDUAL = 0.5
# Capacities for scipy are int32. Flows out of one position sum to at most 1.
_SCALE = 1_000_000_000

_BLOCK_CELLS = 1 << 19  # of rows that are taken together: 4 MiB of float64


def stack_of(
    maps: AttentionMaps, kind: str = "encoder_self", batch_index: int = 0
) -> Float | None:
    """The layers of one kind of self-attention, averaged over heads, padding left out.

    Rows that need not sum to 1 are divided by their sum first.

    Returns
    -------
    float64 [layers, time, time] or None
        None if there is no such layer, or their sizes differ, or a layer has signed
        weights: nothing flows from one to the next then.
    """
    items = layers_of(maps, kind, batch_index)
    if items is None:
        return None
    return np.stack([_average(item, slice(None)) for item in items])


def layers_of(
    maps: AttentionMaps, kind: str, batch_index: int = 0
) -> list[AttentionItem] | None:
    """The layers that make a stack; None for the reasons of `stack_of`."""
    items = [maps.item(one.name, batch_index) for one in maps.maps if one.kind == kind]
    if any(item.rows not in NONNEGATIVE for item in items):
        return None
    shapes = {item.weights.shape[1:] for item in items}
    if len(shapes) != 1 or len(set(shapes.pop())) != 1:
        return None
    return items


def _average(item: AttentionItem, rows: slice) -> Float:
    """Some rows, averaged over heads."""
    weights = item.weights[:, rows]
    weights = weights if item.rows == SHARES else divided(weights)
    average: Float = weights.mean(axis=0, dtype=np.float64)
    return average


def residual_layers(layers: ArrayLike, residual: float = RESIDUAL) -> Float:
    """Put the residual connection beside the attention; rows sum to 1.

    Parameters
    ----------
    layers : float [layers, time, time], averaged over heads
    residual : the share r of the residual connection, 0 to less than 1

    Raises
    ------
    ValueError
        If the layers are not square, or r is out of range.
    """
    array = np.asarray(layers, dtype=np.float64)
    if array.ndim != 3 or array.shape[1] != array.shape[2] or 0 in array.shape:
        raise ValueError(f"layers are {array.shape}, not [layers, time, time]")
    if not 0 <= residual < 1:
        raise ValueError(f"the residual share is {residual:g}, not from 0 to below 1")
    mixed = (1 - residual) * array + residual * np.eye(array.shape[1])
    return divided(mixed)  # a row without attention keeps what it has, if anything


def attention_rollout(layers: ArrayLike, residual: float = RESIDUAL) -> Float:
    """How much of each input position is in each position, after every layer.

    Returns
    -------
    float64 [layers, time, time]
        `[l, i, j]`: share of input j in position i after layer l; rows sum to 1. The
        first layer is A' itself.
    """
    result = residual_layers(layers, residual)
    for index in range(1, len(result)):
        result[index] = result[index] @ result[index - 1]
    return result


def rollout_agreement(
    items: Sequence[AttentionItem], residual: float = RESIDUAL
) -> list[float | None]:
    """The correlation of each layer, averaged over heads, with rollout up to it.

    Rows are taken in blocks, so that two matrices [time, time] are in memory, however
    many layers and heads there are. None where one of the two is constant.
    """
    time = items[0].weights.shape[1]
    step = max(1, _BLOCK_CELLS // time)
    found: list[float | None] = []
    before: Float | None = None
    for item in items:
        rollout = np.empty((time, time))
        moments = np.zeros((3, 3))
        for start in range(0, time, step):
            rows = slice(start, min(start + step, time))
            raw = _average(item, rows)
            mixed = _with_residual(raw, start, residual)
            rollout[rows] = mixed if before is None else mixed @ before
            moments += _moments(raw, rollout[rows])
        found.append(_correlation(moments))
        before = rollout
    return found


def _with_residual(rows: Float, start: int, residual: float) -> Float:
    """Rows from `start` on as `residual_layers` makes them."""
    mixed = (1 - residual) * rows
    own = np.arange(len(rows))
    mixed[own, start + own] += residual
    return divided(mixed)


def _moments(one: Float, other: Float) -> Float:
    """Sums of products of 1 and both, less the mean of rows that sum to 1."""
    center = 1 / one.shape[1]
    parts = [np.ones(one.size), (one - center).ravel(), (other - center).ravel()]
    return np.array([[a @ b for b in parts] for a in parts])


def _correlation(moments: Float) -> float | None:
    means = moments[0, 1:] / moments[0, 0]
    spread = moments[1:, 1:] / moments[0, 0] - np.outer(means, means)
    deviations = np.sqrt(np.maximum(np.diag(spread), 0))
    if deviations.min() < 1e-9:
        return None
    return float(spread[0, 1] / deviations.prod())


def attention_flow(
    layers: ArrayLike,
    residual: float = RESIDUAL,
    queries: Sequence[int] | None = None,
) -> Float:
    """Greatest flow from positions after the last layer to each input position.

    Parameters
    ----------
    queries : the positions to start from; None for all
        Each takes `time` runs of a max-flow algorithm.

    Returns
    -------
    float64 [queries, time]
        From 0 to 1, to within 1e-8 per edge of the flow. Rows do not sum to 1: each
        value is a flow of its own.

    Raises
    ------
    NeuralError
        (E0502) if SciPy is not installed.
    """
    require_scipy()
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import maximum_flow

    mixed = residual_layers(layers, residual)
    count, time = len(mixed), mixed.shape[1]
    # Node l * time + i is position i after l layers; node 0 to time - 1 are the inputs.
    layer, row, column = np.nonzero(mixed)
    capacity = np.round(mixed[layer, row, column] * _SCALE).astype(np.int32)
    nodes = (count + 1) * time
    edges = ((layer + 1) * time + row, layer * time + column)
    graph = csr_array(coo_array((capacity, edges), shape=(nodes, nodes)))
    starts = range(time) if queries is None else queries
    flows = [
        [
            maximum_flow(graph, count * time + start, end).flow_value
            for end in range(time)
        ]
        for start in starts
    ]
    result: Float = np.array(flows, dtype=np.float64) / _SCALE
    return result


def require_scipy() -> None:
    """Raise NeuralError (E0502) where attention flow cannot be computed."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        fail("E0502.scipy")
