"""A random sample for a network that is run without data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.inputs.limits import id_limits, max_length
from neural_attn.inputs.prepared import Labels
from neural_attn.inputs.tokens import count, rows
from neural_attn.ir import Input, is_mask
from neural_attn.shapes.instance import Checked

SAMPLE_LENGTH = 16  # where the network takes any length and nobody says one


def sample(
    checked: Checked, labels: Mapping[str, Labels], seed: int
) -> dict[str, NDArray[Any]]:
    """Random ids or numbers, the same for the same seed, and for the same label.

    Inputs with labels are as long as these; others that the network declares as long
    as one of these follow it.
    """
    lengths = {name: count(given) for name, given in labels.items()}
    random = np.random.default_rng(seed)
    declared = {i.name: i.shape[:1] for i in checked.network.inputs}
    length_if_any = min(SAMPLE_LENGTH, max_length(checked) or SAMPLE_LENGTH)
    arrays: dict[str, NDArray[Any]] = {}
    for given in checked.network.inputs:
        sizes = [size or length_if_any for size in given.shape]
        alike = (n for name, n in lengths.items() if declared[name] == given.shape[:1])
        length = lengths.get(given.name) or next(alike, None)
        if length and sizes:
            sizes[0] = length
        array = _random(checked, given, (1, *sizes), random)
        if given.name in labels and sizes:
            array = _alike(array, rows(labels[given.name])[0])
        arrays[given.name] = array
    return arrays


def _alike(array: NDArray[Any], labels: Sequence[str]) -> NDArray[Any]:
    """Let positions with one label hold the same: what is drawn for the first."""
    first = {label: place for place, label in reversed([*enumerate(labels)])}
    return array[:, [first[label] for label in labels]]


def _random(
    checked: Checked, given: Input, shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[Any]:
    if is_mask(given.name):
        return np.ones(shape, np.int64)
    if given.dtype == "int":
        limit = min(id_limits(checked).get(given.name, 2), 2**31)
        lowest = 1 if limit > 1 and given.name != "token_type_ids" else 0
        high = 1 if given.name == "token_type_ids" else limit
        return random.integers(lowest, max(high, lowest + 1), shape)
    return random.standard_normal(shape).astype(np.float32)
