"""Runs a model on arrays and brings back its attention, whatever the framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn import backends
from neural_attn.analysis.doctor import Finding, examine, examine_array
from neural_attn.backends.base import Backend
from neural_attn.compile import LoadedModel
from neural_attn.errors import fail
from neural_attn.maps.attention_map import Kind
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.shapes.infer import Attention, Checked

Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]
Tokens = Sequence[str] | Sequence[Sequence[str]] | None


@dataclass(frozen=True)
class Captured:
    """What one run gave: the output, and the attention maps.

    `findings` is what is wrong with the weights; a layer whose weights are no attention
    at all (NaN) is not among the maps.
    """

    output: NDArray[np.floating]
    maps: AttentionMaps
    findings: tuple[Finding, ...] = ()


def capture(loaded: LoadedModel, inputs: Inputs, tokens: Tokens = None) -> Captured:
    """Run a loaded network and keep the attention of all its layers.

    `inputs` is one array, or a mapping of input name to array. `tokens` label the
    positions of the first input: one list for all examples, or one per example. In an
    encoder-decoder network that is the encoder's; the decoder's are numbered.

    Raises NeuralError where the network has no attention.
    """
    require_attention(loaded.checked)
    kinds = loaded.checked.attentions
    output, found = run(loaded.model, loaded.backend, _cast(inputs, loaded.dtype))
    wrong = {name: examine_array(name, found[name][0]) for name in found}
    crosses = any(attention.kind == "cross" for attention in kinds.values())
    made = [
        AttentionMap(
            name,
            weights,
            _kind(kinds[name]),
            mask,
            kinds[name].causal,
            *_labels(tokens, kinds[name], weights, crosses),
        )
        for name, (weights, mask) in found.items()
        if wrong[name] is None
    ]
    source = loaded.checked.network.source
    maps = AttentionMaps(made, loaded.trained, source, loaded.backend.name)
    findings = [finding for finding in wrong.values() if finding is not None]
    return Captured(output, maps, (*findings, *examine(maps)))


def _labels(
    tokens: Tokens, attention: Attention, weights: NDArray[Any], crosses: bool
) -> tuple[Tokens, Tokens]:
    """The tokens of a map's queries and keys; None where they are other positions."""
    if not tokens:
        return None, None
    first = tokens[0]
    length = len(tokens) if isinstance(first, str) else len(first)
    is_decoder = crosses and attention.kind != "encoder_self"
    of_keys = length == weights.shape[3] and not (
        crosses and attention.kind == "decoder_self"
    )
    of_queries = length == weights.shape[2] and not is_decoder
    return tokens if of_queries else None, tokens if of_keys else None


def _cast(inputs: Inputs, dtype: str) -> Inputs:
    """Numbers in the precision of the network's weights; ids as they are."""
    if isinstance(inputs, Mapping):
        return {name: _cast_array(array, dtype) for name, array in inputs.items()}
    return _cast_array(inputs, dtype)


def _cast_array(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _kind(attention: Attention) -> Kind:
    return attention.kind  # type: ignore[return-value]


def require_attention(checked: Checked) -> None:
    """Raise NeuralError, with what would help, where a network has no attention."""
    if not checked.attentions:
        fail(
            "E0401",
            f"network {checked.network.name} has no attention to show",
            checked.network.block.span,
            "TransformerEncoder, TransformerDecoder, MultiHeadAttention, or a define "
            "that calls attend(…) would give some",
        )


def run(
    model: Any, backend: Backend, inputs: Inputs
) -> tuple[NDArray[Any], dict[str, tuple[NDArray[Any], NDArray[np.bool_] | None]]]:
    """Run a generated model; returns its output, and weights and mask by map name."""
    if isinstance(inputs, Mapping):
        tensors: Any = {name: backend.tensor(array) for name, array in inputs.items()}
    else:
        tensors = backend.tensor(inputs)
    layers = model.attention_layers()
    before = [layer.store_attention for layer in layers.values()]
    model.set_store_attention(True)
    try:
        with backend.inference():
            output = backend.array(model(tensors))
        found = {
            name: (
                backend.array(layer.attention_weights),
                None
                if layer.attention_mask is None
                else backend.array(layer.attention_mask),
            )
            for name, layer in layers.items()
        }
    finally:
        model.set_store_attention(False)
        for layer, flag in zip(layers.values(), before, strict=True):
            layer.store_attention = flag
    return output, found


def backend_of(model: Any) -> Backend:
    """The backend whose framework a generated model was made with.

    Raises NeuralError for anything that is not a model of ours.
    """
    if not callable(getattr(model, "attention_layers", None)):
        fail(
            "E0402",
            f"a {type(model).__name__} does not say which of its layers attend",
            hint="give a model that neural-attn generated: load_model(file).model",
        )
    roots = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    for name in backends.names():
        backend = backends.get(name)
        if backend.requires[0] in roots:
            return backend
    return backends.get("numpy")
