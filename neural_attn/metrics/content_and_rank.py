"""Two metrics beside the pass: entropy without the sinks, and effective rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.entropy import entropy
from neural_attn.metrics.arithmetic import divide
from neural_attn.metrics.geometry import Geometry, is_special

__all__ = ["content_entropy", "effective_rank", "set_aside"]

Float = NDArray[np.float64]


def set_aside(geometry: Geometry) -> NDArray[np.int64]:
    """Positions of the keys where heads rest: the first, and special tokens."""
    flags = geometry.key_flags(is_special)
    flags[0] = True
    return np.flatnonzero(flags)


def content_entropy(geometry: Geometry, of_rows: Float, mass: Float) -> Float:
    """Normalized entropy over ordinary keys; a query counts by what it gives them.

    For p = w / m, where m is the mass of w: m H(p) = -sum(w ln w) + m ln m.
    """
    ordinary = np.ones(geometry.keys, dtype=bool)
    ordinary[set_aside(geometry)] = False
    options = geometry.allowed[:, ordinary].sum(axis=1)
    choice = (options > 1) & (mass > 0)
    spread = of_rows + mass * np.log(np.where(mass > 0, mass, 1.0))
    shares = np.where(choice, spread / np.log(np.maximum(options, 2)), 0.0)
    total = np.where(choice, mass, 0.0).sum(axis=1)
    return np.clip(divide(shares.sum(axis=1), total), 0.0, 1.0)


def effective_rank(weights: NDArray[np.floating]) -> Float:
    """Exponential of the entropy of the singular values' shares, per head.

    From 1 (all queries attend alike) to min(queries, keys); Roy and Vetterli, 2007.
    NaN for a head without attention.
    Needs singular values, which take far longer than all other metrics together.

    Parameters
    ----------
    weights : float [heads, queries, keys]
    """
    values = np.linalg.svd(weights.astype(np.float64), compute_uv=False)
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return np.where(total[:, 0] > 0, np.exp(entropy(shares)), np.nan)
