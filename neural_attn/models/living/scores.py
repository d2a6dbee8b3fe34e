"""One call of attention: what its weights follow from, and the weights themselves.

The model's own kernel has computed the output; this computes the weights beside it,
from the same queries, keys and mask, in blocks, so that beside the result there is
little in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neural_attn.models.living.masks import HIDDEN, Mask, simplest
from neural_attn.models.living.rows import BLOCK, RowsOf
from neural_attn.models.living.unread import UnreadError
from neural_attn.promises import SHARES, Rows

__all__ = ["Given", "Scores", "is_dense", "require_readable"]


@dataclass(frozen=True)
class Scores:
    """The arguments of one call of `scaled_dot_product_attention`.

    `query` is [batch, heads, queries, size], `key` [batch, key heads, keys, size],
    where the batch may be 1 and key heads may be shared by groups of heads. `mask`
    broadcasts; it is True where attending is allowed, or is added to the scaled scores.
    `causal` hides the keys right of the diagonal from the upper left, as `is_causal`.
    With `own`, both are of one sequence, to whose keys some may have been added.

    Raises UnreadError where there are no weights at all.
    """

    query: Any
    key: Any
    mask: Any = None
    causal: bool = False
    scale: float | None = None
    own: bool = False

    def __post_init__(self) -> None:
        heads, shared = self.query.shape[1], self.key.shape[1]
        if 0 in self.shape or heads % shared:
            raise UnreadError

    @classmethod
    def of(cls, query: Any, key: Any, mask: Any = None, **options: Any) -> Scores:
        """Bring tensors with fewer or more axes to the four of a map.

        What stands before the last three axes counts as the batch; three axes are
        [batch, queries, size] of one head.

        Raises UnreadError for tensors without values of their own.
        """
        require_readable(query, key, mask)
        if mask is not None and query.dim() == 3 == mask.dim():
            mask = mask.unsqueeze(1)
        if mask is not None and mask.dim() > 4:
            lead = torch.broadcast_shapes(query.shape[:-3], key.shape[:-3])
            mask = mask.expand(*lead, *mask.shape[-3:]).flatten(0, -4)
        query, key = _four(query, key), _four(key, query)
        if query.shape[1] == 1:
            query = query.expand(-1, key.shape[1], -1, -1)
        return cls(query, key, mask, **options)

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
        """Where attending is allowed, as maps say it."""
        mask = _of_heads(self.mask, heads)
        if mask is None and not self.causal:
            return Mask(None, False)
        queries, keys = self.shape[2:]
        allowed = np.tri(queries, keys, dtype=bool)[None, None]
        if mask is not None:
            own = _shown(mask)
            allowed = own & allowed if self.causal else own
        return simplest(allowed, queries, keys)

    def weights(self, heads: Sequence[int]) -> NDArray[np.float32]:
        """The exact weights of some heads, float32 [batch, heads, queries, keys].

        Half precision is computed in float32, double precision in float64. A query
        that may attend to no key has weight 0 everywhere.
        """
        batch, _, queries, keys = self.shape
        start = np.zeros if self.causal else np.empty  # later keys are not filled
        found = start((batch, len(heads), queries, keys), np.float32)
        few = max(1, BLOCK // (queries * keys))
        step = queries if few > 1 else max(1, min(queries, BLOCK // keys))
        with torch.no_grad(), torch._C.DisableTorchFunction():
            fill = self._filler(heads)
            for example in range(batch):
                for head in range(0, len(heads), few):
                    for row in range(0, queries, step):
                        some = slice(head, head + few)
                        rows = slice(row, min(row + step, queries))
                        fill(found[example, some, rows], example, some, rows)
        return found

    @staticmethod
    def are_known(weights: NDArray[np.float32]) -> bool:
        """Whether weights of a softmax need not be looked at: unless some are NaN.

        PyTorch adds them up where they were made, in the caches of all cores.
        """
        with torch.no_grad(), torch._C.DisableTorchFunction():
            return not np.isnan(float(torch.from_numpy(weights).sum()))

    def rows_of(self, heads: Sequence[int]) -> RowsOf:
        """What makes some rows of one example, without the rest."""
        keys = self.shape[3]
        with torch.no_grad(), torch._C.DisableTorchFunction():
            fill = self._filler(heads)

        def make(example: int, rows: slice) -> NDArray[np.float32]:
            found = np.zeros((len(heads), rows.stop - rows.start, keys), np.float32)
            with torch.no_grad(), torch._C.DisableTorchFunction():
                fill(found, example, slice(None), rows)
            return found

        return make

    def _filler(self, heads: Sequence[int]) -> Callable[..., None]:
        """What fills an array with some rows of some of these heads of an example.

        Both are to be called where nothing can see it: it is none of the model's.
        """
        query, key = self._exact(heads)
        causal = self.causal
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        mask = _of_heads(self.mask, heads)
        if mask is not None:
            mask = mask.expand(self.shape[0], mask.shape[1], *self.shape[2:])
        fits = query.is_cpu and query.dtype == torch.float32

        def fill(array: Any, example: int, some: slice, rows: slice) -> None:
            to = torch.from_numpy(array)
            asked, keyed = query[example, some, rows], key[example, some]
            if causal:
                to, keyed = to[..., : rows.stop], keyed[:, : rows.stop]
            seen = keyed.shape[1]
            scores = (
                to
                if fits
                else torch.empty_like(to, dtype=query.dtype, device=query.device)
            )
            if mask is None:
                added, beta = scores, 0
            else:
                of = some if mask.shape[1] > 1 else slice(None)
                added, beta = _additive(mask[example, of, rows, :seen], query.dtype), 1
            torch.baddbmm(added, asked, keyed.mT, beta=beta, alpha=scale, out=scores)
            if causal:
                scores.masked_fill_(_later(rows, seen, scores.device), -torch.inf)
            torch.softmax(scores, -1, out=scores)
            if mask is not None:
                scores.masked_fill_((added <= HIDDEN).all(-1, keepdim=True), 0)
            if not fits:
                to.copy_(scores)

        return fill

    def _exact(self, heads: Sequence[int]) -> tuple[Any, Any]:
        """Queries of some heads, and the keys of each, as precise as the maps are."""
        batch, all_heads, _, _ = self.shape
        exact = torch.float64 if self.query.dtype == torch.float64 else torch.float32
        query, key = self.query, self.key
        shared = all_heads // key.shape[1]
        if shared > 1 or len(heads) < all_heads:
            at = torch.tensor(heads, device=query.device)
            query, key = query[:, at], key[:, at // shared]
        every = (batch, -1, -1, -1)
        return query.to(exact).expand(every), key.to(exact).expand(every)


@dataclass(frozen=True)
class Given:
    """Weights [batch, heads, queries, keys] that a module gave, and its mask."""

    given: Any
    mask: Any = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all weights: batch, heads, queries, keys."""
        batch, heads, queries, keys = self.given.shape
        return batch, heads, queries, keys

    @property
    def rows(self) -> Rows:
        """Parts where a row lacks what a sink took."""
        sums = self.given.float().sum(-1)
        missing = (sums < 0.99) & (sums > 1e-4)  # 0: a row that sees nothing
        return "parts" if bool(missing.any()) else SHARES

    def read_mask(self, heads: Sequence[int]) -> Mask:
        """Where attending is allowed: as the mask says, or causal by exact zeros."""
        queries, keys = self.shape[2:]
        allowed = self._allowed(heads)
        if allowed is not None:
            return simplest(allowed, queries, keys)
        later = self.given.float().triu(1 + keys - queries)
        return Mask(None, queries > 1 and not bool(later.any()))

    def _allowed(self, heads: Sequence[int]) -> NDArray[np.bool_] | None:
        """What the mask of the module says, which may be of longer keys.

        True hides in some models (MPT): of both readings that counts which fits the
        weights, and neither where none does.
        """
        mask, keys = _of_heads(self.mask, heads), self.shape[3]
        if mask is None:
            return None
        shown = _shown(mask[..., :keys])
        readings = (shown, ~shown)
        return next((one for one in readings if self._fits(one, heads)), None)

    def _fits(self, allowed: NDArray[np.bool_], heads: Sequence[int]) -> bool:
        """Whether no weight is hidden, but in rows that see nothing at all."""
        hidden = torch.from_numpy(~allowed & allowed.any(axis=-1, keepdims=True))
        some = self.given.detach()[:, list(heads)]
        return not bool((some * hidden.to(some.device) > 1e-4).any())

    def weights(self, heads: Sequence[int]) -> NDArray[np.float32]:
        """The weights of some heads, float32; 0 where a query may attend to nothing."""
        every = len(heads) == self.given.shape[1]
        few = (self.given if every else self.given[:, list(heads)]).detach()
        found: NDArray[np.float32] = few.to("cpu", torch.float32).numpy()
        allowed = self._allowed(heads)
        blind = None if allowed is None else ~allowed.any(axis=-1, keepdims=True)
        return found if blind is None or not blind.any() else np.where(blind, 0, found)

    def rows_of(self, heads: Sequence[int]) -> RowsOf:
        """What takes some rows of one example; all of them are there."""
        found = self.weights(heads)
        return lambda example, at: found[example, :, at]


