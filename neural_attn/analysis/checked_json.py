"""Values of a stranger's JSON file, each checked before it is used.

All raise ValueError, with what is wrong in words that follow the name of the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count", "counts", "number_or_none", "numbers", "typed"]

MOST_COUNT = 1 << 53  # above it, float64 skips whole numbers


def numbers(
    value: Any, shape: tuple[int, ...], least: float = -np.inf
) -> NDArray[np.float64]:
    """Finite numbers of this shape, and nothing that NumPy would take for numbers."""
    array = np.asarray(value)
    if array.size == 0 and 0 in shape:
        return np.zeros(shape)
    if array.dtype.kind not in "iuf" or array.shape != shape:
        raise ValueError(f"where {shape} numbers belong are {array.dtype}{array.shape}")
    exact = array.astype(np.float64)
    if not np.isfinite(exact).all() or (exact < least).any():
        raise ValueError("it holds a number that no analysis can give")
    return exact


def counts(value: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Whole numbers of this shape, none below 0."""
    exact = numbers(value, shape, least=0.0)
    if (exact > MOST_COUNT).any() or (exact != np.floor(exact)).any():
        raise ValueError("it holds a count that is not a whole number")
    return exact.astype(np.int64)


def count(value: Any) -> int:
    """A whole number, 0 or more."""
    if type(value) is not int or not 0 <= value <= MOST_COUNT:
        raise ValueError("it holds a count that is not a whole number")
    return value


def number_or_none(value: Any) -> float | None:
    """A finite number, or None."""
    return None if value is None else float(numbers(value, ()))


def typed(value: Any, *types: type) -> Any:
    """A value of exactly one of these types: True is not an int here."""
    if type(value) not in types:
        raise ValueError(f"it holds {str(value)[:40]!r} in a wrong place")
    return value
