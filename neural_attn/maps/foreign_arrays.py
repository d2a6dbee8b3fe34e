"""Arrays of any library as NumPy's, whatever they are made of and wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_array", "is_array"]


def is_array(value: Any) -> bool:
    """Whether it is one array: of a library, or numbers in nested lists."""
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__dlpack__"):
        return True
    if hasattr(value, "__array__") or hasattr(value, "__cuda_array_interface__"):
        return True
    return _is_nested_numbers(value)


def _is_nested_numbers(value: Any) -> bool:
    if not isinstance(value, Sequence):
        return False
    while isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
        value = value[0]
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_array(values: Any) -> NDArray[Any]:
    """A tensor of any library, or nested lists, as a NumPy array.

    It is taken off its graph and its device. What NumPy has no type for (bfloat16) is
    widened to float32. Raises TypeError, in the library's own words, for what gives no
    array.
    """
    if hasattr(values, "detach"):  # PyTorch: NumPy refuses gradients and bfloat16
        if values.is_meta:
            raise TypeError("a tensor on the meta device has a shape and no values")
        values = values.detach().cpu()
        if values.dtype.is_floating_point:
            values = values.to_dense().float()
        return np.asarray(values.numpy())
    try:
        array = _as_numpy(values)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        kind, reason = type(values).__name__, str(error).partition("\n")[0]
        raise TypeError(f"a {kind} gives no array: {reason}") from None
    # bfloat16 and float8 of ml_dtypes, which JAX and TensorFlow use
    return array.astype(np.float32) if _is_small_float(array.dtype) else array


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "V" and "float" in dtype.name


def _as_numpy(values: Any) -> NDArray[Any]:
    if hasattr(values, "get") and hasattr(values, "__cuda_array_interface__"):
        return np.asarray(values.get())  # CuPy
    if hasattr(values, "__array__") or not hasattr(values, "__dlpack__"):
        return np.asarray(values)
    return np.from_dlpack(values)
