"""Attention weights as small integers, with an error that is known.

A row of weights is stored as its maximum (the scale, float32) and one code per key:

    weight = scale * (code / levels) ** power

- `fine` (levels 255, power 2): steps grow with the weight, so that small weights,
  which are most of them, keep about two digits also beside a dominant one.
- `compact` (levels 128, power 1): equal steps; half the bytes, but a weight below
  1/256 of its row's maximum becomes 0.

In both, the maximum of a row is exact and no weight is off by more than 1/255 of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISIONS", "Precision", "dequantize", "quantize"]


@dataclass(frozen=True)
class Precision:
    """How weights are stored; `levels` is 0 where they are kept as float32."""

    name: str
    levels: int
    power: int
    zlib_level: int
    zlib_strategy: int

    @property
    def bound(self) -> float:
        """The greatest error of a weight, as a share of its row's maximum."""
        if not self.levels:
            return 0.0
        # The widest interval is the last one; codes are rounded before the power.
        return 1.0 - ((self.levels - 0.5) / self.levels) ** self.power


# Measured on MiniLM and on random weights: codes hardly ever repeat a longer sequence,
# so that looking for runs alone (Z_RLE) is three times as fast, and smaller.
PRECISIONS = {
    "fine": Precision("fine", 255, 2, zlib_level=1, zlib_strategy=3),
    "compact": Precision("compact", 128, 1, zlib_level=1, zlib_strategy=3),
    "full": Precision("full", 0, 1, zlib_level=1, zlib_strategy=0),
}


def quantize(
    weights: NDArray[np.float32], precision: Precision
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Turn rows of weights [..., keys] into scales [...] and codes [..., keys].

    Raises
    ------
    ValueError
        If `precision` has no levels, because it keeps weights as they are.
    """
    if not precision.levels:
        raise ValueError(f"precision {precision.name!r} has no codes")
    scales: NDArray[np.float32] = weights.max(axis=-1)
    divisor = np.where(scales > 0, scales, np.float32(1))
    codes = weights / divisor[..., np.newaxis]
    if precision.power == 2:
        np.sqrt(codes, out=codes)
    codes *= np.float32(precision.levels)
    codes += np.float32(0.5)
    return scales, codes.astype(np.uint8)


def dequantize(
    scales: NDArray[np.float32], codes: NDArray[np.uint8], precision: Precision
) -> NDArray[np.float32]:
    """Give back weights [..., keys], float32, from what `quantize` returned."""
    steps = np.arange(256, dtype=np.float64) / max(precision.levels, 1)
    table = (steps**precision.power).astype(np.float32)
    weights: NDArray[np.float32] = table[codes] * scales[..., np.newaxis]
    return weights
