"""Whether an array can be attention at all, before it is made an `AttentionMap`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.findings import Finding
from neural_attn.promises import SHARES, Rows

__all__ = ["examine_array", "numbers"]


def examine_array(
    name: str, array: NDArray[np.floating], rows: Rows = SHARES
) -> Finding | None:
    """What is wrong with weights [batch, heads, queries, keys] by themselves."""
    if array.ndim != 4 or 0 in array.shape or array.dtype.kind != "f":
        return Finding.of("W0811", name, dtype=array.dtype, shape=array.shape)
    least = float(array.min())  # which is NaN if any weight is
    if not (np.isfinite(least) and np.isfinite(array.max())):
        finite = np.isfinite(array)
        heads = numbers((~finite).any(axis=(0, 2, 3)))
        count = int((~finite).sum())
        return Finding.of("W0801", name, count=count, heads=heads)
    if least < 0 and rows != "signed":
        return Finding.of("W0802", name, least=least)
    return None


def numbers(flags: NDArray[np.bool_], most: int = 8) -> str:
    """Numbers of what is flagged, as people list them."""
    found = [str(index) for index in np.flatnonzero(flags)]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
