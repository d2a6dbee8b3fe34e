"""Maps of whatever a library handed out: what each axis is taken for, and why not.

Here only what single arrays say is looked at; the doctor (`validation.py`) goes on with
the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.array_findings import examine_array
from neural_attn.maps.attention_map import AttentionMap, check_name
from neural_attn.maps.axes import WHOLE, arrange, check_axes, guess, in_words
from neural_attn.maps.causality import looks_causal, missing_mass, promise_of
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import as_array, is_array
from neural_attn.maps.local_windows import is_window, unroll
from neural_attn.maps.named_arrays import Found, Steps, find_arrays
from neural_attn.maps.steps import join_steps
from neural_attn.maps.token_texts import Texts, token_texts
from neural_attn.promises import PARTS, SHARES, Rows

__all__ = [
    "CAUSAL", "MASK", "TOKENS", "Claims", "Taken", "listed", "take", "take_layers",
]  # fmt: skip

# members of a mapping or a file that are no layers
MASK, TOKENS = "attention_mask", "tokens"

CAUSAL = "taken as causal, as no weight goes to a later key (causal=False undoes it)"
NOWHERE = (
    "goes to no key, as with a learned sink: each row is divided by its sum "
    '(rows="shares" refuses it)'
)


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


def take(
    given: Any,
    tokens: Any = None,
    *,
    tokenizer: Any = None,
    axes: str | None = None,
    causal: bool | None = None,
    mask: Any = None,
    rows: Rows | None = None,
) -> Taken:
    """Take arrays of any library for maps.

    Parameters
    ----------
    given : an array, a list of layers or of steps, or a mapping of them
        See `find_arrays`. A mapping may also hold `attention_mask`, integers [batch,
        keys], and `tokens`.
    tokens, tokenizer : as in `token_texts`
    axes : a letter for each axis; None: [queries, keys], [batch, heads, queries,
        keys], or three axes where it shows what they are
    causal : whether later keys are hidden; None: where no weight goes to them
    mask : as in `AttentionMap`
    rows : what rows promise; None: shares, or parts where they say so

    Raises
    ------
    NeuralError
        For arguments that cannot be. What is wrong with an array is a finding.
    ValueError
        For a name that no map may have.
    """
    if isinstance(given, Mapping):
        given = dict(given)
        own_mask, own_tokens = (_popped(given, key) for key in (MASK, TOKENS))
        mask = own_mask if mask is None else mask
        tokens = own_tokens if tokens is None else tokens
    claims = Claims(
        token_texts(tokens, tokenizer),
        None if axes is None else check_axes(axes),
        causal,
        None if mask is None else as_array(mask),
        rows,
    )
    return take_layers(find_arrays(given, axes), claims)


def _popped(given: dict[str, Any], name: str) -> Any:
    value = given.get(name)
    if value is None or (is_array(value) and as_array(value).dtype.kind == "f"):
        return None
    return given.pop(name)


def take_layers(layers: Sequence[Found], claims: Claims) -> Taken:
    """Take layers that were found for maps; see `take`."""
    taken = Taken(names=[(found.name, found.layer) for found in layers])
    for found in layers:
        check_name(found.name)
    there = [found for found in layers if found.value is not None]
    for found in layers:
        if found.value is None and there:
            taken.say("no attention (None), so no map", found.name)
        elif found.value is None:
            taken.findings.append(Finding.of("W0808", found.name))
    found_arrays = [(found, _array_of(found, claims, taken)) for found in there]
    arrays = [(found, array) for found, array in found_arrays if array is not None]
    batches = [*claims.batches, *(len(array) for _, array in arrays if array.ndim == 4)]
    for found, array in arrays:
        whole = _whole(found.name, array, claims, batches, taken)
        if whole is not None:
            number = found.layer if len(there) < len(layers) else None
            taken.maps.append(_as_map(found, whole, claims, taken, number))
    return taken


def _array_of(found: Found, claims: Claims, taken: Taken) -> NDArray[Any] | None:
    """The array of a layer, its steps joined; None, and a finding, if it has none."""
    value = found.value
    try:
        if not isinstance(value, Steps):
            return as_array(value)
        own = claims.own
        if own is None:
            own = len({one.shape[-1] for one in value.arrays}) > 1
        joined = join_steps(value.arrays, own=own)
    except (ValueError, TypeError, IndexError) as error:
        taken.findings.append(Finding.of("W0811.reason", found.name, reason=error))
        return None
    taken.say(f"{len(value.arrays)} steps of a generation, joined", found.name)
    return joined


def _whole(
    name: str, array: NDArray[Any], claims: Claims, batches: list[int], taken: Taken
) -> NDArray[Any] | None:
    """An array as [batch, heads, queries, keys]; None, and a finding, if it is none."""
    if not array.size:
        taken.findings.append(Finding.of("W0808", name))
        return None
    axes = claims.axes and claims.axes.replace("l", "")
    if axes is None:
        axes = guess(array.shape, batches)
    if axes is None:
        if array.ndim == 3:
            taken.findings.append(Finding.of("W0812", name, shape=array.shape))
            return None
        axes = WHOLE
    with suppress(ValueError):  # said next, with its shape
        array = arrange(array, axes)
    wrong = examine_array(name, array, claims.rows or SHARES)
    if wrong is not None:
        taken.findings.append(wrong)
        return None
    if axes != WHOLE or claims.axes is not None:
        taken.say(f"taken as {in_words(axes)}", name)
    return _without_windows(name, array, claims, taken)


def _without_windows(
    name: str, array: NDArray[Any], claims: Claims, taken: Taken
) -> NDArray[Any] | None:
    queries, keys = array.shape[2:]
    if queries == keys or claims.own is False:
        return array
    if is_window(array):
        taken.say(f"local windows of {keys} keys, put where they stand", name)
        return unroll(array)
    if claims.own and keys < queries:
        found = Finding.of("W0812.window", name, queries=queries, keys=keys)
        taken.findings.append(found)
        return None
    return array


def _as_map(
    found: Found,
    weights: NDArray[Any],
    claims: Claims,
    taken: Taken,
    number: int | None,
) -> AttentionMap:
    queries, keys = weights.shape[2:]
    own = queries == keys if claims.own is None else claims.own
    mask = _fitting_mask(weights, claims)
    real = _real_rows(weights, mask, claims, own=own)
    causal = claims.causal
    if causal is None:
        causal = own and looks_causal(weights, real)
        if causal:
            taken.say(CAUSAL, found.name)
    rows = claims.rows or promise_of(weights, real)
    if rows == PARTS and claims.rows is None:
        missing = missing_mass(weights, real)
        taken.say(f"{missing:.0%} of the attention {NOWHERE}", found.name)
    decoder = causal or (own and queries < keys)
    kind: Any = ("decoder_self" if decoder else "encoder_self") if own else "cross"
    if kind == "cross" and claims.own is None:
        taken.say("taken as cross-attention", found.name)
    return AttentionMap(
        found.name,
        weights,
        kind,
        mask,
        causal,
        *_labels(found.name, weights.shape, claims, taken, own=own),
        rows=rows,
        layer=number,
    )


def _is_of_keys(mask: NDArray[Any] | None) -> bool:
    return mask is not None and mask.ndim == 2 and mask.dtype != np.bool_


def _fitting_mask(weights: NDArray[Any], claims: Claims) -> NDArray[Any] | None:
    """The mask as a map takes it; what was generated after a prompt is no padding."""
    mask = claims.mask
    if mask is None or mask.ndim != 2:
        return mask
    batch, _, queries, keys = weights.shape
    if mask.dtype == np.bool_ and (len(mask) != batch or batch == queries):
        return mask
    if claims.own and mask.shape[1] < keys:
        mask = np.pad(mask, ((0, 0), (0, keys - mask.shape[1])), constant_values=1)
    return mask.astype(np.int64) if np.isin(mask, (0, 1)).all() else mask


def _real_rows(
    weights: NDArray[Any], mask: NDArray[Any] | None, claims: Claims, *, own: bool
) -> NDArray[np.bool_]:
    """Rows that are no padding, [batch, queries]."""
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
