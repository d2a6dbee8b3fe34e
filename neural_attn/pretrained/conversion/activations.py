"""Names of activation functions in config.json files."""

from __future__ import annotations

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.config import Config

# their name -> ours; the exact and the tanh GELU differ by up to 5e-4
_NAMES = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "gelu_sigmoid",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "mish": "mish",
}


def activation(config: Config, key: str, default: str) -> str:
    """Our name for the activation that `key` names. Raises NeuralError (E0626)."""
    return activation_named(config, config.text(key, default))


def activation_named(config: Config, name: str) -> str:
    """Our name for an activation. Raises NeuralError (E0626) where it is unknown."""
    if name not in _NAMES:
        known = ", ".join(_NAMES)
        fail("E0626.activation", path=config.path, name=name, known=known)
    return _NAMES[name]