def require_readable(*tensors: Any) -> None:
    """Raise UnreadError for a tensor whose values cannot be had as those of an array.

    It is nested, batched by vmap, on no device, or of a library that spreads it.
    """
    for one in tensors:
        if one is not None and not is_dense(one):
            raise UnreadError


def is_dense(tensor: Any) -> bool:
    """Whether the values of a tensor are its own, as those of an array."""
    usual = type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    strided = tensor.layout == torch.strided and not tensor.is_nested
    return usual and strided and not wrapped and not tensor.is_meta


def _four(tensor: Any, other: Any) -> Any:
    """A tensor with the four axes of a map, whose batch fits that of another."""
    if tensor.dim() == 2:
        return tensor[None, None]
    if tensor.dim() == 3:
        return tensor.unsqueeze(1)
    if tensor.dim() > 4:
        lead = torch.broadcast_shapes(tensor.shape[:-3], other.shape[:-3])
        return tensor.expand(*lead, *tensor.shape[-3:]).flatten(0, -4)
    return tensor


def _of_heads(mask: Any, heads: Sequence[int]) -> Any:
    """A mask of four axes, of some heads."""
    if mask is None:
        return None
    while mask.dim() < 4:
        mask = mask.unsqueeze(0)
    return mask[:, list(heads)] if mask.shape[1] > 1 else mask


def _shown(mask: Any) -> NDArray[np.bool_]:
    """Where a mask lets attend."""
    shown = mask if mask.dtype == torch.bool else mask > HIDDEN
    found: NDArray[np.bool_] = shown.cpu().numpy()
    return found


def _additive(mask: Any, dtype: Any) -> Any:
    """A mask as numbers that are added."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)
    return mask.to(dtype)


def _later(rows: slice, seen: int, device: Any) -> Any:
    """Which keys of a block stand right of the diagonal."""
    query = torch.arange(rows.start, rows.stop, device=device)[:, None]
    return torch.arange(seen, device=device) > query
