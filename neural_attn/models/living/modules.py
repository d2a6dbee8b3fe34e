"""Which modules are followed as they are called, and which of them runs.

To follow all calls costs a model of many small modules some hundredths of its time.
`transformers` says in the names of its classes which modules attend: of a model that is
all its own, those alone are followed, and the one that calls a kernel is found where
the kernel was called from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from torch import nn

from neural_attn.models.living import native
from neural_attn.models.living.flex import names_compiled
from neural_attn.models.living.names import is_called_attention

__all__ = ["attending", "is_quiet", "running"]

_CALL = nn.Module._call_impl.__code__


def is_quiet(kind: type) -> bool:
    """Whether modules of a class are PyTorch's own, and none that attend."""
    own = kind.__module__.startswith("torch.nn.modules.")
    return own and not issubclass(kind, native.KINDS)


def _is_named(kind: type) -> bool:
    """Whether the name of a class tells whether its modules attend."""
    own = kind.__module__.startswith("transformers.")
    return own and not issubclass(kind, native.KINDS) and not names_compiled(kind)


def _is_changed(module: Any) -> bool:
    """Whether another code runs for a module than that of its class."""
    return "forward" in module.__dict__ or module._compiled_call_impl is not None


def attending(parts: Mapping[str, Any]) -> list[Any] | None:
    """The modules that can attend, by their names; None where names do not tell."""
    modules = parts.values()
    kinds = {type(module) for module in modules}
    if not all(is_quiet(kind) or _is_named(kind) for kind in kinds):
        return None
    if any(map(_is_changed, modules)):
        return None
    return [module for module in modules if is_called_attention(module)]


def running(paths: Mapping[int, str]) -> tuple[str, Any]:
    """The path of the module that runs here, and the module.

    `paths` are those of modules by their `id`. One that was made while the model runs
    has the path of the one around it. Modules that attend to nothing are passed by:
    what runs in one of them is its hook.
    """
    frame: FrameType | None = sys._getframe(1)
    inner = None
    while frame is not None:
        if frame.f_code is _CALL:
            module = frame.f_locals["self"]
            if not is_quiet(type(module)):
                inner = module if inner is None else inner
                path = paths.get(id(module))
                if path is not None:
                    return path, inner
        frame = frame.f_back
    return "", inner
