"""Finds what makes a model of the thing that somebody has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.extensions import load
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.foreign_arrays import is_array
from neural_attn.models.attention_model import AttentionModel, refuse_options
from neural_attn.models.capture import LoadedModel
from neural_attn.shapes.instance import Checked

__all__ = [
    "GROUP",
    "MAKERS",
    "is_handed_out",
    "load_network",
    "open_handed_out",
    "open_model",
]

GROUP = "neural_attn.models"
# The modules beside this one whose `make` is asked, in turn; found by name, so that
# what one needs is loaded for its things alone.
MAKERS = ("saved", "generated", "keras", "huggingface", "pytorch")

Maker = Callable[..., "AttentionModel | None"]


def open_model(given: Any, **options: Any) -> AttentionModel:
    """Make a model of a file or an object.

    Parameters
    ----------
    given : path, AttentionModel, LoadedModel, AttentionMaps, arrays, or a model
        A .neural file, an .npz file of maps or arrays, arrays by layer, a model that
        neural-attn generated, a PyTorch module (also of `transformers`), a Keras model,
        or what an entry point of the group `neural_attn.models` takes: a function of
        the thing that gives an `AttentionModel`, or None where it is not its own.
    options : see `make` in the modules of MAKERS
        `tokens` label arrays, and `rows` is what their rows promise; `network`,
        `tokenizer`, `backend`, `checkpoint` and `seed` are of a .neural file; the
        `tokenizer` of a module may be an object.

    Raises
    ------
    NeuralError
        For a thing that nobody knows, and whatever is wrong with a file.
    """
    if isinstance(given, AttentionModel):
        _refuse_all_but(options, "a model that is open")
        return given
    if given is None:
        fail("E0416")
    for name, take in load(GROUP, Callable):  # type: ignore[arg-type]
        model: AttentionModel | None = take(given)
        if model is not None and not isinstance(model, AttentionModel):
            raise TypeError(f"the plugin `{name}` gave a {type(model).__name__}")
        if model is not None:
            _refuse_all_but(options, f"a {type(given).__name__}")
            return model
    for make in _makers():
        model = make(given, **options)
        if model is not None:
            return model
    fail("E0402", kind=type(given).__name__)


def is_handed_out(given: Any) -> bool:
    """Whether something may be arrays or the outputs of a model, by its type."""
    if isinstance(given, str | bytes | AttentionMaps | AttentionModel):
        return False
    return isinstance(given, Sequence | Mapping) or is_array(given)


def open_handed_out(given: Any, inputs: Any, **claims: Any) -> AttentionModel:
    """Arrays or outputs of a model, with the inputs that it was called with.

    `claims` are as in `models.saved.SavedModel.of_arrays`, which is found by name as
    the makers are.
    """
    package = __name__.rpartition(".")[0]
    opened: AttentionModel = import_module(f"{package}.saved").SavedModel.of_arrays(
        given, inputs=inputs, **claims
    )
    return opened


def load_network(checked: Checked, *given: Any, **options: Any) -> LoadedModel:
    """`load_model` of a checked network, found by name as the makers are."""
    package = __name__.rpartition(".")[0]
    loaded: LoadedModel = import_module(f"{package}.generated").load_model(
        checked, *given, **options
    )
    return loaded


def _refuse_all_but(options: dict[str, Any], what: str) -> None:
    """Refuse options that are not of the inputs."""
    of_inputs = ("tokens", "seed")
    others = {name: v for name, v in options.items() if name not in of_inputs}
    refuse_options(others, what)


def _makers() -> Iterator[Maker]:
    package = __name__.rpartition(".")[0]
    for name in MAKERS:
        make: Maker = import_module(f"{package}.{name}").make
        yield make
