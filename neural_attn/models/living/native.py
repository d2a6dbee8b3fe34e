"""The attention of PyTorch's own modules, whose fast paths call no function to be seen.

What they attend by is worked out again from their arguments and weights, as
`torch.nn.functional.multi_head_attention_forward` does it (PyTorch 2.13).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from neural_attn.models.living.scores import Scores, require_readable

__all__ = [
    "KINDS",
    "function_scores",
    "kind_of",
    "layer_scores",
    "multihead_scores",
    "named",
]


_METHODS = {
    nn.MultiheadAttention: ("forward",),
    nn.TransformerEncoderLayer: ("forward", "_sa_block"),
    nn.TransformerEncoder: ("forward",),
}
KINDS = tuple(_METHODS)


def kind_of(module: Any) -> type | None:
    """The module of PyTorch with a fast path whose methods a module has as they are.

    Such a path is left where calls are watched.
    """
    if not isinstance(module, KINDS):
        return None
    kind = next(one for one in KINDS if isinstance(module, one))
    own = vars(module)  # as `accelerate` wraps a forward
    same = all(
        getattr(type(module), name) is getattr(kind, name) and name not in own
        for name in _METHODS[kind]
    )
    return kind if same else None


@cache
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(function)


def named(function: Any, args: Any, kwargs: Any) -> Mapping[str, Any]:
    """The arguments of a call by name, defaults included."""
    bound = _signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def layer_scores(layer: Any, args: Any, kwargs: Any, length: int | None) -> Scores:
    """Self-attention of an encoder layer that took its fast path.

    `length` is that of the batch with its padding, where the layer got a nested tensor.
    """
    given = named(nn.TransformerEncoderLayer.forward, (layer, *args), kwargs)
    source, padding = _padded(given["src"], length)
    if layer.norm_first:
        norm = layer.norm1
        source = functional.layer_norm(
            source, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
    if given["src_key_padding_mask"] is not None:
        padding = _not_zero(given["src_key_padding_mask"])
    mask = given["src_mask"]
    return _projected(
        **_own(layer.self_attn),
        own=True,
        query=source.transpose(0, 1),
        key=source.transpose(0, 1),
        # The fast path hides whatever is not 0, a finite bias too.
        attn_mask=None if mask is None else _not_zero(mask),
        key_padding_mask=padding,
    )


def multihead_scores(module: Any, args: Any, kwargs: Any) -> Scores:
    """Attention of one call of an `nn.MultiheadAttention`."""
    given = named(nn.MultiheadAttention.forward, (module, *args), kwargs)
    query, padding = _padded(given["query"], None)
    key, _ = _padded(given["key"], None)
    if module.batch_first and query.dim() == 3:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    own_padding = given["key_padding_mask"]
    return _projected(
        **_own(module),
        own=given["key"] is given["query"],
        query=query,
        key=key,
        attn_mask=given["attn_mask"],
        key_padding_mask=padding if own_padding is None else own_padding,
    )


def function_scores(args: Any, kwargs: Any) -> Scores:
    """Attention of one call of `F.multi_head_attention_forward`."""
    given = named(functional.multi_head_attention_forward, args, kwargs)
    own = given["key"] is given["query"]
    names = set(_signature(_projected).parameters) - {"own"}
    return _projected(own=own, **{name: given[name] for name in names})


def _own(module: Any) -> dict[str, Any]:
    """What the projection takes from the module."""
    return {
        "num_heads": module.num_heads,
        "in_proj_weight": module.in_proj_weight,
        "in_proj_bias": module.in_proj_bias,
        "bias_k": module.bias_k,
        "add_zero_attn": module.add_zero_attn,
        "q_proj_weight": module.q_proj_weight,
        "k_proj_weight": module.k_proj_weight,
        "static_k": None,
    }


def _padded(tensor: Any, length: int | None) -> tuple[Any, Any]:
    """A nested tensor as one [batch, time, width], and where it is padding."""
    if not tensor.is_nested:
        return tensor, None
    lengths = torch.tensor([len(one) for one in tensor.unbind()], device=tensor.device)
    size = (tensor.size(0), length or int(lengths.max()), tensor.size(2))
    padding = torch.arange(size[1], device=tensor.device) >= lengths[:, None]
    return torch.nested.to_padded_tensor(tensor, 0.0, size), padding


def _not_zero(mask: Any) -> Any:
    return mask if mask.dtype == torch.bool else mask != 0


def _projected(
    query: Any,
    key: Any,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    add_zero_attn: bool,
    q_proj_weight: Any,
    k_proj_weight: Any,
    static_k: Any,
    attn_mask: Any,
    key_padding_mask: Any,
    own: bool,
) -> Scores:
    """Queries and keys in heads, and one mask; all by PyTorch's names and layout."""
    if query.dim() == 2:  # without a batch
        query, key = query.unsqueeze(1), key.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    batch = query.shape[1]
    weights: Any = (q_proj_weight, k_proj_weight)
    if weights[0] is None:
        weights = in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    queries = functional.linear(query, weights[0], biases[0])
    keys = functional.linear(key, weights[1], biases[1])
    if bias_k is not None:
        keys = torch.cat([keys, bias_k.expand(1, batch, -1)])
    queries, keys = _in_heads(queries, num_heads), _in_heads(keys, num_heads)
    if static_k is not None:
        keys = static_k.unflatten(0, (batch, num_heads))
    if add_zero_attn:
        keys = functional.pad(keys, (0, 0, 0, 1))
    mask = _merged(attn_mask, key_padding_mask, batch, keys.shape[2])
    require_readable(queries, keys, mask)
    return Scores(queries, keys, mask, own=own)


def _in_heads(tensor: Any, heads: int) -> Any:
    """[time, batch, width] as [batch, heads, time, size]."""
    return tensor.unflatten(2, (heads, -1)).permute(1, 2, 0, 3)


def _merged(mask: Any, padding: Any, batch: int, keys: int) -> Any:
    """Both masks of PyTorch's modules (True hides) as one of a kernel (True shows)."""
    given = []
    if mask is not None:
        by_head = mask.dim() == 3
        given.append(mask.unflatten(0, (batch, -1)) if by_head else mask[None, None])
    if padding is not None:
        given.append(padding[:, None, None, :])
    # keys that were appended can be seen
    shown = [functional.pad(one, (0, keys - one.shape[-1])) for one in given]
    if len(shown) == 2 and shown[0].dtype != shown[1].dtype:
        shown = [_numbers(one) for one in shown]
    shown = [~one if one.dtype == torch.bool else one for one in shown]
    if len(shown) < 2:
        return shown[0] if shown else None
    first, second = shown
    return first & second if first.dtype == torch.bool else first + second


def _numbers(mask: Any) -> Any:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=torch.float32).masked_fill_(mask, -torch.inf)
