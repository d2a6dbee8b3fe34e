"""The numbers that the page shows for every head: those of the registry of metrics."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from neural_attn.maps.attention_maps import AttentionItem
from neural_attn.metrics.geometries import geometries
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.measure import Plan, measure, plan_for
from neural_attn.metrics.registry import BESIDE, MAIN, REGISTRY, STATISTICS

__all__ = [
    "HeadMeasurer",
    "Measure",
    "Measures",
    "describe_measures",
]

Measures = dict[str, "float | None"]


class Measure(NamedTuple):
    """A number that the page knows: its key, its name and what it means.

    The page shows the main one first, and says it of heads without a sentence.
    """

    key: str
    label: str
    help: str
    main: bool = False


_SLOW = {metric.name for metric in BESIDE if metric.slow}
_RANKED = 64  # tokens: singular values of longer texts take longer than the page
_KEPT = 8  # plans: of the texts of a batch, or of the kinds of attention of one


def describe_measures(keys: Sequence[str]) -> list[Measure]:
    """Name and explain the measures of `keys`, in the order of the analysis."""
    described = []
    for key in (column for column in STATISTICS if column in keys):
        label = key.replace("_", " ").capitalize()
        described.append(Measure(key, label, REGISTRY[key].help, key == MAIN))
    return described


@dataclass
class HeadMeasurer:
    """Measures the heads of one map after the other; layers of a text share a plan."""

    _plans: deque[Plan] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def measure(self, item: AttentionItem, *, slow: bool = False) -> list[Measures]:
        """Give every metric of each head; None where it is not defined.

        `slow` metrics are left out unless asked for, and where a text is long.
        """
        result: list[Measures] = [{} for _ in item.weights]
        for geometry, ((_, heads),) in geometries([item]):
            whole = len(heads) == len(result)
            weights = item.weights if whole else item.weights[heads]
            rank = slow and max(geometry.queries, geometry.keys) <= _RANKED
            found = measure(self._plan(geometry), [weights], rank=rank)
            rows = np.hstack([found.values, found.extra]).tolist()
            for head, row in zip(heads, rows, strict=True):
                result[head] = {
                    key: None if math.isnan(value) else value
                    for key, value in zip(STATISTICS, row, strict=True)
                    if rank or key not in _SLOW
                }
        return result

    def _plan(self, geometry: Geometry) -> Plan:
        for plan in self._plans:
            if geometry.is_like(plan.geometry):
                return plan
        self._plans.append(plan_for(geometry))
        return self._plans[-1]
