"""Rows as shares and their entropy, for the doctor of maps and for every metric."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNTRAINED", "divided", "entropy", "logarithms"]

UNTRAINED = 0.97  # normalized entropy above which a head looks untrained

Floats = TypeVar("Floats", bound=NDArray[np.floating])


def entropy(weights: Floats, logs: Floats | None = None) -> Floats:
    """-Σ w ln w over the last axis, in nats; `logs` are the logarithms, where known.

    In the precision of `weights`, float [..., keys]; the result is [...].
    """
    logs = logarithms(weights) if logs is None else logs
    result: Floats = -np.einsum("...k,...k->...", weights, logs)
    return result


def divided(weights: Floats) -> Floats:
    """Weights of 0 or more, each row [..., keys] divided by its sum; one of 0 stays."""
    total = weights.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(
        weights, total, out=np.zeros_like(weights), where=total > 0
    )
    return result


def logarithms(weights: Floats, out: Floats | None = None) -> Floats:
    """Natural logarithms of weights, into `out` where it is given.

    That of the least number stands in for that of 0: 0 ln 0 = 0.
    """
    logs: Floats = np.maximum(weights, np.finfo(weights.dtype).tiny, out=out)
    np.log(logs, out=logs)
    return logs
