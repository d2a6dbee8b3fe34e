"""Calls of `flex_attention`, which no mode of PyTorch is told of, and their weights.

While it checks its arguments it asks once on which device its queries are: there it can
be read. Where it was compiled it asks nothing, and is not seen: a module that holds it
compiled is known by that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neural_attn.models.living.masks import HIDDEN, Mask, simplest
from neural_attn.models.living.rows import RowsOf, all_rows, blocks_of_rows
from neural_attn.models.living.scores import require_readable
from neural_attn.promises import SHARES, Rows

__all__ = ["FlexScores", "asks_device", "keeps_compiled", "names_compiled", "reading"]

_MODULE = "torch.nn.attention.flex_attention"
_ASKS = torch.Tensor.device  # as its check reads it


def asks_device(func: Any) -> bool:
    """Whether a function that is called tells on which device a tensor is."""
    return getattr(func, "__self__", None) is _ASKS


def reading(args: Any) -> Callable[[], FlexScores] | None:
    """What reads the call of `flex_attention` that asks for a device; None if none.

    It is to be called by what a mode calls.
    """
    if _MODULE not in sys.modules:
        return None
    caller = sys._getframe(2)
    known = caller.f_locals
    inside = caller.f_code is sys.modules[_MODULE].flex_attention.__code__
    if not inside or known.get("query") is not args[0]:
        return None
    masked = getattr(known["block_mask"], "mask_mod", None)
    return partial(
        FlexScores,
        *(known["query"], known["key"], known["score_mod"], masked, known["scale"]),
    )


def names_compiled(kind: type) -> bool:
    """Whether the code of a module names `flex_attention` as it was compiled."""
    forward = inspect.unwrap(kind.forward)  # type: ignore[attr-defined]
    names = getattr(getattr(forward, "__code__", None), "co_names", ())
    around = getattr(forward, "__globals__", {})
    return any(_is_compiled(around.get(name)) for name in names)


def keeps_compiled(module: Any) -> bool:
    """Whether a module itself has `flex_attention` compiled."""
    held = [one for one in vars(module).values() if type(one) is FunctionType]
    return any(map(_is_compiled, held))


def _is_compiled(held: Any) -> bool:
    if _MODULE not in sys.modules or type(held) is not FunctionType:
        return False
    original = getattr(held, "_torchdynamo_orig_callable", None)
    return original is sys.modules[_MODULE].flex_attention


@dataclass(frozen=True)
class FlexScores:
    """Attention whose scores are `score_mod` of scaled products, where `mask_mod` is.

    `query` is [batch, heads, queries, size], `key` [batch, key heads, keys, size]; the
    batch may be 1 and key heads may be shared. The functions are those of
    `flex_attention` (Dong et al., 2024, arXiv:2412.05496): of single places.
    """

    query: Any
    key: Any
    score_mod: Any
    mask_mod: Any
    scale: float

    def __post_init__(self) -> None:
        require_readable(self.query, self.key)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all weights: batch, heads, queries, keys."""
        batch = max(self.query.shape[0], self.key.shape[0])
        return batch, self.query.shape[1], self.query.shape[2], self.key.shape[2]

    @property
    def rows(self) -> Rows:
        """What rows promise: those of a softmax are shares."""
        return SHARES

    def read_mask(self, heads: Sequence[int]) -> Mask:
        """What the mask hides, and what the function of scores does by its size."""
        batch, _, queries, keys = self.shape
        allowed = np.empty((batch, len(heads), queries, keys), bool)
        for example, rows in blocks_of_rows(allowed.shape):
            zeros = torch.zeros(len(heads), rows.stop - rows.start, keys)
            changed = self._changed(zeros.to(self.query.device), example, heads, rows)
            allowed[example, :, rows] = (changed > HIDDEN).cpu().numpy()
        return simplest(allowed, queries, keys)

    def weights(self, heads: Sequence[int]) -> NDArray[np.float32]:
        """The exact weights of some heads, float32 [batch, heads, queries, keys]."""
        batch, _, queries, keys = self.shape
        return all_rows(self.rows_of(heads), (batch, len(heads), queries, keys))

    def rows_of(self, heads: Sequence[int]) -> RowsOf:
        """What makes some rows of one example; 0 where a query sees no key."""
        shared = self.query.shape[1] // self.key.shape[1]
        double = self.query.dtype == torch.float64
        exact = torch.float64 if double else torch.float32
        at = torch.tensor(list(heads), device=self.query.device)
        query, key = self.query[:, at], self.key[:, at // shared]

        def make(example: int, rows: slice) -> NDArray[np.float32]:
            asked = query[example % len(query), :, rows].to(exact)
            keyed = key[example % len(key)].to(exact)
            scores = self._changed(asked @ keyed.mT * self.scale, example, heads, rows)
            made = torch.softmax(scores, -1)
            made = made.masked_fill((scores == -torch.inf).all(-1, keepdim=True), 0)
            few: NDArray[np.float32] = made.to("cpu", torch.float32).numpy()
            return few

        return make

    def _changed(
        self, scores: Any, example: int, heads: Sequence[int], rows: slice
    ) -> Any:
        """Scores [heads, rows, keys] as both functions leave them."""
        from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

        here = {"device": scores.device}
        places = (
            torch.tensor(example, **here),
            torch.tensor(list(heads), **here),
            torch.arange(rows.start, rows.stop, **here),
            torch.arange(scores.shape[-1], **here),
        )
        # A tensor that is indexed by a place is no call of the model's, yet the mode
        # that makes it possible needs to see it.
        with (
            torch.no_grad(),
            torch._C._EnableTorchFunction(),
            TransformGetItemToIndex(),
        ):
            if self.score_mod is not None:
                scores = _everywhere(self.score_mod, (0,))(scores, *places)
            if self.mask_mod is not None:
                shown = _everywhere(self.mask_mod, ())(*places)
                scores = torch.where(shown, scores, -torch.inf)
        return scores


def _everywhere(function: Callable[..., Any], first: tuple[int, ...]) -> Any:
    """A function of single places, of all heads, rows and keys."""
    for axes in ((None, None, None, 0), (None, None, 0, None), (None, 0, None, None)):
        function = torch.vmap(function, in_dims=(*first, *axes))
    return function
