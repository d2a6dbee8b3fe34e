"""Watches one call of a Keras model: which layer runs, and each attention in it.

Keras has no hooks. While anything is watched, the functions through which attention
goes are wrapped in Keras itself; calls of other threads pass through. Layers and models
are not touched, and what a model computes is left as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from math import prod
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import layers
from keras.src import backend
from numpy.typing import NDArray

from neural_attn.models.living.arrays import ArrayScores, ArrayWeights
from neural_attn.models.living.masks import HIDDEN
from neural_attn.models.living.names import is_cross
from neural_attn.models.living.unread import UnreadError

__all__ = ["Called", "Watch", "attends", "layers_of"]

MULTI_HEAD = (layers.MultiHeadAttention, layers.GroupQueryAttention)


class Called(NamedTuple):
    """A layer that attends, and whether queries and keys are of one sequence.

    None: its arguments do not tell.
    """

    layer: Any
    own: bool | None


class Listener(Protocol):
    """What is told of the attention in a call."""

    unseen: list[str]

    def attended(self, path: str, module: Any, scores: Callable[[], Any]) -> None:
        """A layer attends; `scores` works out by what, and may be called later."""


def attends(layer: Any) -> bool:
    """Whether a layer is one of Keras's own that attend."""
    return isinstance(layer, (*MULTI_HEAD, layers.Attention))


def _is_of_hub(layer: Any) -> bool:
    """Whether a layer is one of KerasHub's attentions, as those of Llama and Gemma.

    They have a Softmax layer as a part, or call the function; those that are not
    called cross-attention attend from a sequence to itself.
    """
    kind = type(layer)
    return kind.__module__.startswith("keras_hub.") and "Attention" in kind.__name__


