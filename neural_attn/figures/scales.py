"""Which colour a weight has: its place between none and the greatest of its scale.

The scales, and why the square root is the one that is taken if nobody says which:
`docs/figures.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from neural_attn.figures.choices import Scale
from neural_attn.promises import PARTS, SHARES, Rows

__all__ = [
    "DECADES",
    "UNTRAINED",
    "UP_TO_1",
    "WORDS",
    "WeightNorm",
    "even_share",
    "top_of",
]

UNTRAINED = "untrained (random) weights"
UP_TO_1 = "the scale goes to 1, as noise on its own scale looks like a finding"

# Of "log": what is below one ten-thousandth of the greatest has the colour of 0.
DECADES = 4.0

WORDS: dict[Scale, str] = {
    "shared": "colour: weight, on one scale for all layers",
    "layer": "colour: weight, on one scale for a layer",
    "head": "colour: weight, each head on its own scale",
    "sqrt": "colour: square root of the weight",
    "log": "colour: logarithm of the weight, over four decades",
}


TICK_ROOM = 0.17  # inches of a bar that one number takes


class WeightNorm(Normalize):
    """Weights to 0–1, as Matplotlib colours them; 0 is in the middle of signed ones.

    Parameters
    ----------
    scale : "sqrt", "log"; any other is linear
    top : the weight at the end of the scale
    """

    def __init__(self, scale: Scale, top: float, *, signed: bool = False) -> None:
        super().__init__(-top if signed else 0.0, top)
        self.scale, self.top, self.signed = scale, top, signed

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        """Where on the scale each weight is; masked ones stay masked."""
        given = np.ma.masked_invalid(np.ma.asarray(value, dtype=np.float32))
        places = self.places(given.filled(0))
        placed = np.ma.array(places, mask=np.ma.getmaskarray(given))
        return placed if placed.ndim else placed[()]

    def places(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        """Where on the scale each weight is, 0 to 1."""
        share = self.share(np.abs(weights))
        return (1 + np.sign(weights) * share) / 2 if self.signed else share

    def share(self, sizes: NDArray[np.floating]) -> NDArray[np.floating]:
        """The part of the scale, 0 to 1, that weights of 0 or more fill."""
        part: NDArray[np.floating] = np.clip(sizes / self.top, 0, 1)
        if self.scale == "sqrt":
            part = np.sqrt(part)
        elif self.scale == "log":
            decades = np.log10(np.maximum(part, 1e-12)) / DECADES
            part = np.clip(1 + decades, 0, 1)
        return part

    def ticks(
        self, length: float, keep: Sequence[float] = (), room: float = TICK_ROOM
    ) -> list[float]:
        """Weights to name on a bar of `length` inches, so that no two names meet.

        Those in `keep` come first, then the ends, then round numbers; `room` is what a
        name takes along the bar, in the same unit.
        """
        ends = [self.top, 0.0, *([-self.top] if self.signed else [])]
        decades = 10.0 ** np.arange(np.floor(np.log10(self.top)), -6, -1)
        round_ones = [m * d for d in decades for m in (5, 2, 1) if m * d < self.top]
        if self.signed:
            round_ones = [sign * one for one in round_ones for sign in (1, -1)]
        kept: list[float] = []
        for one in (*keep, *ends, *round_ones):
            at = float(self(one)) * length
            if all(abs(float(self(k)) * length - at) >= room for k in kept):
                kept.append(one)
        return sorted(kept)


def top_of(greatest: float, trained: bool | None) -> float:
    """The end of a scale: the greatest weight drawn, but at least 1 for random ones.

    Noise on a scale of its own looks like a finding.
    """
    if trained is False:
        return max(1.0, greatest)
    return greatest or 1.0


def even_share(allowed: NDArray[np.bool_], rows: Rows) -> float | None:
    """The mean weight of an allowed cell if every row were spread evenly.

    Of n keys that all queries may attend to that is 1/n. None where rows need not sum
    to 1, so that there is nothing to spread.

    Parameters
    ----------
    allowed : bool [..., queries, keys]
    """
    cells = int(allowed.sum())
    if rows not in (SHARES, PARTS) or not cells:
        return None
    return float(allowed.any(axis=-1).sum()) / cells
