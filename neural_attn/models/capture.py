"""Runs a generated model on arrays and brings back its attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn import backends
from neural_attn.backends.emit.base import Backend
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.by_name import by_name
from neural_attn.inputs.prepared import Inputs, Labels, Tokens
from neural_attn.inputs.tokens import by_input, count
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.picture import Picture
from neural_attn.maps.validation import examine, examine_array
from neural_attn.models.attention_model import Captured
from neural_attn.models.decoder import Decoder
from neural_attn.shapes.instance import Checked

__all__ = ["LoadedModel", "backend_of", "capture", "require_attention", "run"]

# what a layer of generated code keeps of its attention
KEPT = ("store_attention", "attention_weights", "attention_mask")
Found = dict[str, tuple[NDArray[Any], NDArray[np.bool_] | None]]


@dataclass(frozen=True)
class LoadedModel:
    """A network that runs: the framework's own object, and what we know of it.

    `trained` is False while its weights are random; `dtype` is that of the weights;
    `module` is the source as it runs.
    """

    model: Any
    checked: Checked
    backend: Backend
    source: str
    trained: bool
    dtype: str = "float32"
    module: Any = None

    def __call__(self, inputs: Inputs) -> Any:
        """The framework's output for an array, or a mapping of input name to array.

        Segment ids that are left out are 0. Raises NeuralError for a name that is not
        an input's, and for an input that is missing.
        """
        arrays = by_name(self.checked, inputs, [])
        several = len(self.checked.network.inputs) > 1
        given = arrays if several else next(iter(arrays.values()))
        return self.model(_tensors(self.backend, given))

    @property
    def decoder(self) -> Decoder:
        """The layers that write, and the weights that they keep when told to.

        Raises NeuralError where the network has none.
        """
        kinds = {name: one.kind for name, one in self.checked.attentions.items()}
        require_attention(self.checked)
        return Decoder.of(
            self.checked.network.name, self.model.attention_layers(), kinds
        )


def capture(
    loaded: LoadedModel,
    inputs: Inputs,
    tokens: Tokens | None = None,
    pictures: Sequence[Picture] = (),
    steps: Labels = (),
    real: Mapping[str, NDArray[Any]] | None = None,
) -> Captured:
    """Run a loaded network and keep the attention of all its layers.

    `inputs` is one array, or a mapping of input name to array. `tokens` label the
    positions of the first input, or of several by name: one list for all examples, or
    one per example. Positions of other inputs are numbered. `steps` label those that no
    input has; patches of `pictures`, of which there is one for each example, bring
    their own. `real` says of inputs what is no padding, as `Prepared` does.

    Raises NeuralError where the network has no attention.
    """
    require_attention(loaded.checked)
    kinds = loaded.checked.attentions
    output, found = run(loaded.model, loaded.backend, _cast(inputs, loaded.dtype))
    wrong = {n: examine_array(n, w, kinds[n].rows) for n, (w, _) in found.items()}
    labels = by_input(loaded.checked, tokens)
    steps = [picture.tokens for picture in pictures] or steps
    if steps:
        labels[""] = steps
    made = [
        AttentionMap(
            name,
            weights,
            kinds[name].kind,  # type: ignore[arg-type]
            _shown(mask, (real or {}).get(kinds[name].keys)),
            kinds[name].causal,
            _fitting(labels.get(kinds[name].queries), weights.shape[2]),
            _fitting(labels.get(kinds[name].keys), weights.shape[3]),
            rows=kinds[name].rows,
        )
        for name, (weights, mask) in found.items()
        if wrong[name] is None
    ]
    source = loaded.checked.network.source
    maps = AttentionMaps(
        made, loaded.trained, source, loaded.backend.name, pictures=pictures
    )
    findings = [finding for finding in wrong.values() if finding is not None]
    return Captured(output, maps, (*findings, *examine(maps)))


def _shown(mask: NDArray[Any] | None, real: NDArray[Any] | None) -> Any:
    """The mask of a map, whose keys `real` tells from padding."""
    if real is None:
        return mask
    keys = real[:, np.newaxis, np.newaxis]
    return keys if mask is None else mask & keys


def _fitting(labels: Labels | None, length: int) -> Labels | None:
    """Tokens where they label so many positions; layers may change the number."""
    return labels if labels is not None and count(labels) == length else None


def _cast(inputs: Inputs, dtype: str) -> Inputs:
    """Numbers in the precision of the network's weights; ids as they are."""
    if isinstance(inputs, Mapping):
        return {name: _cast_array(array, dtype) for name, array in inputs.items()}
    return _cast_array(inputs, dtype)


def _cast_array(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def require_attention(checked: Checked) -> None:
    """Raise NeuralError, with what would help, where a network has no attention."""
    if not checked.attentions:
        fail("E0401", checked.network.block.span, network=checked.network.name)


def _tensors(backend: Backend, inputs: Inputs) -> Any:
    if isinstance(inputs, Mapping):
        return {name: backend.tensor(array) for name, array in inputs.items()}
    return backend.tensor(inputs)


def run(model: Any, backend: Backend, inputs: Inputs) -> tuple[NDArray[Any], Found]:
    """Run a generated model; returns its output, and weights and mask by map name."""
    tensors = _tensors(backend, inputs)
    layers = model.attention_layers()
    before = [
        {name: getattr(layer, name) for name in KEPT} for layer in layers.values()
    ]
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
        for layer, own in zip(layers.values(), before, strict=True):
            for name, value in own.items():
                setattr(layer, name, value)
    return output, found


def backend_of(model: Any) -> Backend:
    """The backend whose framework a generated model was made with."""
    roots = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    for backend in backends.known().values():
        if backend.requires[0] in roots:
            return backend
    return backends.get("numpy")
