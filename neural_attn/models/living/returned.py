"""What modules of `transformers` hand back: eager weights, and packed queries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from neural_attn.models.living.native import named
from neural_attn.models.living.scores import Given, Scores, is_dense

__all__ = ["unpacked", "weights_in"]

_MASKS = ("attention_mask", "mask")  # T5 has the shorter name
_PADDING = "key_padding_mask"  # [batch, keys], in FSMT


def weights_in(module: Any, args: Any, kwargs: Any, output: Any) -> Given | None:
    """Attention weights among what a module returned; None where there are none.

    The last tensor [batch, heads, queries, keys] of shares: T5 has its position bias,
    of the same shape, before. Other layouts (the windows of Longformer, XLNet's heads
    on the last axis) are not taken.
    """
    several = isinstance(output, tuple | list) and bool(output)
    if not several or not isinstance(output[0], torch.Tensor):
        return None
    for one in reversed(output[1:]):
        if isinstance(one, torch.Tensor) and _is_attention(one, module, output[0]):
            return Given(one, _mask(module, args, kwargs))
    return None


def _is_attention(weights: Any, module: Any, context: Any) -> bool:
    """Whether axes and sums are those of attention that gave [batch, queries, …]."""
    if weights.dim() != 4 or not weights.is_floating_point() or not weights.numel():
        return False
    if not is_dense(weights):
        return False
    batch, heads, queries, _ = weights.shape
    known = _heads(module) or {heads}
    first = tuple(context.shape[:2])  # time stands first in FSMT
    if first not in ((batch, queries), (queries, batch)) or heads not in known:
        return False
    sums = weights.float().sum(-1)
    whole = hasattr(module, "sinks") or ((sums - 1).abs() < 0.01) | (sums == 0)
    shares = bool(torch.as_tensor(whole).all()) and 0 < float(sums.max()) < 1.01
    return shares and float(weights.min()) >= 0


def _heads(module: Any) -> set[int]:
    """How many heads a module says it has; the halves of a model may have unlike."""
    owners = (module, getattr(module, "config", None))
    names = ("num_heads", "n_heads", "num_attention_heads", "decoder_attention_heads")
    found = (getattr(owner, name, None) for owner in owners for name in names)
    return {one for one in found if isinstance(one, int)}


def _mask(module: Any, args: Any, kwargs: Any) -> Any:
    """The mask [batch, 1, 1 or queries, keys] that a module was called with."""
    try:
        given = named(type(module).forward, (module, *args), kwargs)
    except TypeError:  # its forward was wrapped
        given = kwargs
    given = {**given, **given.get("kwargs", {})}
    masks = (given.get(name) for name in _MASKS)
    found = (m for m in masks if isinstance(m, torch.Tensor) and m.dim() == 4)
    padding: Any = given.get(_PADDING)
    is_padding = isinstance(padding, torch.Tensor) and padding.dim() == 2
    return next(found, padding[:, None, None] if is_padding else None)


def unpacked(module: Any, scores: Any) -> Any:
    """One query of each head, where those of a group were made queries of one head.

    `transformers` does so for a single query of grouped heads (its `pack_gqa`).
    """
    groups = vars(module).get("num_key_value_groups", 1)
    if groups < 2 or not isinstance(scores, Scores):
        return scores
    config = getattr(module, "config", None)
    all_heads = getattr(config, "num_attention_heads", None)
    heads, queries = scores.query.shape[1:3]
    if queries != groups or heads * groups != all_heads:
        return scores
    mask = scores.mask
    if mask is not None and mask.dim() == 4 and mask.shape[1] > 1:
        mask = mask.flatten(1, 2).unsqueeze(2)
    return replace(scores, query=scores.query.flatten(1, 2).unsqueeze(2), mask=mask)
