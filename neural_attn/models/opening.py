"""Finds what makes a model of the thing that somebody has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.prepared import Tokens
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.attention_model import AttentionModel
from neural_attn.models.generated import BareModel, GeneratedModel, LoadedModel
from neural_attn.models.saved import SavedModel, read_saved

__all__ = ["GROUP", "open_model"]

GROUP = "neural_attn.models"


def open_model(
    given: Any,
    *,
    tokens: Tokens | None = None,
    network: str | None = None,
    tokenizer: Path | None = None,
    **options: Any,
) -> AttentionModel:
    """Make a model of a file or an object.

    Parameters
    ----------
    given : path, AttentionModel, LoadedModel, AttentionMaps, arrays, or a model
        A .neural file, an .npz file of maps or arrays, arrays by layer, a model that
        neural-attn generated, or what an entry point of the group
        `neural_attn.models` takes: a function of the thing that gives an
        `AttentionModel`, or None where the thing is not its own.
    tokens : the labels of arrays; all others bring theirs or get them with their inputs
    network, tokenizer, options : of a .neural file, as in `GeneratedModel`

    Raises
    ------
    NeuralError
        For a thing that nobody knows, and whatever is wrong with a file.
    """
    if isinstance(given, AttentionModel):
        return given
    if isinstance(given, str | os.PathLike):
        file = Path(given)
        if file.suffix == ".npz":
            return read_saved(file, tokens)
        return GeneratedModel.open(file, network, tokenizer=tokenizer, **options)
    if isinstance(given, LoadedModel):
        return GeneratedModel.of(given, tokenizer)
    if isinstance(given, AttentionMaps):
        return SavedModel.of(given)
    for entry in entry_points(group=GROUP):
        model: AttentionModel | None = entry.load()(given)
        if model is not None:
            return model
    if isinstance(given, Mapping):
        return SavedModel.of_arrays(given, tokens)
    if isinstance(given, Sequence):
        arrays = {f"layer_{index}": one for index, one in enumerate(given)}
        return SavedModel.of_arrays(arrays, tokens)
    if given is None:
        fail(
            "E0416",
            "this visualizer has no model",
            hint="give one to AttentionVisualizer, or call visualize_from_dsl",
        )
    return BareModel(given)
