"""The catalogue of native layers: each is declared here, once.

Validation, help, shape inference, parameter counts and weight files all read it;
every backend adds one row of its own per layer (`backends/*/layers.py`). Other packages
add layers through the entry-point group `neural_attn.layers`; ours win.
"""

from __future__ import annotations

from neural_attn.catalogue.arranging import ARRANGING
from neural_attn.catalogue.base import (
    ACTIVATIONS,
    FLAG,
    SIZE,
    Kind,
    NativeLayer,
    Parameter,
    Weight,
)
from neural_attn.catalogue.convolution import CONVOLUTIONS
from neural_attn.catalogue.core import CORE
from neural_attn.catalogue.decoding import CACHE
from neural_attn.catalogue.learned import WEIGHT
from neural_attn.catalogue.merging import MERGING
from neural_attn.catalogue.normalization import NORMALIZATION
from neural_attn.catalogue.pooling import POOLING
from neural_attn.catalogue.recurrent import RECURRENT
from neural_attn.extensions import load

__all__ = [
    "ACTIVATIONS",
    "FLAG",
    "LAYERS",
    "SIZE",
    "Kind",
    "NativeLayer",
    "Parameter",
    "Weight",
    "find_layer",
]

FAMILIES = (
    CORE,
    (WEIGHT, CACHE),
    NORMALIZATION,
    CONVOLUTIONS,
    POOLING,
    ARRANGING,
    MERGING,
    RECURRENT,
)
GROUP = "neural_attn.layers"

_FROM_OUTSIDE = [layer for _, layer in load(GROUP, NativeLayer)]
LAYERS: dict[str, NativeLayer] = {
    layer.name: layer for family in (_FROM_OUTSIDE, *FAMILIES) for layer in family
}

BY_NAME = {
    name.lower(): layer
    for layer in LAYERS.values()
    for name in (layer.name, *layer.aliases)
}


def find_layer(name: str) -> NativeLayer | None:
    """The native layer of this name or alias; case does not matter."""
    return BY_NAME.get(name.lower())
