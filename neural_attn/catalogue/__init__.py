"""The catalogue of native layers: each is declared here, once.

Validation, help, shape inference, parameter counts and weight files all read it;
every backend adds one row of its own per layer (`backends/*/layers.py`). Other packages
add layers through the entry-point group `neural_attn.layers`; ours win.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

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
from neural_attn.catalogue.merging import MERGING
from neural_attn.catalogue.normalization import NORMALIZATION
from neural_attn.catalogue.pooling import POOLING
from neural_attn.catalogue.recurrent import RECURRENT

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
    NORMALIZATION,
    CONVOLUTIONS,
    POOLING,
    ARRANGING,
    MERGING,
    RECURRENT,
)
GROUP = "neural_attn.layers"


def _from_outside() -> list[NativeLayer]:
    """The layers of other packages, each entry point one or several."""
    found: list[NativeLayer] = []
    for entry in entry_points(group=GROUP):
        value: Any = entry.load()
        found += [value] if isinstance(value, NativeLayer) else value
    return found


LAYERS: dict[str, NativeLayer] = {
    layer.name: layer for family in (_from_outside(), *FAMILIES) for layer in family
}

BY_NAME = {
    name.lower(): layer
    for layer in LAYERS.values()
    for name in (layer.name, *layer.aliases)
}


def find_layer(name: str) -> NativeLayer | None:
    """The native layer of this name or alias; case does not matter."""
    return BY_NAME.get(name.lower())
