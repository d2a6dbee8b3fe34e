"""Weights in files that PyTorch has pickled: `pytorch_model.bin` and its shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.pickled_files import form_of, load_pickled
from neural_attn.weighing import TooLargeError

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

        Raises NeuralError (E0629) where they are not floating-point numbers, or hold
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
    read, E0627 where it holds anything but tensors by name, or claims too much, E0629
    where one of them is not a plain array.
    """
    try:
        import torch
    except ImportError:
        fail("E0622.torch", path=path)
    try:
        state = load_pickled(path)
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    except TooLargeError as error:
        fail("E0627.large", path=path, reason=error)
    except ValueError:
        fail("E0627.torch", path=path)
    if not isinstance(state, dict):
        fail("E0627.named", path=path, what=f"a {type(state).__name__}")
    for name, value in state.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            what = f"a {type(value).__name__} under the name {name!r}"
            fail("E0627.named", path=path, what=what)
        if form := form_of(value):
            fail("E0629.form", path=path, name=name, form=form)
    return {name: PickledTensor(path, value) for name, value in state.items()}
