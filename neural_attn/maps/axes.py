"""What the axes of an array mean: told by `axes`, or by what is known, or not at all.

Every axis is a letter: `b` batch, `h` heads, `q` queries, `k` keys, `l` layers, and `1`
for one of length 1 that means nothing. The first letter may be of the list in which the
arrays stand: `qbk1` are the steps of a decoder that attended to [batch, keys, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail

__all__ = ["WORDS", "arrange", "check_axes", "guess", "in_words", "split_layers"]

WORDS = {"l": "layers", "b": "batch", "h": "heads", "q": "queries", "k": "keys"}
WHOLE = "bhqk"


def check_axes(axes: object) -> str:
    """Raise NeuralError where `axes` does not name queries, keys and each axis once."""
    axes = str(axes)
    letters = axes.replace("1", "")
    unknown = set(letters) - set(WORDS)
    if unknown or len(set(letters)) < len(letters) or not {"q", "k"} <= set(letters):
        fail("E0431", axes=axes)
    return axes


def in_words(axes: str) -> str:
    """Axes as people write them: [batch, queries, keys]."""
    return "[" + ", ".join(WORDS.get(letter, letter) for letter in axes) + "]"


def guess(shape: tuple[int, ...], batches: Sequence[int] = ()) -> str | None:
    """The axes of an array of this shape; None where they cannot be known.

    Three axes may be heads or a batch before queries and keys: that shows where there
    is one of them, or where `batches`, the numbers of texts that masks and tokens are
    for, say it.
    """
    if len(shape) == 2:
        return "qk"
    if len(shape) == 4:
        return WHOLE
    if len(shape) != 3 or shape[-1] == 1 < shape[-2]:
        return None
    if shape[0] == 1:
        return "hqk"
    texts = set(batches)
    if texts == {shape[0]}:
        return "bqk"
    return "hqk" if texts == {1} else None


def arrange(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """An array with these axes as [batch, heads, queries, keys]; a view.

    Raises ValueError where it has other axes.
    """
    ones = [place for place, letter in enumerate(axes) if letter == "1"]
    if array.ndim != len(axes) or any(array.shape[place] != 1 for place in ones):
        raise ValueError(f"shape {array.shape} is not {in_words(axes)}")
    array = np.squeeze(array, axis=tuple(ones))
    letters = axes.replace("1", "")
    for letter in WHOLE:
        if letter not in letters:
            array, letters = array[np.newaxis], letter + letters
    return np.transpose(array, [letters.index(letter) for letter in WHOLE])


def split_layers(array: NDArray[Any], axes: str) -> tuple[list[NDArray[Any]], str]:
    """The layers of an array with an axis of layers, and the axes of each."""
    place = axes.index("l")
    layers = list(np.moveaxis(array, place, 0))
    return layers, axes.replace("l", "")
