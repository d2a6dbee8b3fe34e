"""Modules that `torch.jit` has scripted or traced: they run where nothing watches."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["is_scripted", "may_attend"]

# what attention is computed by, under the names that a graph has for it
_OPERATIONS = (
    *("aten::softmax", "aten::_softmax", "aten::scaled_dot_product_attention"),
    *("aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd"),
)


def is_scripted(module: Any) -> bool:
    """Whether a module is a graph, whose parts are not called as modules."""
    return isinstance(module, torch.jit.ScriptModule)


def may_attend(module: Any) -> bool:
    """Whether the graph of such a module has a softmax, or attention as a whole."""
    graph = str(module.inlined_graph)
    return any(f"{operation}(" in graph for operation in _OPERATIONS)
