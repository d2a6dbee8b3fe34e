"""The kinds of model that can be imported, by the `model_type` of config.json."""

from __future__ import annotations

from importlib import import_module

from neural_attn.diagnostics.errors import did_you_mean, fail
from neural_attn.pretrained.config import Config
from neural_attn.pretrained.family import Family

# model_type -> the module whose FAMILY knows it
_MODULES = {
    "bert": "neural_attn.pretrained.bert",
}


def family_of(config: Config) -> Family:
    """The family of a model. Raises NeuralError (E0624) where none knows it."""
    model_type = config.text("model_type")
    if model_type not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        fail(
            "E0624",
            f"{config.path}: models of type {model_type!r} cannot be imported",
            hint=did_you_mean(model_type, _MODULES) or f"supported types: {known}",
        )
    family: Family = import_module(_MODULES[model_type]).FAMILY
    return family
