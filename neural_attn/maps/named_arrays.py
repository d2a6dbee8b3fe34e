"""The arrays in whatever a library or a file holds them in: by name, in layer order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.axes import split_layers
from neural_attn.maps.foreign_arrays import as_array, is_array

__all__ = ["Found", "Steps", "find_arrays"]


@dataclass(frozen=True)
class Steps:
    """One layer's arrays of all steps of a generation."""

    arrays: Sequence[Any]


@dataclass(frozen=True)
class Found:
    """One layer: its array, its steps, or None where it has no attention.

    `layer` is its number in the list in which it stood.
    """

    name: str
    value: Any
    layer: int | None = None


def find_arrays(given: Any, axes: str | None = None, name: str = "") -> list[Found]:
    """The layers of arrays, lists and mappings of them, and lists of steps.

    A list holds layers, unless its items are lists themselves: then each is a step.
    With `axes`, its first letter may be the list's. Names are those of mappings, and
    `layer_0`, … in lists.

    Raises NeuralError (E0433) for what holds anything but arrays and None.
    """
    if given is None:
        return [Found(name or "attention", None)]
    if is_array(given):
        return _of_array(given, axes, name)
    if isinstance(given, Mapping):
        return [
            found
            for key, value in given.items()
            for found in find_arrays(value, axes, _joined(name, str(key)))
        ]
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return _of_list(given, axes, name)
    fail("E0433", kind=type(given).__name__)


def _of_array(given: Any, axes: str | None, name: str) -> list[Found]:
    if axes is None or "l" not in axes:
        return [Found(name or "attention", given)]
    array = as_array(given)
    if array.ndim != len(axes):
        return [Found(name or "attention", given)]  # which is said of it later
    layers, _ = split_layers(array, axes)
    return [Found(_numbered(name, n), one, n) for n, one in enumerate(layers)]


def _of_list(given: Sequence[Any], axes: str | None, name: str) -> list[Found]:
    there = [one for one in given if one is not None]
    if there and all(map(is_array, there)):
        arrays = [None if one is None else _values(one) for one in given]
        if axes is not None and _is_of_list(axes, arrays):
            return _of_array(_stacked(arrays), axes, name)
        return [Found(_numbered(name, n), one, n) for n, one in enumerate(arrays)]
    if there and not any(map(is_array, there)):
        return _of_steps(there, name)
    if not there:
        return [Found(_numbered(name, n), None, n) for n in range(len(given))]
    fail("E0433.mixed")


def _values(one: Any) -> Any:
    try:
        return as_array(one)
    except TypeError as error:
        fail("E0433.values", reason=error)


def _is_of_list(axes: str, arrays: Sequence[Any]) -> bool:
    """Whether the first of the axes is that of the list."""
    return all(one is not None and one.ndim == len(axes) - 1 for one in arrays)


def _stacked(arrays: Sequence[Any]) -> Any:
    shapes = {one.shape for one in arrays}
    if len(shapes) > 1:
        fail("E0433.unlike", shapes=", ".join(map(str, sorted(shapes))))
    return np.stack(arrays)


def _of_steps(steps: Sequence[Any], name: str) -> list[Found]:
    for one in steps:
        if isinstance(one, Mapping) or not isinstance(one, Sequence):
            fail("E0433", kind=type(one).__name__)
    counts = {len(one) for one in steps}
    if len(counts) > 1:
        fail("E0433.steps", counts=", ".join(map(str, sorted(counts))))
    layers = []
    for number, arrays in enumerate(zip(*steps, strict=True)):
        there = [one for one in arrays if one is not None]
        if not all(map(is_array, there)):
            fail("E0433.mixed")
        value = Steps([_values(one) for one in there]) if there else None
        layers.append(Found(_numbered(name, number), value, number))
    return layers


def _joined(name: str, more: str) -> str:
    return f"{name}/{more}" if name else more


def _numbered(name: str, number: int) -> str:
    return f"{name or 'layer'}_{number}"
