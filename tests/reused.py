"""Models that several tests look at are made once."""

from functools import cache

from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

_models = {}


def with_weights(checked, backend, path, dtype="float64"):
    """The generated model of a network, with the weights of a safetensors file.

    Tests share it: what one does to it beyond its weights must be undone.
    """
    key = emit(checked, get(backend)), backend, dtype
    if key not in _models:
        _models[key] = load_model(checked, backend, dtype=dtype)
    _models[key].model.load_weights(str(path))
    return _models[key]


@cache
def checked_text(text):
    """The one network of a text, and the warnings."""
    (checked,), warnings = check_text(text)
    return checked, warnings
