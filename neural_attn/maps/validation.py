"""The input doctor: what would make a picture or a number lie.

It runs before everything else, on whatever was captured or handed in. Each finding has
a code; those that stop (all but `ADVICE`) leave the map out of the analysis and
refuse the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.entropy import divided, entropy
from neural_attn.maps.findings import ADVICE, Finding, codes
from neural_attn.promises import SHARES, Rows

__all__ = ["ADVICE", "UNTRAINED", "Finding", "admit", "codes", "examine", "usable"]

# Sums of float16 and bfloat16 weights are off by this much; logits by far more.
SUM_TOLERANCE = 0.01
LEAK_TOLERANCE = 1e-4
PADDING_SHARE = 0.01  # of all attention, which is worth a word
PADDING = frozenset({"[PAD]", "<pad>", "<PAD>", "<|pad|>", "[pad]"})
UNTRAINED = 0.97  # normalized entropy above which all heads look untrained
_SAMPLED_ROWS = 64


def examine(maps: AttentionMaps) -> list[Finding]:
    """Look for everything that would make a picture of these maps lie."""
    found = []
    for one in maps.maps:
        found += _examine_batch(one, maps.maps[0])
        found += _examine_rows(one)
        found += _examine_mask(one)
        found += _examine_padding(one)
    if maps.trained is not False and _looks_untrained(maps):
        found.append(_untrained())
    return found


def usable(maps: AttentionMaps, findings: Sequence[Finding]) -> AttentionMaps:
    """The maps that no finding stops."""
    stopped = {finding.map for finding in findings if finding.stops}
    kept = [one for one in maps.maps if one.name not in stopped]
    return AttentionMaps(kept, maps.trained, maps.source, maps.backend)


def admit(
    arrays: Mapping[str, Any] | Sequence[Any],
    tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    causal: bool = False,
    mask: NDArray[np.bool_] | None = None,
    trained: bool | None = None,
    rows: Rows = SHARES,
) -> tuple[AttentionMaps, list[Finding]]:
    """Make maps of whatever a library handed out; say what cannot be used, and why.

    Parameters
    ----------
    arrays : mapping of name to weights, or a sequence of them (`outputs.attentions`)
        NumPy arrays or tensors [batch, heads, queries, keys], or without the batch.
    tokens : one list for all examples, or one for each; None for numbers
    causal, mask, rows : what the model claims, as in `AttentionMap`

    Returns
    -------
    maps, findings
        The maps that can be trusted, and everything that was found.
    """
    if not isinstance(arrays, Mapping):
        arrays = {f"layer_{index}": one for index, one in enumerate(arrays)}
    if not arrays:
        return AttentionMaps([], trained), [Finding.of("W0808.model", "")]
    kept: list[AttentionMap] = []
    found: list[Finding] = []
    for name, values in arrays.items():
        one, problems = _admit_one(name, values, tokens, causal, mask, rows)
        found += problems
        if one is not None:
            kept.append(one)
    maps = AttentionMaps(kept, trained)
    found += examine(maps)
    return usable(maps, found), found


def _admit_one(
    name: str,
    values: Any,
    tokens: Any,
    causal: bool,
    mask: NDArray[np.bool_] | None,
    rows: Rows,
) -> tuple[AttentionMap | None, list[Finding]]:
    array = np.empty(0) if values is None else as_array(values)
    if not array.size:
        return None, [Finding.of("W0808", name)]
    array = array[np.newaxis] if array.ndim == 3 else array
    wrong = examine_array(name, array, rows)
    if wrong is not None:
        return None, [wrong]
    queries, keys = array.shape[-2:]
    square = queries == keys
    lengths = {len(row) for row in _rows(tokens)}
    problems = []
    if lengths and not lengths <= {keys}:
        count = ", ".join(map(str, sorted(lengths)))
        problems = [Finding.of("W0807", name, count=count, keys=keys)]
        tokens = None
    kind: Any = ("decoder_self" if causal else "encoder_self") if square else "cross"
    one = AttentionMap(
        name, array, kind, mask, causal, tokens if square else None, tokens, rows=rows
    )
    return one, problems


def as_array(values: Any) -> NDArray[np.floating]:
    """Weights as NumPy; NumPy refuses some tensors, which convert themselves."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values)


def examine_array(
    name: str, array: NDArray[np.floating], rows: Rows = SHARES
) -> Finding | None:
    """Whether an array can be attention at all, before it is made an `AttentionMap`."""
    if array.ndim != 4 or 0 in array.shape or array.dtype.kind != "f":
        return Finding.of("W0811", name, dtype=array.dtype, shape=array.shape)
    finite = np.isfinite(array)
    if not finite.all():
        heads = _numbers((~finite).any(axis=(0, 2, 3)))
        count = int((~finite).sum())
        return Finding.of("W0801", name, count=count, heads=heads)
    least = float(array.min())
    if least < 0 and rows != "signed":
        return Finding.of("W0802", name, least=least)
    return None


