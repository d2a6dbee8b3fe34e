"""Models of Keras 3 as they are, on any of its backends: seen while they run.

Keras is imported by whoever has a model; nothing here is loaded before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from inspect import Parameter, signature
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Text
from neural_attn.models.attention_model import refuse_options
from neural_attn.models.living.inputs import by_name, is_numbers
from neural_attn.models.living.names import ROOT, Place, is_cross
from neural_attn.models.living.recorder import Recorder
from neural_attn.models.pytorch import Living, ModuleModel
from neural_attn.promises import Rows

__all__ = ["is_keras", "make"]

# how inputs of texts are called, by keras-hub and others
IDS = ("token_ids", "input_ids")
PADDING = ("padding_mask", "attention_mask")
SEGMENTS = ("segment_ids", "token_type_ids")


@dataclass
class _Paths:
    """Names of layers: their paths in the model.

    Where a model takes `several` inputs, the second is its decoder's.
    """

    several: bool = False

    def place(self, path: str, module: Any, before: int) -> Place:
        """Tell cross-attention by what a layer was given, else by what it is called."""
        name = path or ROOT
        named = is_cross(path, module.layer)
        cross = named if module.own is None else not module.own
        if cross:
            return Place(name, cross=True, asking=1, asked=0)
        if "decoder" not in path.lower():
            return Place(name)
        own = int(self.several)
        return Place(name, side="decoder", asking=own, asked=own)


@dataclass
class _Keras(Living):
    """What is known of a Keras model: how it is fed, and how it is watched."""

    named: _Paths = field(default_factory=_Paths)

    @property
    def backend(self) -> str:
        """Keras's own."""
        import keras

        return f"keras ({keras.backend.backend()})"

    def require_still(self) -> None:
        """Nothing: it is called as it is for predictions."""

    @contextmanager
    def watching(self, listener: Recorder) -> Iterator[None]:
        """Without gradients, where the backend would keep them."""
        import keras

        from neural_attn.models.living.keras_watch import Watch

        with Watch(self.module, listener):
            if keras.backend.backend() != "torch":
                yield
                return
            import torch

            with torch.no_grad():
                yield

    def unseen(self, parts: str, *, nothing: bool = False) -> Diagnostic:
        """What was not seen, and what may help."""
        kind = type(self.module).__name__
        if nothing:
            return Diagnostic.of("E0441.keras", kind=kind)
        return Diagnostic.of("W0901.keras", kind=kind, parts=parts)

    def prepare(self, data: Any, tokens: Tokens | None) -> Prepared:
        """An array, a tuple or list of several, or a mapping of their names."""
        arrays = isinstance(data, list) and all(hasattr(one, "shape") for one in data)
        data = tuple(data) if arrays else data  # as Keras takes several inputs
        given = {name: _array(value) for name, value in by_name(data).items()}
        self.named.several = len(given) > 1
        return Prepared(given, tokens)

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Ids, and what else the model has an input for; padding needs a mask."""
        from neural_attn.inputs.readers import read_texts

        encoded = read_texts(self.tokenizer, texts)
        ids, mask = (encoded.inputs[name] for name in ("input_ids", "attention_mask"))
        names = _input_names(self.module)
        known = [(IDS, ids), (PADDING, mask), (SEGMENTS, np.zeros_like(ids))]
        given = {n: array for own, array in known for n in names if n in own}
        if not any(name in given for name in PADDING):
            if not (mask.all() or self._hides_padding):
                fail("E0409.padding")
        given = given if any(name in given for name in IDS) else {"0": ids}
        return replace(self.prepare(given, encoded.tokens), cut=encoded.notes)

    @property
    def _hides_padding(self) -> bool:
        from neural_attn.models.living.keras_watch import layers_of

        return any(
            getattr(one, "mask_zero", False) for _, one in layers_of(self.module)
        )

    def call(self, given: Mapping[str, Any]) -> Any:
        """Call the model as for a prediction; outside of any graph."""
        if not all(name.isdecimal() for name in given):
            if set(given) <= set(_parameters(self.module)):
                return self.module(**given, **self._predicts)
            return self.module(dict(given), **self._predicts)
        values = list(given.values())
        if len(values) == 1:
            return self.module(values[0], **self._predicts)
        required = [
            one
            for one in _parameters(self.module).values()
            if one.default is Parameter.empty and one.kind != Parameter.VAR_KEYWORD
        ]
        args = [values] if len(required) < 2 else values
        return self.module(*args, **self._predicts)

    @property
    def _predicts(self) -> dict[str, bool]:
        has = "training" in _parameters(self.module)
        return {"training": False} if has else {}


def _parameters(layer: Any) -> Mapping[str, Parameter]:
    return signature(layer.call).parameters


def _input_names(model: Any) -> list[str]:
    """What a functional model calls its inputs, or the arguments of another."""
    given = getattr(model, "input", None)
    if isinstance(given, Mapping):
        return list(given)
    inputs = getattr(model, "inputs", None)
    return [one.name for one in inputs] if inputs else list(_parameters(model))


def _array(value: Any) -> Any:
    return np.asarray(value) if is_numbers(value) else value


def is_keras(given: Any) -> bool:
    """Whether something is a Keras layer or model; Keras is not imported for it."""
    keras = sys.modules.get("keras")
    layers = getattr(keras, "layers", None)
    return layers is not None and isinstance(given, layers.Layer)


def make(
    given: Any,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    **options: Any,
) -> ModuleModel | None:
    """A model of a Keras model or layer."""
    if not is_keras(given):
        return None
    refuse_options({"rows": rows, **options}, "a Keras model")
    return ModuleModel(given, _Keras(given, tokenizer))