def layers_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Every layer inside a model once, with its path: names joined by dots."""
    seen = {id(model)}

    def inside(layer: Any, path: str) -> Iterator[tuple[str, Any]]:
        for part in layer._flatten_layers(include_self=False, recursive=False):
            if id(part) not in seen:
                seen.add(id(part))
                own = f"{path}.{part.name}".lstrip(".")
                yield own, part
                yield from inside(part, own)

    yield "", model
    yield from inside(model, "")


@dataclass
class _Frame:
    """A layer that runs."""

    layer: Any
    path: str
    own: bool | None
    attended: bool = False
    inside: bool = False  # whether a part of it attended


@dataclass
class Watch:
    """A context in which a listener is told of all attention that a model computes."""

    model: Any
    listener: Listener
    _frames: list[_Frame] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _dark: dict[int, str] = field(default_factory=dict)
    _error: Exception | None = None

    def __enter__(self) -> Watch:
        """Begin."""
        parts = list(layers_of(self.model))
        self._paths = {id(layer): path for path, layer in parts}
        self._attending = {id(layer): path for path, layer in parts if attends(layer)}
        wrapped: dict[tuple[Any, str], str] = {
            (layers.Layer, "__call__"): "_call",
            (backend.nn, "dot_product_attention"): "_kernel",
        }
        if any(_is_of_hub(one) for _, one in parts):
            wrapped[backend.nn, "softmax"] = "_softmax"
        kinds = {kind for _, one in parts if attends(one) for kind in type(one).__mro__}
        for kind in kinds:
            wrapped |= {(kind, n): "_method" for n in _METHODS if n in vars(kind)}
        with ExitStack() as exits:
            for (owner, name), handler in wrapped.items():
                exits.enter_context(_wrapped(owner, name, handler))
            self._before = getattr(_here, "watch", None)
            _here.watch = self
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        """End; nothing is left behind."""
        _here.watch = self._before
        self._exits.close()
        if self._error is not None:  # Keras makes others of what is raised inside it
            raise self._error
        if raised[0] is None:
            # a layer that is built by its first call runs in a graph before
            dark = (self._dark | self._attending).items()
            self.listener.unseen += [p for key, p in dark if key not in self._seen]

    # --- what is wrapped ------------------------------------------------------------

    def _call(self, function: Any, args: Any, kwargs: Any) -> Any:
        """A layer is called."""
        layer = args[0]
        above = self._frames[-1] if self._frames else None
        path = self._paths.get(id(layer))
        if path is None:  # a part that is not tracked, or made while the model runs
            path = above.path if above else ""
        own = True if _is_of_hub(layer) and not is_cross(path, layer) else None
        if attends(layer):
            own = _is_own(args[1:], kwargs)
        self._frames.append(_Frame(layer, path, own))
        try:
            output = function(*args, **kwargs)
        finally:
            frame = self._frames.pop()
            if frame.attended and above is not None and id(layer) not in self._paths:
                above.attended = True
            if above and (frame.attended or frame.inside):
                above.inside = True
        if above and isinstance(layer, layers.Softmax) and _is_of_hub(above.layer):
            self._tell(lambda: _softmax_of_hub(output, *args[1:], **kwargs))
        if _is_of_hub(layer) and not (frame.attended or frame.inside):
            self._dark[id(layer)] = path
        return output

    def _kernel(self, function: Any, args: Any, kwargs: Any) -> Any:
        """The fused function is called, by a layer of any kind."""
        output = function(*args, **kwargs)
        self._tell(lambda: _kernel_scores(*args, **kwargs))
        return output

    def _softmax(self, function: Any, args: Any, kwargs: Any) -> Any:
        """The function is called: an attention of KerasHub may do so by itself."""
        output = function(*args, **kwargs)
        layer = self._frames[-1].layer if self._frames else None
        if _is_of_hub(layer):
            self._tell(lambda: _softmax_by_hub(layer, output, args[0]))
        return output

    def _method(self, function: Any, args: Any, kwargs: Any) -> Any:
        """A layer of Keras attends, and has its weights where it is not fused."""
        if not self._frames or self._frames[-1].layer is not args[0]:
            return function(*args, **kwargs)
        before, self._frames[-1].attended = self._frames[-1].attended, False
        output = function(*args, **kwargs)
        pair = isinstance(output, tuple) and len(output) == 2
        if self._frames[-1].attended or not pair or output[1] is None:
            self._frames[-1].attended |= before
            return output
        layer, rest = args[0], args[1:]
        if isinstance(layer, layers.Attention):
            self._tell(lambda: _single_head(output[1], *rest, **kwargs))
        else:
            self._tell(lambda: _multi_head(layer, output[1], *rest, **kwargs))
        return output

    def _tell(self, scores: Callable[[], Any]) -> None:
        """Tell of the layer that runs; where it has no values, keep its name."""
        frame = self._frames[-1] if self._frames else _Frame(self.model, "", None)
        frame.attended = True
        _here.watch, watch = None, self  # what is computed here is none of the model's
        try:
            known = scores()
        except UnreadError:  # a graph is being traced
            self._dark[id(frame.layer)] = frame.path
        else:
            self._seen.add(id(frame.layer))
            called = Called(frame.layer, frame.own)
            self._pass_on(frame.path, called, known)
        finally:
            _here.watch = watch

    def _pass_on(self, path: str, called: Called, known: Any) -> None:
        try:
            self.listener.attended(path, called, lambda: known)
        except Exception as error:
            self._error = error
            raise


_METHODS = ("_compute_attention", "_apply_scores")
_here = threading.local()  # `watch`: of this thread
_lock = threading.Lock()
_uses: dict[tuple[Any, str], tuple[Any, int]] = {}  # originals, and how many watch


@contextmanager
def _wrapped(owner: Any, name: str, handler: str) -> Iterator[None]:
    """Wrap a function of a class or module for as long as anybody watches."""
    with _lock:
        original, count = _uses.get((owner, name), (vars(owner)[name], 0))
        if not count:
            setattr(owner, name, _watched(original, handler))
        _uses[owner, name] = original, count + 1
    try:
        yield
    finally:
        with _lock:
            original, count = _uses.pop((owner, name))
            if count > 1:
                _uses[owner, name] = original, count - 1
            else:
                setattr(owner, name, original)


def _watched(original: Any, handler: str) -> Any:
    @wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        watch = getattr(_here, "watch", None)
        if watch is None:
            return original(*args, **kwargs)
        return getattr(watch, handler)(original, args, kwargs)

    return function


# --- what a call attends by ---------------------------------------------------------


def _is_own(args: Any, kwargs: Any) -> bool | None:
    """Whether a layer is given one sequence as queries and as values or keys."""
    given = list(args[0]) if args and isinstance(args[0], list) else list(args)
    names = ("query", "value", "key")
    given += [kwargs[name] for name in names[len(given) :] if name in kwargs]
    if len(given) < 2:
        return None
    return any(one is given[0] for one in given[1:3])


def _array(tensor: Any) -> NDArray[Any]:
    """A tensor's values. Raises UnreadError where it stands in a graph."""
    if getattr(tensor, "graph", None) is not None:  # TensorFlow would only warn
        raise UnreadError
    try:
        if keras.backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16"):
            tensor = keras.ops.cast(tensor, "float32")
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        raise UnreadError from None  # each backend has its own


