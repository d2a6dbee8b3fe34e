"""One named attention map, checked when it is made, and one example of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.diagnostics.choices import check_choice
from neural_attn.promises import KINDS, ROWS, SHARES, Kind, Rows

__all__ = [
    "AttentionItem", "AttentionMap", "Kind", "Tokens", "TokensLike", "heads_there",
]  # fmt: skip

Tokens: TypeAlias = tuple[tuple[str, ...], ...]
TokensLike: TypeAlias = Sequence[str] | Sequence[Sequence[str]] | None

MAX_NAME_LENGTH = 1000
RESERVED = "neural_attn"  # what stands beside the maps in their file is named so


@dataclass(frozen=True, eq=False)
class AttentionItem:
    """One example of one map, padding left out: what a picture or a number needs.

    Attributes
    ----------
    weights : float32 [heads, queries, keys]
    allowed : bool [heads, queries, keys]
        True where the network lets the query attend to the key.
    query_tokens, key_tokens : tuple of str
        One per row and one per column.
    head_indices : tuple of int
        The number that each head has in the network.
    rows : "shares", "parts", "gates" or "signed"
        What each row promises; see `AttentionMap`.
    """

    name: str
    kind: Kind
    causal: bool
    weights: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    query_tokens: tuple[str, ...]
    key_tokens: tuple[str, ...]
    head_indices: tuple[int, ...]
    rows: Rows = SHARES


@dataclass(frozen=True, eq=False, init=False)
class AttentionMap:
    """The attention weights of one layer, for a batch of examples.

    Parameters
    ----------
    name : str
        As the network names the layer; one line, and no path that leads elsewhere.
    weights : float [batch, heads, queries, keys]
        Weights before dropout, finite, and as `rows` promises. Kept as float32, and
        not writable.
    kind : "encoder_self", "decoder_self" or "cross"
    mask : bool, broadcastable to weights; int [batch, keys]; or None
        True where attending is allowed; or as tokenizers give it, 1 for a token and 0
        for padding. None: nothing was masked, except what `causal` says.
    causal : bool
        The network itself hides later keys. With fewer queries than keys, the last
        query stands at the last key.
    query_tokens, key_tokens : list of str, one such list per example, or None
        None numbers the positions "0", "1", ...
    head_indices : tuple of int or None
        The number of each head in the network, where only some are held.
    rows : "shares", "parts", "gates" or "signed"
        What each row promises: weights of 0 or more that sum to 1, as of a softmax
        ("shares"), to at most 1, as with a sink ("parts"), or to anything, as of a
        sigmoid ("gates"); or weights of any sign, as of differential attention
        ("signed"). The input doctor holds the rows to it.
    layer : int or None
        The number of its layer in the network, where some layers have no map. None:
        its place among the maps.
    known : bool
        The weights are known to be finite and of the signs that `rows` promises, as
        those of a softmax: they are not looked at.

    Raises
    ------
    ValueError
        If shapes, token counts or values do not fit; the message has both numbers.
    TypeError
        If tokens are not lists of texts.
    """

    name: str
    weights: NDArray[np.float32]
    kind: Kind
    mask: NDArray[np.bool_] | None
    causal: bool
    query_tokens: Tokens
    key_tokens: Tokens
    head_indices: tuple[int, ...]
    rows: Rows
    layer: int | None

    def __init__(
        self,
        name: str,
        weights: ArrayLike,
        kind: Kind = "encoder_self",
        mask: ArrayLike | None = None,
        causal: bool = False,
        query_tokens: TokensLike = None,
        key_tokens: TokensLike = None,
        head_indices: Sequence[int] | None = None,
        rows: Rows = SHARES,
        layer: int | None = None,
        *,
        known: bool = False,
    ) -> None:
        check_name(name)
        check_choice(f"{name}: kind", kind, KINDS)
        check_choice(f"{name}: rows", rows, ROWS)
        checked = _checked_weights(name, weights, rows, known)
        batch, heads, queries, keys = checked.shape
        indices = tuple(range(heads) if head_indices is None else head_indices)
        if len(indices) != heads or len(set(indices)) != heads:
            raise ValueError(
                f"{name}: {len(set(indices))} different head numbers for {heads} heads"
            )
        values = {
            "name": str(name),
            "weights": checked,
            "kind": kind,
            "mask": _checked_mask(name, mask, checked.shape),
            "causal": bool(causal),
            "query_tokens": _checked_tokens(
                name, "query", query_tokens, batch, queries
            ),
            "key_tokens": _checked_tokens(name, "key", key_tokens, batch, keys),
            "head_indices": tuple(int(index) for index in indices),
            "rows": rows,
            "layer": None if layer is None else int(layer),
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)  # as frozen dataclasses do it

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Where attending is allowed, from mask and `causal`; shaped like weights.

        A view that may share memory between its cells: do not write to it.
        """
        queries, keys = self.weights.shape[-2:]
        allowed = np.ones((1, 1, 1, 1), dtype=bool) if self.mask is None else self.mask
        if self.causal:
            allowed = allowed & np.tri(queries, keys, keys - queries, dtype=bool)
        return np.broadcast_to(allowed, self.weights.shape)

    def take_heads(self, places: Sequence[int]) -> AttentionMap:
        """The heads at these places, which keep their numbers."""
        at, mask = list(places), self.mask
        if mask is not None and mask.ndim > 2 and mask.shape[-3] > 1:
            mask = mask[..., at, :, :]
        numbers = tuple(self.head_indices[place] for place in at)
        weights = self.weights[:, at]
        return replace(self, weights=weights, mask=mask, head_indices=numbers)

    def key_range(self, batch_index: int = 0) -> slice:
        """Give the real keys of one example, from the first to the last visible.

        Padding is what no query in any head may attend to, at either end. Where the
        mask hides every key there is nothing to tell padding by: all are kept.
        """
        return true_range(self.allowed[batch_index].any(axis=(0, 1)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AttentionMap):
            return NotImplemented
        mine, theirs = self.mask, other.mask
        return (
            self._labels() == other._labels()
            and np.array_equal(self.weights, other.weights)
            and (mine is None) == (theirs is None)
            and (mine is None or theirs is None or np.array_equal(mine, theirs))
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and holds arrays

    def _labels(self) -> tuple[object, ...]:
        return (
            self.name,
            self.kind,
            self.causal,
            self.query_tokens,
            self.key_tokens,
            self.head_indices,
            self.rows,
            self.layer,
        )


def heads_there(numbers: Sequence[int]) -> str:
    """Heads with these numbers, as a message lists them."""
    last = max(numbers)
    if len(numbers) == last + 1:
        return f"heads 0 to {last}, or -1 for the last"
    several = "heads" if len(numbers) > 1 else "head"
    return f"{several} {', '.join(map(str, numbers))}"


def check_name(name: object) -> None:
    """Raise ValueError unless `name` can name a map, on a screen and in a file."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME_LENGTH:
        raise ValueError(
            f"a map's name is a text of 1 to {MAX_NAME_LENGTH} characters, "
            f"not {str(name)[:40]!r}"
        )
    # It names a member of an archive, which somebody may unpack.
    steps = name.split("/")
    if not name.isprintable() or "\\" in name or {"", ".", ".."} & set(steps):
        raise ValueError(
            "a map's name is printable, holds no \\, and has no empty or "
            f"dots-only part between /: {name[:80]!r} is not"
        )
    if steps[0] == RESERVED and len(steps) > 1:
        raise ValueError(f"a map's name does not begin with {RESERVED}/: {name[:80]!r}")


def _checked_weights(
    name: str, values: Any, rows: Rows, known: bool
) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise ValueError(f"{name}: weights are {array.dtype}, not floating point")
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"{name}: weights have shape {array.shape}, "
            "not [batch, heads, queries, keys] with at least one of each"
        )
    with np.errstate(over="ignore"):  # too large for float32: caught as infinite below
        weights: NDArray[np.float32] = array.astype(np.float32, copy=False).view()
    weights.flags.writeable = False
    if known:
        return weights
    # min and max tell of NaN and infinity too, without a boolean copy of the array;
    # along an axis that was broadcast, all is the same.
    some = weights[tuple(slice(1 if step == 0 else None) for step in weights.strides)]
    low, high = float(some.min()), float(some.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name}: weights are not all finite")
    if low < 0 and rows != "signed":
        raise ValueError(
            f"{name}: weights are not attention: the least is {low:g} < 0 "
            '(rows="signed" allows it)'
        )
    return weights


def _checked_mask(
    name: str, values: Any, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    if values is None:
        return None
    mask: NDArray[np.bool_] = _as_flags(name, np.asarray(values), shape)
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: the mask has shape {mask.shape}, "
            f"which does not broadcast to the weights' {shape}"
        )
    mask = mask.view()
    mask.flags.writeable = False
    return mask


def _as_flags(
    name: str, mask: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """A mask of flags, also from the integers [batch, keys] that tokenizers give."""
    if mask.dtype == np.bool_:
        return mask
    if mask.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: the mask is {mask.dtype}, not bool (True = may be attended)"
        )
    if mask.shape != (shape[0], shape[3]) or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"{name}: a mask of integers is 1 or 0, [batch, keys] = "
            f"[{shape[0]}, {shape[3]}]: this one has shape {mask.shape} and is "
            f"{mask.min()} to {mask.max()}"
        )
    flags: NDArray[np.bool_] = mask[:, np.newaxis, np.newaxis] != 0
    return flags


@lru_cache(16)  # the layers of a network have the same
def _positions(length: int) -> tuple[str, ...]:
    return tuple(map(str, range(length)))


def _checked_tokens(
    name: str, side: str, tokens: TokensLike, batch: int, length: int
) -> Tokens:
    if tokens is None:
        return (_positions(length),) * batch
    if isinstance(tokens, str):
        raise TypeError(f"{name}: {side} tokens are one text, not a list of tokens")
    rows: list[Any] = list(tokens)
    if all(isinstance(row, str) for row in rows):
        rows = [rows] * batch
    for row in rows:
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise TypeError(f"{name}: {side} tokens are not all texts")
    if len(rows) != batch:
        raise ValueError(
            f"{name}: {side} tokens for {len(rows)} examples, but there are {batch}"
        )
    for row in rows:
        if not all(isinstance(token, str) for token in row):
            raise TypeError(f"{name}: {side} tokens are not all texts")
        if len(row) != length:
            raise ValueError(
                f"{name}: {len(row)} {side} tokens, but there are {length} "
                f"{'queries' if side == 'query' else 'keys'}"
            )
    return tuple(tuple(str(token) for token in row) for row in rows)


def true_range(flags: NDArray[np.bool_]) -> slice:
    positions = np.flatnonzero(flags)
    if positions.size == 0:
        return slice(0, flags.size)
    return slice(int(positions[0]), int(positions[-1]) + 1)
