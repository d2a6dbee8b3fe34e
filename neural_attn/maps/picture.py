"""The image behind attention: what the network saw, and where its patches lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["CLASS_TOKEN", "DISTILLATION_TOKEN", "Picture"]

CLASS_TOKEN = "[CLS]"  # noqa: S105 - no password
DISTILLATION_TOKEN = "[DIST]"  # noqa: S105 - no password


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as a network saw it, cut into patches row by row.

    Parameters
    ----------
    pixels : uint8 [height, width, 3]
        As resized and cropped, without what no patch covers.
    grid : int, int
        Rows and columns of patches.
    before : sequence of str
        The tokens in front of the patches, such as `[CLS]`.
    stretched : bool
        Whether each channel is drawn from its least value to its greatest, as the
        colours of the image itself are not known.
    """

    pixels: NDArray[Any]
    grid: tuple[int, int]
    before: Sequence[str] = ()
    stretched: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """A label for each position: `[CLS]`, then `r1c1` for the upper left patch."""
        rows, columns = self.grid
        patches = (f"r{r + 1}c{c + 1}" for r in range(rows) for c in range(columns))
        return (*self.before, *patches)

    def laid(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Weights [..., keys] where the patches lie: [..., rows, columns]."""
        patches = weights[..., len(self.before) :]
        laid: NDArray[Any] = patches.reshape(*patches.shape[:-1], *self.grid)
        return laid