def _kernel_scores(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> ArrayScores:
    """Of `keras.ops.dot_product_attention`, whose heads stand before their size."""
    if attn_logits_soft_cap is not None:
        raise UnreadError  # backends differ in what they do with it
    queries, keys = (np.swapaxes(_array(one), 1, 2) for one in (query, key))
    scale = queries.shape[-1] ** -0.5 if scale is None else float(scale)
    allowed = None if mask is None else _array(mask).astype(bool)
    if is_causal:
        earlier = np.tri(queries.shape[2], keys.shape[2], dtype=bool)
        allowed = earlier if allowed is None else allowed & earlier
    bias = None if bias is None else _four(_array(bias))
    return ArrayScores(queries, keys, scale, _four(allowed), bias)


def _multi_head(
    layer: Any,
    weights: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any = None,
    training: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> ArrayWeights:
    """What `MultiHeadAttention` and `GroupedQueryAttention` compute themselves.

    Several axes that attend are one, and axes before the heads count as the batch.
    """
    found = _array(weights)
    axes = len(getattr(layer, "_attention_axes", (1,)))
    lead, heads = found.shape[: -2 * axes - 1], found.shape[-2 * axes - 1]
    sizes = (prod(found.shape[-2 * axes : -axes]), prod(found.shape[-axes:]))
    allowed = None
    if attention_mask is not None:
        allowed = _array(attention_mask).astype(bool)
        while allowed.ndim < found.ndim:
            allowed = np.expand_dims(allowed, -2 * axes - 1)
        of_heads = allowed.shape[-2 * axes - 1]
        whole = (*lead, of_heads, *found.shape[-2 * axes :])
        allowed = np.broadcast_to(allowed, whole).reshape(-1, of_heads, *sizes)
    if use_causal_mask:
        earlier = np.tri(*sizes, dtype=bool)
        allowed = earlier if allowed is None else allowed & earlier
    return ArrayWeights(found.reshape(-1, heads, *sizes), _four(allowed))


def _single_head(
    weights: Any,
    scores: Any,
    value: Any,
    scores_mask: Any = None,
    training: Any = False,
) -> ArrayWeights:
    """What `Attention` and `AdditiveAttention` compute: one head."""
    allowed = None if scores_mask is None else _array(scores_mask).astype(bool)
    if allowed is not None and allowed.ndim == 2:
        allowed = allowed[:, np.newaxis]  # keys of each example
    if allowed is not None:
        allowed = allowed[:, np.newaxis]
    return ArrayWeights(_array(weights)[:, np.newaxis], allowed)


def _softmax_of_hub(weights: Any, logits: Any, mask: Any = None) -> ArrayWeights:
    """What a Softmax in an attention of KerasHub gives; groups of heads in a row."""
    found = _array(weights)
    allowed = None if mask is None else _array(mask).astype(bool)
    if allowed is not None and found.ndim > 4:
        groups = (allowed.shape[0], *found.shape[1:-2], *allowed.shape[-2:])
        allowed = np.broadcast_to(allowed, groups)
        allowed = allowed.reshape(len(allowed), -1, *allowed.shape[-2:])
    return ArrayWeights(found.reshape(len(found), -1, *found.shape[-2:]), allowed)


def _softmax_by_hub(layer: Any, weights: Any, logits: Any) -> ArrayWeights:
    """What an attention of KerasHub makes of logits, to which its mask was added.

    The last key of gpt-oss is its sink.
    """
    keys = -1 if hasattr(layer, "sinks") else None
    found, allowed = (_array(one)[..., :keys] for one in (weights, logits))
    return ArrayWeights(found, allowed > HIDDEN)


def _four(array: Any) -> Any:
    """What broadcasts to weights, with four axes."""
    while array is not None and array.ndim < 4:
        array = array[np.newaxis]
    return array
