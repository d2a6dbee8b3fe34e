"""Attention weights as small integers, with an error that is known.

A row of weights is stored as its maximum (the scale, float32) and one code per key:

    weight = scale * shares[code]

- `compact`: equal steps of 1/128, and two finer ones at the bottom, 1/256 and 1/512,
  as most weights of real attention are there. Less than 1/1024 becomes 0.
- `fine`: shares (code / 255)**2. Steps grow with the weight, so that small weights
  keep about two digits also beside a dominant one; twice the bytes.

In both, the maximum of a row is exact and no weight is off by more than 1/255 of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISIONS", "Precision", "dequantize", "quantize"]

# A share of the maximum is rounded to this many steps and then looked up: several
# times as fast as searching for the nearest value.
_STEPS = 65535


@dataclass(frozen=True)
class Precision:
    """How weights are stored.

    `shares` are the parts of a row's maximum that a code stands for, rising from 0 to
    1; there are none where weights are kept as float32.
    """

    name: str
    shares: tuple[float, ...]

    @property
    def bound(self) -> float:
        """The greatest error of a weight, as a share of its row's maximum."""
        if not self.shares:
            return 0.0
        return float(np.diff(self.shares).max() / 2) + 0.5 / _STEPS


PRECISIONS = {
    one.name: one
    for one in (
        Precision("compact", (0.0, 2**-9, 2**-8, *(n / 128 for n in range(1, 129)))),
        Precision("fine", tuple((n / 255) ** 2 for n in range(256))),
        Precision("full", ()),
    )
}


def quantize(
    weights: NDArray[np.float32], precision: Precision
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Turn rows of weights [..., keys] into scales [...] and codes [..., keys].

    Raises
    ------
    ValueError
        If `precision` has no codes, because it keeps weights as they are.
    """
    if not precision.shares:
        raise ValueError(f"precision {precision.name!r} has no codes")
    scales: NDArray[np.float32] = weights.max(axis=-1)
    # Not the reciprocal: that of a denormal is infinite.
    shares = weights / np.where(scales > 0, scales, np.float32(1))[..., np.newaxis]
    shares *= np.float32(_STEPS)
    shares += np.float32(0.5)
    return scales, _nearest(precision)[shares.astype(np.uint16)]


@cache
def _nearest(precision: Precision) -> NDArray[np.uint8]:
    """The code of the share that is nearest to each step."""
    shares = np.array(precision.shares)
    between = (shares[1:] + shares[:-1]) / 2
    steps = np.arange(_STEPS + 1) / _STEPS
    return np.searchsorted(between, steps).astype(np.uint8)


def dequantize(
    scales: NDArray[np.float32], codes: NDArray[np.uint8], precision: Precision
) -> NDArray[np.float32]:
    """Give back weights [..., keys], float32, from what `quantize` returned."""
    table = np.array(precision.shares, np.float32)
    weights: NDArray[np.float32] = table[codes] * scales[..., np.newaxis]
    return weights
