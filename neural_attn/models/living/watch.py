"""Watches one call of a PyTorch module: which module runs, and each attention in it.

Nothing is patched: the calls are seen by a `TorchFunctionMode`, which is of this thread
alone, and the stack of modules by hooks, which other threads pass. Where the modules
that attend are known by their names, they get the hooks; elsewhere the calls of all
modules have them, as PyTorch leaves its fast paths where a module has a hook of its
own. What the model computes is left as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import nn
from torch._C import (
    _get_function_stack_at,
    _len_torch_function_stack,
    _pop_torch_function_stack,
    _push_on_torch_function_stack,
)
from torch.nn import functional
from torch.nn.modules.module import (
    _global_forward_hooks_with_kwargs,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from neural_attn.models.living import native
from neural_attn.models.living.flex import (
    asks_device,
    keeps_compiled,
    names_compiled,
    reading,
)
from neural_attn.models.living.modules import attending, is_quiet, running
from neural_attn.models.living.scores import Scores, is_dense
from neural_attn.models.living.scripted import is_scripted, may_attend

__all__ = ["Listener", "Watch"]

FAST = (torch.Tensor, nn.Parameter)  # types that keep PyTorch on its fast paths


class Listener(Protocol):
    """What is told of the attention in a call."""

    unseen: list[str]

    def attended(self, path: str, module: Any, scores: Callable[[], Any]) -> None:
        """A module attends; `scores` works out by what, and may be called later."""

    def ended(
        self, path: str, module: Any, args: Any, kwargs: Any, output: Any
    ) -> bool:
        """A module in which no attention was seen has ended; whether it attended."""


@dataclass(slots=True)
class _Frame:
    """A module that runs."""

    module: Any
    path: str
    args: Any
    native: type | None = None  # the module with a fast path whose methods it has
    guard: Any = None  # turns the mode off or on for as long as it runs
    is_off: bool = False
    attended: bool = False
    last: Any = None  # what the last kernel in it was called with, and versions


class _Here(threading.local):
    """What is known of this thread."""

    watch: Watch | None = None  # the one that is told


_here = _Here()


class Watch:
    """A context in which a listener is told of all attention that a model computes."""

    def __init__(self, parts: Mapping[str, Any], listener: Listener) -> None:
        """Take the modules in the model that will be called, by their paths."""
        self._paths = {id(module): path for path, module in parts.items()}
        self._attending = attending(parts)
        self._is_quiet: Callable[[type], bool] = cache(is_quiet)
        self._names_compiled: Callable[[type], bool] = cache(names_compiled)
        self._listener = listener
        self._frames: list[_Frame] = []
        self._calls = _Calls(self._called, self._tell_running)
        self._exits = ExitStack()

    def __enter__(self) -> Watch:
        """Begin."""
        with ExitStack() as exits:
            # one that runs inside another, in a hook, is all that is told
            exits.callback(setattr, _here, "watch", _here.watch)
            if not torch._C._is_torch_function_enabled():
                exits.enter_context(torch._C._EnableTorchFunction())
            if self._attending is None:
                self._follow_all(exits)
            else:
                self._follow(self._attending, exits)
            exits.enter_context(self._calls)
            exits.callback(self._close_all)
            _here.watch = self
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        """End; nothing is left behind."""
        self._exits.close()

    def _follow_all(self, exits: ExitStack) -> None:
        began = register_module_forward_pre_hook(self._began)
        exits.callback(began.remove)
        ended = register_module_forward_hook(
            self._ended, with_kwargs=True, always_call=True
        )
        exits.callback(ended.remove)
        # which `remove` forgets (PyTorch 2.13)
        exits.callback(_global_forward_hooks_with_kwargs.pop, ended.id, None)

    def _follow(self, modules: Sequence[Any], exits: ExitStack) -> None:
        for module in modules:
            began = module.register_forward_pre_hook(self._began)
            exits.callback(began.remove)
            ended = module.register_forward_hook(
                self._ended, with_kwargs=True, always_call=True
            )
            exits.callback(ended.remove)

    def _close_all(self) -> None:
        if self._calls.is_paused:
            self._calls.go_on()
        while self._frames:
            self._close(self._frames.pop())

    def _close(self, frame: _Frame) -> None:
        if frame.guard is not None:
            frame.guard.__exit__(None, None, None)

    # --- modules --------------------------------------------------------------------

    def _passes(self, module: Any) -> bool:
        """Whether no attention can stand in the code of a module itself."""
        return self._is_quiet(type(module)) and "forward" not in module.__dict__

    def _began(self, module: Any, args: Any) -> None:
        if _here.watch is not self:
            return
        if self._passes(module):
            if not (
                module._modules or module._forward_hooks or module._forward_pre_hooks
            ):
                self._calls.pause()
            return
        if self._calls.is_paused:
            self._calls.go_on()
        above = self._frames[-1] if self._frames else None
        path = self._paths.get(id(module))
        if path is None:  # made while the model runs
            path = above.path if above else ""
        kind = native.kind_of(module)
        frame = _Frame(module, path, args, kind, is_off=bool(above and above.is_off))
        off = kind is not None and (frame.is_off or _is_plain(module, args))
        if off != frame.is_off:
            guards = torch._C.DisableTorchFunction, torch._C._EnableTorchFunction
            frame.guard, frame.is_off = guards[not off](), off
            frame.guard.__enter__()
        self._frames.append(frame)

    def _ended(self, module: Any, args: Any, *rest: Any) -> None:
        """After a module, also one that raised: then there are no keyword arguments."""
        if _here.watch is not self:
            return
        if self._calls.is_paused:
            self._calls.go_on()
        elif self._frames and (
            self._frames[-1].module is module or not self._passes(module)
        ):
            self._leave(module, args, *rest)

    def _leave(self, module: Any, args: Any, *rest: Any) -> None:
        frame = self._frames.pop()
        while frame.module is not module and self._frames:
            self._close(frame)
            frame = self._frames.pop()
        self._close(frame)
        if len(rest) == 2:
            self._look(frame, args, *rest)

    def _look(self, frame: _Frame, args: Any, kwargs: Any, output: Any) -> None:
        """See the attention of a module that called none, or none that shows."""
        module, path = frame.module, frame.path
        if frame.attended:
            self._mark()
        elif frame.native is nn.MultiheadAttention:
            self._tell(
                path, module, lambda: native.multihead_scores(module, args, kwargs)
            )
        elif frame.native is nn.TransformerEncoderLayer:
            inner = f"{path}.self_attn".lstrip(".")
            length = self._length()
            self._tell(
                inner,
                module.self_attn,
                lambda: native.layer_scores(module, args, kwargs, length),
            )
        elif self._listener.ended(path, module, args, kwargs, output):
            self._mark()
        elif is_scripted(module):
            if may_attend(module):
                self._listener.unseen.append(path)
        elif self._names_compiled(type(module)) or keeps_compiled(module):
            self._listener.unseen.append(path)

    def _length(self) -> int | None:
        """The padded length of the batch that an encoder made a nested tensor of."""
        for frame in reversed(self._frames):
            source = frame.args[0] if frame.args else None
            is_encoder = isinstance(frame.module, nn.TransformerEncoder)
            if is_encoder and isinstance(source, torch.Tensor) and source.dim() == 3:
                return None if source.is_nested else int(source.shape[1])
        return None

    # --- functions ------------------------------------------------------------------

    def _called(self, func: Any, args: Any, kwargs: Any) -> None:
        make = _called_scores if func is _SDPA else native.function_scores
        if func is not _SDPA or not self._is_again(args, kwargs):
            self._tell_running(lambda: make(args, kwargs))

    def _is_again(self, args: Any, kwargs: Any) -> bool:
        """Whether the weights are those of the kernel before, for other values.

        DiffLlama has two halves of values for one softmax.
        """
        if not self._frames or _here.watch is not self:
            return False
        frame = self._frames[-1]
        with torch._C.DisableTorchFunction():
            now = args, kwargs, [_version(one) for one in (*args, *kwargs.values())]
            before, frame.last = frame.last, now
            return before is not None and _are_same(_given(*before), _given(*now))

    def _tell_running(self, scores: Callable[[], Any]) -> None:
        if _here.watch is not self:
            return
        if self._attending is not None:
            path, module = running(self._paths)
        elif self._frames:
            path, module = self._frames[-1].path, self._frames[-1].module
        else:
            path, module = "", None
        self._tell(path, module, scores)

    def _tell(self, path: str, module: Any, scores: Callable[[], Any]) -> None:
        self._mark()
        # what is computed for the map is no call of the model's
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self._listener.attended(path, module, scores)

    def _mark(self) -> None:
        if self._frames:
            self._frames[-1].attended = True


_SDPA = functional.scaled_dot_product_attention
_MULTIHEAD = functional.multi_head_attention_forward


class _Calls(TorchFunctionMode):  # type: ignore[misc]  # torch is untyped here
    """Tells of two functions, after they are called; all are called as they are.

    Of `flex_attention` it tells before.
    """

    def __init__(
        self,
        told: Callable[[Any, Any, Any], None],
        flexible: Callable[[Callable[[], Any]], None],
    ) -> None:
        super().__init__()
        self._told, self._flexible = told, flexible
        self.is_paused = False

    def pause(self) -> None:
        """See nothing, at no cost, until it goes on; modes of others see what they do.

        Most of a model are modules of PyTorch that hold no other and attend to nothing.
        """
        modes = _len_torch_function_stack()
        if modes and _get_function_stack_at(modes - 1) is self:
            _pop_torch_function_stack()
            self.is_paused = True

    def go_on(self) -> None:
        """See again what is called, after a pause."""
        _push_on_torch_function_stack(self)
        self.is_paused = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if asks_device(func) and not torch.compiler.is_dynamo_compiling():
            scores = reading(args)
            if scores is not None:
                self._flexible(scores)
        output = func(*args, **kwargs)
        if func is _SDPA or func is _MULTIHEAD:
            self._told(func, args, kwargs)
        return output


_SDPA_NAMES = (
    *("query", "key", "value", "attn_mask"),
    *("dropout_p", "is_causal", "scale", "enable_gqa"),
)


def _given(args: Any, kwargs: Any, versions: Any) -> dict[str, tuple[Any, object]]:
    """What decides the weights of a kernel, by name, each with its version."""
    names = (*_SDPA_NAMES[: len(args)], *kwargs)
    values = (*args, *kwargs.values())
    given = dict(zip(names, zip(values, versions, strict=True), strict=True))
    given.pop("value", None)
    return given


def _are_same(before: Any, now: Any) -> bool:
    """Whether arguments with their versions are the same; keys may be a copy."""
    if set(before) != set(now):
        return False
    (query, then), (given, _) = before["query"], now["query"]
    if not _is_kept(query, then) or _identity(query) != _identity(given):
        return False
    return all(_is_same(one, then, now[n][0]) for n, (one, then) in before.items())


def _is_same(held: Any, then: object, given: Any) -> bool:
    if not (isinstance(held, torch.Tensor) and isinstance(given, torch.Tensor)):
        return held is given or bool(held == given)
    if not (_is_kept(held, then) and is_dense(given)):
        return False
    if _identity(held) == _identity(given):
        return True
    alike = (held.shape, held.dtype) == (given.shape, given.dtype)
    return alike and torch.equal(held, given)


def _version(one: Any) -> object:
    """What tells that a tensor was written over; None where nobody counts it."""
    is_counted = isinstance(one, torch.Tensor) and not one.is_inference()
    return one._version if is_counted else None


def _is_kept(held: Any, then: object) -> bool:
    """Whether a tensor still holds what it held."""
    return then is not None and is_dense(held) and held._version == then


def _identity(one: Any) -> object:
    """Where the values of a tensor stand."""
    if not is_dense(one):
        return object()
    return one.data_ptr(), one.shape, one.stride(), one.dtype


def _sdpa(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Scores:
    if hasattr(attn_mask, "_materialize"):  # torch.nn.attention.bias
        attn_mask = attn_mask._materialize(query.device)
    return Scores.of(query, key, attn_mask, causal=is_causal, scale=scale)


def _called_scores(args: Any, kwargs: Any) -> Scores:
    return _sdpa(*args, **kwargs)


def _is_plain(module: Any, args: Any) -> bool:
    """Whether nothing but us watches functions here: then fast paths are taken."""
    tensors = [x for x in args if isinstance(x, torch.Tensor)]
    tensors += module.parameters()
    alone = all(isinstance(one, _Calls) for one in _get_current_function_mode_stack())
    return alone and all(type(one) in FAST for one in tensors)
