"""One map of one array: which tokens it has, what is padding, causal, what rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import AttentionMap, Kind, TokensLike
from neural_attn.maps.causality import looks_causal, missing_mass, promise_of
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import as_array
from neural_attn.maps.token_texts import Texts
from neural_attn.promises import PARTS, Rows, nowhere

__all__ = ["CAUSAL", "Claims", "Taken", "as_map", "listed", "plain_map"]

CAUSAL = (
    "taken as causal, as no weight goes to a later key "
    "(causal=False or --no-causal undoes it)"
)
DIVIDED = 'each row is divided by its sum (rows="shares" refuses it)'


@dataclass(frozen=True)
class Claims:
    """What is said of arrays by those who have them; None: it is to be found out.

    `axes` is as in `maps.axes`; `mask` as in `AttentionMap`. `own` says whether they
    are self-attention: then queries and keys differ in number only by a cache or a
    local window. `query_tokens` and `query_mask` are those of cross-attention.
    """

    tokens: Texts | None = None
    axes: str | None = None
    causal: bool | None = None
    mask: NDArray[Any] | None = None
    rows: Rows | None = None
    own: bool | None = None
    query_tokens: Texts | None = None
    query_mask: NDArray[Any] | None = None

    @property
    def batches(self) -> list[int]:
        """The numbers of texts that tokens and a mask are for."""
        rows = self.tokens or []
        found = [len(rows)] if rows and not isinstance(rows[0], str) else []
        mask = self.mask
        return found + ([] if mask is None or not _is_of_keys(mask) else [len(mask)])


@dataclass
class Taken:
    """Maps, with all names there were; what is wrong with the rest; what was taken."""

    maps: list[AttentionMap] = field(default_factory=list)
    names: list[tuple[str, int | None]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)

    def say(self, what: str, name: str) -> None:
        """Note what a map is taken for."""
        self.said.setdefault(what, []).append(name)

    @property
    def notes(self) -> list[str]:
        """What was taken for what: a line for each."""
        return [f"{listed(names)}: {what}" for what, names in self.said.items()]

    def add(self, other: Taken) -> None:
        """Take in what was taken elsewhere."""
        self.maps += other.maps
        self.names += other.names
        self.findings += other.findings
        for what, names in other.said.items():
            self.said.setdefault(what, []).extend(names)


def as_map(
    name: str,
    weights: NDArray[Any],
    claims: Claims,
    taken: Taken,
    number: int | None,
) -> AttentionMap:
    """The map of weights [batch, heads, queries, keys], with all that is claimed."""
    queries, keys = weights.shape[2:]
    own = queries == keys if claims.own is None else claims.own
    mask = _fitting_mask(name, weights, claims)
    real = _real_rows(weights, mask, claims, own=own)
    causal = claims.causal
    if causal is None:
        causal = own and looks_causal(weights, real)
        if causal:
            taken.say(CAUSAL, name)
    rows = claims.rows or promise_of(weights, real)
    if rows == PARTS and claims.rows is None:
        taken.say(f"{nowhere(missing_mass(weights, real))}: {DIVIDED}", name)
    decoder = causal or (own and queries < keys)
    kind: Any = ("decoder_self" if decoder else "encoder_self") if own else "cross"
    if kind == "cross" and claims.own is None:
        taken.say("taken as cross-attention", name)
    return AttentionMap(
        name,
        weights,
        kind,
        mask,
        causal,
        *_labels(name, weights.shape, claims, taken, own=own),
        rows=rows,
        layer=number,
    )


def _is_of_keys(mask: NDArray[Any] | None) -> bool:
    return mask is not None and mask.ndim == 2 and mask.dtype != np.bool_


def _fitting_mask(
    name: str, weights: NDArray[Any], claims: Claims
) -> NDArray[Any] | None:
    """The mask as a map takes it; what was generated after a prompt is not padding.

    Raises NeuralError (E0437) for one that does not fit.
    """
    mask, shape = claims.mask, weights.shape
    if mask is None:
        return None
    if _is_of_keys(mask) or (mask.shape == (shape[0], shape[3]) != shape[2:]):
        more = shape[3] - mask.shape[1] if claims.own else 0
        mask = np.pad(mask, ((0, 0), (0, max(0, more))), constant_values=1)
        fits = mask.shape == (shape[0], shape[3]) and bool(np.isin(mask, (0, 1)).all())
        mask = mask.astype(np.int64)
    else:
        fits = mask.dtype == np.bool_ and _broadcasts(mask.shape, shape)
    if not fits:
        fail("E0437", name=name, dtype=mask.dtype, shape=mask.shape, weights=shape)
    return mask


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _real_rows(
    weights: NDArray[Any], mask: NDArray[Any] | None, claims: Claims, *, own: bool
) -> NDArray[np.bool_]:
    """Rows that are not padding, [batch, queries]."""
    batch, _, queries, keys = weights.shape
    real = np.ones((batch, queries), dtype=bool)
    if not own and claims.query_mask is not None:
        real = np.asarray(claims.query_mask != 0)
    elif mask is not None and _is_of_keys(mask):
        real = (mask != 0)[:, keys - queries :] if own else real
    elif mask is not None:
        real = np.asarray(np.broadcast_to(mask, weights.shape).any(axis=(1, 3)))
    return real


def _labels(
    name: str, shape: tuple[int, ...], claims: Claims, taken: Taken, *, own: bool
) -> tuple[Texts | None, Texts | None]:
    """The tokens of queries and of keys, where their number fits."""
    queries, keys = shape[2:]
    tokens = claims.tokens
    if tokens is None:
        return claims.query_tokens, None
    lengths = {len(row) for row in _token_rows(tokens)}
    if lengths == {keys}:
        if not own:
            return claims.query_tokens, tokens
        return _last(tokens, queries), tokens
    if lengths == {queries} and not own:
        return tokens, None
    count = ", ".join(map(str, sorted(lengths)))
    taken.findings.append(Finding.of("W0807", name, count=count, keys=keys))
    return None, None


def _token_rows(tokens: Texts) -> list[list[str]]:
    nested = [row for row in tokens if not isinstance(row, str)]
    return nested or [[token for token in tokens if isinstance(token, str)]]


def _last(tokens: Texts, count: int) -> Texts:
    rows = [row[len(row) - count :] for row in _token_rows(tokens)]
    return rows[0] if isinstance(tokens[0], str) else rows


def listed(names: Sequence[str]) -> str:
    """Names in a line, most of them left out where they are many."""
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"


def plain_map(
    name: str,
    values: Any,
    tokens: TokensLike,
    rows: Rows,
    causal: bool | None,
) -> AttentionMap:
    """The map of [heads, queries, keys], or with a batch before it.

    See `AttentionMaps.from_arrays`.
    """
    weights = as_array(values)
    weights = weights[np.newaxis] if weights.ndim == 3 else weights
    batch, _, queries, keys = weights.shape if weights.ndim == 4 else (0, 0, 0, 0)
    square = queries == keys
    if causal is None:
        causal = square and looks_causal(weights, np.ones((batch, queries), bool))
    count = _token_count(tokens)
    kind: Kind = "decoder_self" if causal else "encoder_self"
    return AttentionMap(
        name,
        weights,
        kind if square else "cross",
        None,
        causal,
        tokens if square or count != keys else None,
        tokens if square or count == keys else None,
        rows=rows,
    )


def _token_count(tokens: TokensLike) -> int | None:
    if not tokens:
        return None
    return len(tokens) if isinstance(tokens[0], str) else len(tokens[0])
