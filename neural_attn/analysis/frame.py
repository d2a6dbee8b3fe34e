"""The heads of an analysis as a table: one row each, with every number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neural_attn.analysis.heads import Head
from neural_attn.diagnostics.errors import fail
from neural_attn.metrics.registry import REGISTRY

__all__ = ["ABOUT", "frame_of"]

# columns before those of the metrics
ABOUT = ("label", "map", "layer", "head", "kind", "type", "confidence", "queries")


def frame_of(heads: Sequence[Head]) -> Any:
    """A pandas DataFrame of heads; see `Analysis.to_frame`.

    Raises NeuralError (E0502) where pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        fail("E0502.pandas")
    return pandas.DataFrame(map(_row, heads), columns=[*ABOUT, *REGISTRY])


def _row(head: Head) -> dict[str, Any]:
    means = {
        name: found.mean
        for name, found in head.statistics.items()
        if head.rows in REGISTRY[name].rows
    }
    return {
        **{name: getattr(head, name) for name in ("label", "map", "layer", "head")},
        "kind": head.kind,
        "type": head.pattern.name,
        "confidence": head.pattern.confidence,
        "queries": head.queries,
        **means,
    }
