"""Arrays in the files that people save attention in: .npz, .npy, .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.inputs.arrays import read_data

__all__ = ["read_arrays"]

Arrays = NDArray[Any] | dict[str, NDArray[Any]]

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


def read_arrays(path: Path) -> Arrays:
    """One array, or several by name. Nothing in the file is executed.

    Raises NeuralError where it cannot be read, or holds a model's weights.
    """
    if path.suffix.lower() != ".safetensors":
        return read_data(path)
    arrays = _read_safetensors(path)
    weights = [name for name in arrays if name.endswith((".weight", ".bias"))]
    if 2 * len(weights) > len(arrays):
        fail("E0435.weights", path=path, name=weights[0])
    return arrays


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, deserialize

    try:
        entries: list[Any] = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except SafetensorError as error:
        fail("E0404.safetensors", path=path, reason=error)
    return {
        name: _array(path, name, entry) for name, entry in sorted(entries, key=_place)
    }


def _place(named: tuple[str, Any]) -> tuple[Any, ...]:
    """Layers in the order of their numbers: the file has them by the alphabet."""
    parts = "".join(c if c.isdigit() else f" {c} " for c in named[0]).split()
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts
    )


def _array(path: Path, name: str, entry: dict[str, Any]) -> NDArray[Any]:
    dtype = entry["dtype"]
    if dtype not in _DTYPES:
        fail("E0404.safetensors", path=path, reason=f"`{name}` holds {dtype}")
    array: NDArray[Any] = np.frombuffer(entry["data"], _DTYPES[dtype])
    array = array.reshape(entry["shape"])
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array
