"""The input doctor: what would make a picture or a number lie.

It runs before everything else, on whatever was captured or handed in. Each finding has
a code; those that stop (all but `ADVICE`) leave the map out of the analysis and
refuse the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.array_findings import examine_array, numbers
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.entropy import UNTRAINED, divided, entropy
from neural_attn.maps.findings import ADVICE, Finding, codes
from neural_attn.maps.handed_out import take_any
from neural_attn.maps.map_of_array import Taken

__all__ = [
    "ADVICE", "Finding", "admit", "admit_taken", "codes", "examine",
    "examine_array", "usable",
]  # fmt: skip

# Sums of float16 and bfloat16 weights are off by this much; logits by far more.
SUM_TOLERANCE = 0.01
LEAK_TOLERANCE = 1e-4
PADDING_SHARE = 0.01  # of all attention, which is worth a word
PADDING = frozenset({"[PAD]", "<pad>", "<PAD>", "<|pad|>", "[pad]"})
_SAMPLED_ROWS = 64
_BLOCK_CELLS = 1 << 21  # of rows that are looked at together


def examine(maps: AttentionMaps) -> list[Finding]:
    """Look for everything that would make a picture of these maps lie."""
    found = []
    for one in maps.maps:
        real = _real_rows(maps, one)
        found += _examine_batch(one, maps.maps[0])
        found += _examine_rows(one, real)
        found += _examine_mask(one, real)
        found += _examine_padding(one)
    if maps.trained is not False and _looks_untrained(maps):
        found.append(_untrained())
    return found


def usable(maps: AttentionMaps, findings: Sequence[Finding]) -> AttentionMaps:
    """The maps that no finding stops."""
    stopped = {finding.map for finding in findings if finding.stops}
    kept = [one for one in maps.maps if one.name not in stopped]
    return replace(maps, maps=kept)


def admit(
    given: Any,
    tokens: Any = None,
    *,
    causal: bool | None = None,
    trained: bool | None = None,
    **claims: Any,
) -> tuple[AttentionMaps, list[Finding]]:
    """Make maps of whatever a library handed out; say what cannot be used, and why.

    Parameters
    ----------
    given, tokens, causal, claims : as in `neural_attn.maps.handed_out.take_any`
    trained : as in `AttentionMaps`

    Returns
    -------
    maps, findings
        The maps that can be trusted, and everything that was found.
    """
    taken = take_any(given, tokens, causal=causal, **claims)
    return admit_taken(taken, trained)


def admit_taken(
    taken: Taken, trained: bool | None = None
) -> tuple[AttentionMaps, list[Finding]]:
    """The same of what was taken already."""
    if not taken.names:
        return AttentionMaps([], trained), [Finding.of("W0808.model", "")]
    maps = AttentionMaps(taken.maps, trained, notes=taken.notes)
    found = [*taken.findings, *examine(maps)]
    return usable(maps, found), found


def _examine_batch(one: AttentionMap, first: AttentionMap) -> list[Finding]:
    count, expected = len(one.weights), len(first.weights)
    if count == expected:
        return []
    return [
        Finding.of(
            "W0811.texts", one.name, count=count, first=first.name, expected=expected
        )
    ]


def _real_rows(maps: AttentionMaps, one: AttentionMap) -> NDArray[np.bool_]:
    """Rows that no picture or number leaves out as padding, [batch, 1, queries]."""
    batch, _, queries, _ = one.weights.shape
    real = np.zeros((batch, 1, queries), dtype=bool)
    for index in range(batch):
        real[index, 0, maps.query_range(one, index)] = True
    return real


def _examine_rows(one: AttentionMap, real: NDArray[np.bool_]) -> list[Finding]:
    if one.rows in ("gates", "signed"):
        return []  # their rows sum to anything
    sums = one.weights.sum(axis=-1, dtype=np.float64)
    real = one.allowed.any(axis=-1) & real
    off = sums - 1
    wrong = real & ((np.abs(off) if one.rows == "shares" else off) > SUM_TOLERANCE)
    if not wrong.any():
        return []
    worst = float(sums[wrong][np.abs(off[wrong]).argmax()])
    share = wrong.sum() / real.sum()
    heads = numbers(wrong.any(axis=(0, 2)))
    if one.rows == "parts":
        more = Finding.of(
            "W0803.parts", one.name, share=share, heads=heads, worst=worst
        )
        return [more]
    queries, keys = one.weights.shape[-2:]
    columns = one.weights.sum(axis=-2, dtype=np.float64)
    if queries == keys and (np.abs(columns - 1) <= SUM_TOLERANCE).all():
        return [Finding.of("W0806", one.name)]
    if not sums[wrong].any():
        return [Finding.of("W0803.empty", one.name, share=share, heads=heads)]
    if _looks_dropped(one, sums, real):
        return [Finding.of("W0803.dropout", one.name, share=share, heads=heads)]
    return [Finding.of("W0803", one.name, share=share, heads=heads, worst=worst)]


def _looks_dropped(
    one: AttentionMap, sums: NDArray[np.float64], real: NDArray[np.bool_]
) -> bool:
    """Whether weights are 0 here and there, and the others greater for it."""
    if not ((sums[real] < 1).any() and (sums[real] > 1).any()):
        return False
    seen = one.allowed & real[..., np.newaxis]
    zeros = float(((one.weights == 0) & seen).sum() / seen.sum())
    return 0.01 < zeros < 0.9


def _examine_mask(one: AttentionMap, real: NDArray[np.bool_]) -> list[Finding]:
    if one.mask is None and not one.causal:
        return []
    batch, heads, queries, keys = one.weights.shape
    outside = np.empty((batch, heads, queries))
    allowed, ahead = one.allowed, False
    for rows in _row_blocks(one):
        weights, hidden = _sizes(one, rows), ~allowed[:, :, rows]
        outside[:, :, rows] = weights.sum(axis=3, where=hidden, dtype=np.float64)
        if one.causal and not ahead:
            offset = keys - queries + rows.start
            later = ~np.tri(rows.stop - rows.start, keys, offset, dtype=bool)
            ahead = bool(
                weights.max(where=later & real[..., rows, np.newaxis], initial=0)
                > LEAK_TOLERANCE
            )
    outside *= real
    leaks = np.asarray(outside > LEAK_TOLERANCE)
    if not leaks.any():
        return []
    mass = _share(outside, one)
    if ahead:
        found = numbers(np.asarray(leaks.any(axis=(0, 2))))
        return [Finding.of("W0804", one.name, mass=mass, heads=found)]
    return [Finding.of("W0805", one.name, mass=mass)]


def _examine_padding(one: AttentionMap) -> list[Finding]:
    padding = np.array([[t in PADDING for t in row] for row in one.key_tokens])
    if one.kind == "decoder_self" and padding.shape[1] > 1:
        padding[:, 0] &= padding[:, 1]  # alone it starts a text, as in a T5
    if not padding.any() or padding.all(axis=1).any():
        return []
    allowed, given = one.allowed, np.zeros(())
    for rows in _row_blocks(one):
        cells = padding[:, np.newaxis, np.newaxis] & allowed[:, :, rows]
        given = given + _sizes(one, rows).sum(where=cells, dtype=np.float64)
    share = _share(given, one)
    if share <= PADDING_SHARE:
        return []
    return [Finding.of("W0810", one.name, share=share)]


def _row_blocks(one: AttentionMap) -> Iterator[slice]:
    """All rows, a few megabytes at a time: of long texts, masks are large too."""
    queries = one.weights.shape[2]
    step = max(1, _BLOCK_CELLS * queries // one.weights.size)
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def _sizes(one: AttentionMap, rows: slice) -> NDArray[np.float32]:
    """The weights of some rows without their signs."""
    weights = one.weights[:, :, rows]
    return np.abs(weights) if one.rows == "signed" else weights


def _share(part: NDArray[np.float64], one: AttentionMap) -> float:
    """Part of all weight."""
    total = sum(
        float(_sizes(one, rows).sum(dtype=np.float64)) for rows in _row_blocks(one)
    )
    return float(part.sum()) / max(total, 1e-9)


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
