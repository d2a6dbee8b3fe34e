"""Maps that are measured while a model runs, and of which no matrix is kept.

The numbers are those of `Analyzer` on the whole maps: the same pass reads the weights,
which are made a few rows at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.analyzer import Part, measured_parts
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.maps.attention_map import AttentionItem, AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import examine, usable
from neural_attn.metrics.geometries import geometries
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.measure import Plan, Unkept, plan_for

__all__ = ["MapMeasurer", "MeasuredMap", "count_measured"]

_DOCTORS_ROWS = 64  # of each map, evenly spaced
_PLANNED_CELLS = 1 << 24  # of geometries whose plans are kept for the next layer

NO_MATRIX = (
    'no rollout and no connections: keep="metrics" kept no matrix; for these, '
    "capture some layers= without it"
)

# rows of one example: its number, which rows; float32 [heads, rows, keys]
RowsOf = Callable[[int, slice], NDArray[np.float32]]


@dataclass(frozen=True)
class MeasuredMap:
    """What is known of a map: of each example its parts and how many tokens it has.

    `sample` has some of its rows, which the input doctor looks at.
    """

    parts: list[list[Part]]
    tokens: list[int]
    sample: AttentionMap


class MapMeasurer:
    """Measures one map after the other; layers of a text share a plan."""

    def __init__(self) -> None:
        """Know no text yet."""
        self._plans: dict[bytes, Plan] = {}

    def __call__(self, layer: AttentionMaps, rows_of: RowsOf) -> MeasuredMap:
        """Measure the last map of a layer, whose maps have no weights."""
        one = layer.maps[-1]
        parts, tokens = [], []
        for example in range(len(one.weights)):
            item = layer.item(one.name, example)
            queries = layer.query_range(one, example)
            keys = one.key_range(example)
            weights = _unkept(item, example, queries, keys, rows_of)
            parts.append(self._parts(item, weights))
            tokens.append(len(item.key_tokens))
        return MeasuredMap(parts, tokens, _sample(one, rows_of))

    def _parts(self, item: AttentionItem, weights: Unkept) -> list[Part]:
        parts = []
        for geometry, ((_, heads),) in geometries([item]):
            seen, plan = self._plan(geometry)
            some = weights if len(heads) == len(weights) else weights.of_heads(heads)
            found = measured_parts([item.name], plan.geometry, [heads], [some], plan)
            parts += [replace(one, seen=seen) for one in found]
        return parts

    def _plan(self, geometry: Geometry) -> tuple[bytes, Plan]:
        seen = _digest(geometry)
        plan = self._plans.pop(seen, None)
        self._plans[seen] = plan_for(geometry) if plan is None else plan
        cells = [one.geometry.allowed.size for one in self._plans.values()]
        while len(cells) > 1 and sum(cells) > _PLANNED_CELLS:
            del self._plans[next(iter(self._plans))], cells[0]
        return seen, self._plans[seen]


def count_measured(
    maps: AttentionMaps, measured: Sequence[MeasuredMap]
) -> PartialAnalysis:
    """Count what was measured of maps, given without weights, by their final names."""
    samples = [
        replace(one.sample, name=map_.name)
        for one, map_ in zip(measured, maps.maps, strict=True)
    ]
    findings = examine(replace(maps, maps=samples))
    part = PartialAnalysis(source=maps.source, backend=maps.backend)
    part.find(findings)
    part.note([NO_MATRIX])
    part.analyzer.place(maps)
    kept = set(usable(maps, findings))
    known = [
        (map_.name, one)
        for one, map_ in zip(measured, maps.maps, strict=True)
        if map_.name in kept
    ]
    for index in range(len(known[0][1].parts) if known else 0):
        parts = [
            replace(part, name=name) for name, one in known for part in one.parts[index]
        ]
        part.analyzer.count(parts, max(one.tokens[index] for _, one in known))
    return part


def _unkept(
    item: AttentionItem, example: int, queries: slice, keys: slice, rows_of: RowsOf
) -> Unkept:
    """The weights of one example, without its padding."""
    first = queries.start

    def make(rows: slice) -> NDArray[Any]:
        made = rows_of(example, slice(first + rows.start, first + rows.stop))
        return made[:, :, keys]

    heads, asking, asked = item.weights.shape
    return Unkept((heads, asking, asked), make)


def _digest(geometry: Geometry) -> bytes:
    """Equal where heads of one text see the same."""
    told = (geometry.self_attention, geometry.rows, geometry.query_tokens)
    found = hashlib.blake2b(repr((*told, geometry.key_tokens)).encode())
    found.update(np.packbits(geometry.allowed).tobytes())
    return found.digest()


def _sample(one: AttentionMap, rows_of: RowsOf) -> AttentionMap:
    """Some rows of a map, evenly spaced."""
    batch, _, queries, _ = one.weights.shape
    at = range(0, queries, -(-queries // _DOCTORS_ROWS))
    whole = len(at) == queries
    rows = [slice(0, queries)] if whole else [slice(row, row + 1) for row in at]
    weights = [
        np.concatenate([rows_of(example, some) for some in rows], axis=1)
        for example in range(batch)
    ]
    allowed = one.allowed[:, :, at.start : at.stop : at.step]
    shared = tuple(slice(1 if step == 0 else None) for step in allowed.strides)
    return AttentionMap(
        one.name,
        np.stack(weights),
        one.kind,
        one.mask if whole else allowed[shared].copy(),
        one.causal and whole,
        [row[:: at.step] for row in one.query_tokens],
        one.key_tokens,
        one.head_indices,
        one.rows,
    )


def count_maps(maps: AttentionMaps) -> PartialAnalysis:
    """The same of maps that are at hand, and are dropped when they are counted."""
    findings = examine(maps)
    part = PartialAnalysis(source=maps.source, backend=maps.backend)
    part.trained = maps.trained
    part.find(findings)
    part.note([*maps.notes, NO_MATRIX])
    part.analyzer.add(usable(maps, findings), network=maps)
    return part
