"""Texts into a network: its tokenizer, and the arrays that the network takes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import NeuralError, fail
from neural_attn.inputs.arrays import prepare
from neural_attn.inputs.prepared import Prepared
from neural_attn.inputs.tokenizer import Encoded, Tokenizer, find_tokenizer
from neural_attn.ir import is_mask
from neural_attn.shapes.instance import Checked


def open_tokenizer(
    file: Path | None,
    checkpoint: Path | None = None,
    explicit: str | os.PathLike[str] | None = None,
) -> Tokenizer:
    """The tokenizer of a network. Raises NeuralError where there is none."""
    path = find_tokenizer(file, checkpoint, explicit)
    if path is None:
        fail("E0415", what=file.name if file else "the network")
    return Tokenizer(path)


def prepare_encoded(checked: Checked, encoded: Encoded) -> Prepared:
    """Encoded texts as checked inputs of a network, with their tokens.

    Raises NeuralError where the ids do not fit the network, or where texts of
    different length meet a network that cannot tell padding.
    """
    names = [given.name for given in checked.network.inputs]
    # the same tokens fill every input: ids, segments, and so on
    tokens = {name: encoded.tokens for name in names if not is_mask(name)}
    arrays: dict[str, NDArray[Any]] = {
        name: array for name, array in encoded.inputs.items() if name in names
    }
    if len(names) == 1:
        arrays = {names[0]: _ids_alone(checked, encoded)}
    try:
        prepared = prepare(checked, arrays, tokens)
    except NeuralError as error:
        problem = error.diagnostics[0]
        said = f"the text does not fit the network: {problem.message}"
        hint = "is this the tokenizer that the network was trained with?"
        raise NeuralError([replace(problem, message=said, hint=hint)]) from None
    return replace(prepared, cut=encoded.notes)


def _ids_alone(checked: Checked, encoded: Encoded) -> NDArray[np.int64]:
    """The ids for a network that takes nothing else; padding must be id 0."""
    real = encoded.inputs["attention_mask"] != 0
    if not real.all() and not checked.network.pads_with:
        fail("E0409.padding")
    return np.where(real, encoded.inputs["input_ids"], 0)
