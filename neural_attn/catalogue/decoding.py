"""What remembers earlier steps while a network continues its own output."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    Arguments,
    NativeLayer,
    keep_shape,
    need_numbers,
)
from neural_attn.catalogue.types import ShapeError, Tensor


def _shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    need_numbers("Cache", x)
    if x.rank < 3:
        raise ShapeError(f"Cache keeps steps (batch, …, time, size), but gets {x}")
    return keep_shape(arguments, inputs)


CACHE = NativeLayer(
    "Cache",
    "Keys or values of earlier steps, while a network continues token by token.",
    (),
    _shape,
    keeps_time=True,
)

# layers that treat each step alone: what they give for it depends on no other one
STEPWISE = frozenset(
    {
        "Activation",
        "Add",
        "Average",
        "BatchNormalization",  # by statistics that are kept, as in all inference
        "Cache",
        "Dense",
        "Dropout",
        "Embedding",
        "GaussianNoise",
        "LayerNormalization",
        "Maximum",
        "Minimum",
        "Multiply",
        "Output",
        "Subtract",
        "Weight",
    }
)