def _examine_batch(one: AttentionMap, first: AttentionMap) -> list[Finding]:
    count, expected = len(one.weights), len(first.weights)
    if count == expected:
        return []
    return [
        Finding.of(
            "W0811.texts", one.name, count=count, first=first.name, expected=expected
        )
    ]


def _examine_rows(one: AttentionMap) -> list[Finding]:
    if one.rows in ("gates", "signed"):
        return []  # their rows sum to anything
    sums = one.weights.sum(axis=-1, dtype=np.float64)
    real = one.allowed.any(axis=-1)
    off = sums - 1
    wrong = real & ((np.abs(off) if one.rows == "shares" else off) > SUM_TOLERANCE)
    if not wrong.any():
        return []
    worst = float(sums[wrong][np.abs(off[wrong]).argmax()])
    share = wrong.sum() / real.sum()
    heads = _numbers(wrong.any(axis=(0, 2)))
    if one.rows == "parts":
        more = Finding.of(
            "W0803.parts", one.name, share=share, heads=heads, worst=worst
        )
        return [more]
    queries, keys = one.weights.shape[-2:]
    columns = one.weights.sum(axis=-2, dtype=np.float64)
    if queries == keys and (np.abs(columns - 1) <= SUM_TOLERANCE).all():
        return [Finding.of("W0806", one.name)]
    return [Finding.of("W0803", one.name, share=share, heads=heads, worst=worst)]


def _examine_mask(one: AttentionMap) -> list[Finding]:
    if one.mask is None and not one.causal:
        return []
    weights = _sizes(one)
    outside = weights.sum(axis=-1, where=~one.allowed, dtype=np.float64)
    if not (outside > LEAK_TOLERANCE).any():
        return []
    queries, keys = weights.shape[-2:]
    mass = _share(outside, weights)
    later = ~np.tri(queries, keys, keys - queries, dtype=bool)
    if one.causal and (weights.max(axis=(0, 1))[later] > LEAK_TOLERANCE).any():
        heads = _numbers((outside > LEAK_TOLERANCE).any(axis=(0, 2)))
        return [Finding.of("W0804", one.name, mass=mass, heads=heads)]
    return [Finding.of("W0805", one.name, mass=mass)]


def _examine_padding(one: AttentionMap) -> list[Finding]:
    padding = np.array([[t in PADDING for t in row] for row in one.key_tokens])
    if not padding.any() or padding.all(axis=1).any():
        return []
    cells = padding[:, np.newaxis, np.newaxis] & one.allowed
    weights = _sizes(one)
    share = _share(weights.sum(where=cells, dtype=np.float64), weights)
    if share <= PADDING_SHARE:
        return []
    return [Finding.of("W0810", one.name, share=share)]


def _sizes(one: AttentionMap) -> NDArray[np.float32]:
    """The weights without their signs."""
    return np.abs(one.weights) if one.rows == "signed" else one.weights


def _share(part: NDArray[np.float64], weights: NDArray[np.float32]) -> float:
    """Part of all weight."""
    return float(part.sum()) / max(float(weights.sum(dtype=np.float64)), 1e-9)


def _looks_untrained(maps: AttentionMaps) -> bool:
    """Whether every head spreads its attention as evenly as random weights do."""
    seen = False
    for one in maps.maps:
        if one.rows == "signed":
            continue
        step = -(-one.weights.shape[2] // _SAMPLED_ROWS)
        weights = one.weights[:, :, ::step].astype(np.float64)
        options = one.allowed[:, :, ::step].sum(axis=-1)
        rows = options >= 4  # fewer keys are near uniform by nature
        if not rows.any():
            continue
        seen = True
        weights = weights if one.rows == "shares" else divided(weights)
        normalized = entropy(weights)[rows] / np.log(options[rows])
        if normalized.mean() < UNTRAINED:
            return False
    return seen


def _untrained() -> Finding:
    return Finding.of("W0809", "", least=UNTRAINED)


def _rows(tokens: Any) -> list[Sequence[str]]:
    if tokens is None or not len(tokens):
        return []
    return [tokens] if isinstance(tokens[0], str) else list(tokens)


def _numbers(flags: NDArray[np.bool_], most: int = 8) -> str:
    found = [str(index) for index in np.flatnonzero(flags)]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
