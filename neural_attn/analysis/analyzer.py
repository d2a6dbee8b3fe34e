"""Takes attention maps text by text, and keeps statistics of every head.

Memory does not grow with the number of texts, and analyzers of parts of a set merge
into that of the whole.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.heads import Head, Place, describe
from neural_attn.analysis.running_statistics import Tally
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.entropy import divided
from neural_attn.metrics.geometries import geometries
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.measure import Measured, Plan, Weights, measure, plan_for
from neural_attn.metrics.redundancy import Divergences, js_divergence
from neural_attn.promises import NONNEGATIVE, SHARES

__all__ = ["Analyzer", "Part", "measured_parts", "parts_of"]

# Heads are compared in some rows of each text, as there are so many pairs of them.
_JS_CELLS, _FEWEST_ROWS, _MOST_ROWS = 10_000_000, 2, 16


@dataclass(frozen=True)
class Part:
    """What was measured of some heads of a map in one text: those that see the same.

    `at` is where they stand in `found`. Heads are compared by `sample`, float [heads,
    some rows, keys], where what they have `seen` is equal; None: with no other.
    """

    name: str
    heads: list[int]
    found: Measured
    at: slice
    seen: Hashable
    sample: NDArray[np.floating] | None


@dataclass
class Analyzer:
    """Statistics of every head over the texts that were added.

    `groups` holds tallies by group of texts, then by map; `places` says where maps
    stand in the network. With `rank`, every head's effective rank is measured, too;
    singular values take far longer than all else.
    """

    groups: dict[str, dict[str, Tally]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    divergences: Divergences = field(default_factory=lambda: Divergences.empty(0))
    texts: int = 0
    tokens: int = 0
    rank: bool = False

    def add(
        self,
        maps: AttentionMaps,
        group: str = "",
        network: AttentionMaps | None = None,
    ) -> None:
        """Count every example of the maps, padding left out, as one text each.

        `network` has all maps of the network, where some were left out of `maps`: it
        says which number each layer has.

        Raises
        ------
        ValueError
            If a map has other heads than before.
        """
        self.place(maps if network is None else network)
        if network is not None:
            self._check_rows(maps)
        if not len(maps):
            return
        for index in range(len(maps.maps[0].weights)):
            items = [maps.item(name, index) for name in maps]
            longest = max(len(item.key_tokens) for item in items)
            self.count(parts_of(items, rank=self.rank), longest, group)

    def place(self, maps: AttentionMaps) -> None:
        """Learn where the maps of a network stand. Raises ValueError as `add` does."""
        for number, layer in zip(maps.layer_numbers, maps.layers, strict=True):
            for one in layer:
                several = len(layer) > 1
                place = Place(number, one.kind, one.head_indices, several, one.rows)
                if self.places.setdefault(one.name, place) != place:
                    was = self.places[one.name]
                    if was.rows != place.rows:
                        raise ValueError(
                            f"{one.name} promised rows that are {was.rows}, "
                            f"and now promises {place.rows}"
                        )
                    raise ValueError(
                        f"{one.name} was layer {was.layer} with {len(was.head_indices)}"
                        f" heads, not layer {number} with {len(one.head_indices)}"
                    )

    def _check_rows(self, maps: AttentionMaps) -> None:
        for one in maps.maps:
            told = self.places[one.name].rows
            if told != one.rows:
                raise ValueError(
                    f"the rows of {one.name} are {one.rows}, but its model says {told}"
                )

    def count(self, parts: Sequence[Part], tokens: int, group: str = "") -> None:
        """Count one text of so many tokens: all that was measured of it.

        The maps of the parts must have been placed.
        """
        tallies = self.groups.setdefault(group, {})
        starts, self.divergences = self._starts, _reordered(self, self)
        alike: dict[Hashable, list[Part]] = {}
        for part in parts:
            if part.name not in tallies:
                heads = len(self.places[part.name].head_indices)
                tallies[part.name] = Tally.empty(heads)
            tallies[part.name].add(part.heads, part.found, part.at)
            if part.sample is not None:
                alike.setdefault(part.seen, []).append(part)
        for some in alike.values():
            at = [starts[part.name] + head for part in some for head in part.heads]
            self.divergences.add(_divergence(some), at)
        for name in {part.name for part in parts}:
            tallies[name].texts += 1
        self.texts += 1
        self.tokens += tokens

    @property
    def _starts(self) -> dict[str, int]:
        """Where the heads of each map begin among all heads."""
        counts = [len(place.head_indices) for place in self.places.values()]
        return dict(zip(self.places, accumulate([0, *counts]), strict=False))

    @property
    def labels(self) -> list[tuple[str, int]]:
        """Map and head number of every head, in the order of `divergences`."""
        return [
            (name, number)
            for name, place in self.places.items()
            for number in place.head_indices
        ]

    def merge(self, other: Analyzer) -> Analyzer:
        """Give the analyzer of both sets of texts together.

        Raises
        ------
        ValueError
            If both know a map with other heads.
        """
        result = Analyzer(dict(self.groups), dict(self.places))
        for name, place in other.places.items():
            if result.places.setdefault(name, place) != place:
                raise ValueError(f"{name} is not the same layer in both parts")
        for group, tallies in other.groups.items():
            merged = dict(result.groups.get(group, {}))
            for name, tally in tallies.items():
                merged[name] = merged[name].merge(tally) if name in merged else tally
            result.groups[group] = merged
        result.divergences = _reordered(self, result).merge(_reordered(other, result))
        result.texts = self.texts + other.texts
        result.tokens = self.tokens + other.tokens
        result.rank = self.rank or other.rank
        return result

    @property
    def tallies(self) -> dict[str, Tally]:
        """The statistics of each map over all groups together, in layer order."""
        result: dict[str, Tally] = {}
        for tallies in self.groups.values():
            for name, tally in tallies.items():
                result[name] = result[name].merge(tally) if name in result else tally
        order = {name: index for index, name in enumerate(self.places)}
        return dict(sorted(result.items(), key=lambda pair: order[pair[0]]))

    def heads(self) -> tuple[Head, ...]:
        """Every head of every layer, over all groups."""
        return describe(self.tallies, self.places)


def measured_parts(
    names: Sequence[str],
    geometry: Geometry,
    heads: Sequence[list[int]],
    weights: Sequence[Weights],
    plan: Plan,
    *,
    rank: bool = False,
) -> list[Part]:
    """Measure heads of some maps that share a geometry, whose plan is given.

    `heads` are their numbers in each map, and `weights` [heads, queries, keys] theirs.
    """
    found = measure(plan, weights, rank=rank)
    # Over one key all heads are alike, and signed rows are not distributions.
    compared = geometry.keys > 1 and geometry.rows in NONNEGATIVE
    step = -(-geometry.queries // _MOST_ROWS)
    parts, start = [], 0
    for name, own, some in zip(names, heads, weights, strict=True):
        at = slice(start, start + len(own))
        sample = some[:, step // 2 :: step] if compared else None
        if sample is not None and geometry.rows != SHARES:
            sample = divided(sample)
        parts.append(Part(name, own, found, at, geometry, sample))
        start = at.stop
    return parts


def parts_of(items: Sequence[AttentionItem], *, rank: bool = False) -> list[Part]:
    """What is measured of maps of one text; heads that see the same, in one pass."""
    parts = []
    for geometry, places in geometries(items):
        weights = [
            items[number].weights
            if len(heads) == len(items[number].weights)
            else items[number].weights[heads]
            for number, heads in places
        ]
        names = [items[number].name for number, _ in places]
        heads = [own for _, own in places]
        plan = plan_for(geometry)
        parts += measured_parts(names, geometry, heads, weights, plan, rank=rank)
    return parts


def _divergence(parts: Sequence[Part]) -> NDArray[np.float64]:
    """Divergences of heads in as many rows as keep this cheap beside the rest."""
    samples = np.concatenate([part.sample for part in parts if part.sample is not None])
    cells = len(samples) ** 2 * samples.shape[2]
    return js_divergence(samples, max(_FEWEST_ROWS, _JS_CELLS // cells))


def _reordered(one: Analyzer, target: Analyzer) -> Divergences:
    """The divergences of `one` in the places of `target`, which may know more maps."""
    if one.labels == target.labels and len(one.divergences.total) == len(one.labels):
        return one.divergences
    result = Divergences.empty(len(target.labels))
    order = {label: index for index, label in enumerate(target.labels)}
    known = one.labels[: len(one.divergences.total)]
    at = np.ix_(*[[order[label] for label in known]] * 2)
    result.total[at] = one.divergences.total
    result.count[at] = one.divergences.count
    return result
