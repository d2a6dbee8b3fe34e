"""Takes attention maps text by text, and keeps statistics of every head.

Memory does not grow with the number of texts, and analyzers of parts of a set merge
into that of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.heads import Head, Place, describe
from neural_attn.analysis.running_statistics import Tally
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.entropy import divided
from neural_attn.metrics.geometry import geometries
from neural_attn.metrics.measure import measure, plan_for
from neural_attn.metrics.redundancy import Divergences, js_divergence
from neural_attn.promises import NONNEGATIVE, SHARES, Rows

__all__ = ["Analyzer"]

# Heads are compared in some rows of each text, as there are so many pairs of them.
_JS_CELLS, _FEWEST_ROWS, _MOST_ROWS = 10_000_000, 2, 16


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
        self._place(maps if network is None else network)
        if network is not None:
            self._check_rows(maps)
        if not len(maps):
            return
        self.divergences = _reordered(self, self)
        for index in range(len(maps.maps[0].weights)):
            items = [maps.item(name, index) for name in maps]
            self._add_items(items, group)
            self.texts += 1
            self.tokens += max(len(item.key_tokens) for item in items)

    def _place(self, maps: AttentionMaps) -> None:
        for number, layer in zip(maps.layer_numbers, maps.layers, strict=True):
            for one in layer:
                several = len(layer) > 1
                place = Place(number, one.kind, one.head_indices, several, one.rows)
                if self.places.setdefault(one.name, place) != place:
                    was = self.places[one.name]
                    if was.rows != place.rows:
                        raise ValueError(
                            f"{one.name} promised rows that are {was.rows}, "
                            f"and promises {place.rows}"
                        )
                    raise ValueError(
                        f"{one.name} was layer {was.layer} with {len(was.head_indices)}"
                        f" heads, and is layer {number} with {len(one.head_indices)}"
                    )

    def _check_rows(self, maps: AttentionMaps) -> None:
        for one in maps.maps:
            told = self.places[one.name].rows
            if told != one.rows:
                raise ValueError(
                    f"the rows of {one.name} are {one.rows}, and its model says {told}"
                )

    def _add_items(self, items: Sequence[AttentionItem], group: str) -> None:
        tallies = self.groups.setdefault(group, {})
        starts = self._starts
        for geometry, places in geometries(items):
            plan = plan_for(geometry)
            weights = [
                items[number].weights
                if len(heads) == len(items[number].weights)
                else items[number].weights[heads]
                for number, heads in places
            ]
            found = measure(plan, weights, rank=self.rank)
            start = 0
            for number, heads in places:
                item = items[number]
                if item.name not in tallies:
                    tallies[item.name] = Tally.empty(len(item.weights))
                at = slice(start, start + len(heads))
                tallies[item.name].add(heads, found, at)
                start = at.stop
            at_heads = [
                starts[items[number].name] + head
                for number, heads in places
                for head in heads
            ]
            # Over one key all heads are alike, and signed rows are no distributions.
            if geometry.keys > 1 and geometry.rows in NONNEGATIVE:
                self.divergences.add(_divergence(weights, geometry.rows), at_heads)
        for item in items:
            tallies[item.name].texts += 1

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


def _divergence(
    weights: Sequence[NDArray[np.floating]], promised: Rows
) -> NDArray[np.float64]:
    """Divergences of heads in as many rows as keep this cheap beside the rest."""
    heads = sum(len(one) for one in weights)
    cells = heads * heads * weights[0].shape[2]
    rows = min(_MOST_ROWS, max(_FEWEST_ROWS, _JS_CELLS // cells))
    step = -(-weights[0].shape[1] // rows)
    some = [one[:, step // 2 :: step] for one in weights]
    some = some if promised == SHARES else [divided(one) for one in some]
    return js_divergence(np.concatenate(some), rows)


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
