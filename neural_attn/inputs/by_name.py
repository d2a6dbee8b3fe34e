"""What is given to a network, by the names of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.shapes.instance import Checked

__all__ = ["by_name"]


def by_name(checked: Checked, data: Any, notes: list[str]) -> dict[str, Any]:
    """What is given by input name; segment ids that are left out are 0.

    Raises NeuralError for a name that the network does not have, and one that it needs.
    """
    inputs = checked.network.inputs
    names = [given.name for given in inputs]
    if not isinstance(data, Mapping):
        arrays = {names[0]: data}
    else:
        arrays = {str(name): array for name, array in data.items()}
        if len(arrays) == len(names) == 1:
            arrays = {names[0]: next(iter(arrays.values()))}
    for name in arrays:
        if name not in names:
            fail("E0405", name=name, names=", ".join(names))
    first = arrays.get(names[0])
    for given in inputs:
        if given.name in arrays or checked.may_lack(given):
            continue
        if given.name == "token_type_ids" and first is not None:
            arrays[given.name] = np.zeros(np.shape(first), np.int64)
            notes.append("token_type_ids not given: all tokens are of segment 0")
            continue
        fail("E0405.missing", input=given.name, names=", ".join(names))
    return arrays
