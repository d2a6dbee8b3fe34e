"""What of links is counted, in sums that merge, and what is known of one head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.inputs.links import LinkRow

__all__ = ["CountedLinks", "LinkScore"]

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class LinkScore:
    """How one head finds links.

    `accuracy` is the share that it finds, between `low` and `high`; `chance` the share
    that a random candidate is right; `baseline` that of the best `offset`. `candidates`
    are "visible" keys, those "given" with a text, or "mixed".
    """

    map: str
    head: int
    found: int
    links: int
    texts: int
    accuracy: float
    low: float
    high: float
    chance: float
    baseline: float
    offset: int
    row: LinkRow
    candidates: str

    @property
    def margin(self) -> float:
        """How far the whole interval is above both baselines."""
        return self.low - max(self.chance, self.baseline)

    @property
    def finds(self) -> bool:
        """Whether it is."""
        return self.margin > 0

    @property
    def verdict(self) -> str:
        """That in words."""
        return "finds them" if self.finds else "no evidence"


@dataclass
class CountedLinks:
    """What the heads of one map found: sums over texts, which merge by adding.

    Of a text with n links, of which a head finds h: `found` is the sum of h, `squares`
    of h², `products` of h·n, all int64 [heads]; `link_squares` is the sum of n².
    `chance` float64 [heads] is the sum over links of the right share of candidates.
    """

    heads: tuple[int, ...]
    found: NDArray[np.int64]
    squares: NDArray[np.int64]
    products: NDArray[np.int64]
    chance: NDArray[np.float64]
    links: int = 0
    link_squares: int = 0
    texts: int = 0

    @classmethod
    def of_text(
        cls,
        heads: tuple[int, ...],
        hits: Bool,
        chance: NDArray[np.float64],
    ) -> CountedLinks:
        """Count one text: bool and float64 [heads, links]."""
        found, count = hits.sum(axis=1, dtype=np.int64), hits.shape[1]
        sums = found, found**2, found * count, chance.sum(axis=1)
        return cls(heads, *sums, count, count**2, 1)

    def __add__(self, other: CountedLinks) -> CountedLinks:
        """Give the sums over both sets of texts."""
        if self.heads != other.heads:
            raise ValueError("the parts have links of different heads")
        return CountedLinks(
            self.heads,
            self.found + other.found,
            self.squares + other.squares,
            self.products + other.products,
            self.chance + other.chance,
            self.links + other.links,
            self.link_squares + other.link_squares,
            self.texts + other.texts,
        )

    def effective(self) -> NDArray[np.float64]:
        """How many independent links these are worth, float64 [heads].

        Links of one text are alike: where texts differ more than independent links
        would, by the design effect (Kish, 1965), they count for less. One text says
        nothing of that, nor does a head that finds all or none.
        """
        share = self.found / self.links
        apart = self.squares - 2 * share * self.products + share**2 * self.link_squares
        alone = share * (1 - share) * self.links
        if self.texts < 2:
            return np.full(share.shape, float(self.links))
        spread = np.maximum(apart, 0.0) * self.texts / (self.texts - 1)
        effect = np.divide(spread, alone, out=np.ones_like(share), where=alone > 0)
        result: NDArray[np.float64] = self.links / np.maximum(effect, 1.0)
        return result
