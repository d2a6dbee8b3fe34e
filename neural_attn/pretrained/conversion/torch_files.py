"""Weights in files that PyTorch has pickled: `pytorch_model.bin` and its shards."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class PickledTensor:
    """A tensor of a pickled file, which is not in memory until it is read."""

    path: Path
    tensor: torch.Tensor

    @property
    def dtype(self) -> str:
        """As PyTorch calls it."""
        return str(self.tensor.dtype).removeprefix("torch.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return tuple(self.tensor.shape)

    def read(self, name: str) -> NDArray[np.float32]:
        """The values as float32.

        Raises NeuralError (E0629) where they are no floating-point numbers, or hold
        NaN or infinity.
        """
        if not self.tensor.is_floating_point():
            known = "float64, float32, float16, bfloat16"
            fail("E0629", path=self.path, name=name, dtype=self.dtype, dtypes=known)
        values: NDArray[np.float32] = self.tensor.detach().float().numpy()
        if not np.isfinite(values).all():
            fail("E0629.nan", path=self.path, name=name)
        return values


def pickled_tensors(path: Path) -> dict[str, PickledTensor]:
    """Every tensor of a file by name; nothing in the file is executed.

    Raises NeuralError: E0622 where PyTorch is not installed or the file cannot be
    read, E0627 where it holds anything but tensors by name.
    """
    try:
        import torch
    except ImportError:
        fail("E0622.torch", path=path)
    try:
        # Only tensors are let in; of a file of the newer form, none is read yet.
        state: Any = torch.load(
            path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    except Exception:  # noqa: BLE001 - of no pickle, its reader raises what it meets
        fail("E0627.torch", path=path)
    named = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in state.items()
    )
    if not named:
        fail("E0627.torch", path=path)
    return {name: PickledTensor(path, value) for name, value in state.items()}
