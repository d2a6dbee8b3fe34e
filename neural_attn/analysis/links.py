"""Whether heads find given links: coreference, dependencies, atoms, words in speech.

As Clark et al. (2019): for each link from a token to another, a head finds it if of all
candidates the other gets most of the token's attention. Two baselines need no head:
chance, and the best fixed offset ("always the token before"), chosen after seeing all
links.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.link_counts import CountedLinks, LinkScore
from neural_attn.analysis.significance import wilson
from neural_attn.diagnostics.choices import check_choice, no_such
from neural_attn.inputs.links import LINK_ROWS, GivenLinks, LinkRow, take_links
from neural_attn.maps.attention_map import AttentionItem, AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.geometry import is_special
from neural_attn.promises import KINDS

__all__ = ["LinkFinder"]

Bool = NDArray[np.bool_]


@dataclass
class LinkFinder:
    """Counts over texts; parts merge.

    Parameters
    ----------
    row : "token" or "predicting"
        Where a token's attention stands in a decoder and in cross-attention: in its own
        row, or in the row before, which predicts it. Encoders have the former alone.
    kind : "encoder_self", "decoder_self", "cross" or None
        The maps whose queries and keys are linked. None: cross-attention where there is
        some, else all.
    """

    row: LinkRow = "token"
    kind: str | None = None
    maps: dict[str, CountedLinks] = field(default_factory=dict)
    offsets: Counter[int] = field(default_factory=Counter)
    links: int = 0
    narrowed: int = 0  # links whose candidates were given

    def __post_init__(self) -> None:
        check_choice("row", self.row, LINK_ROWS)
        check_choice("kind", self.kind, (None, *KINDS))

    def add(
        self,
        maps: AttentionMaps,
        links: Any,
        batch_index: int = 0,
        *,
        offsets: Iterable[int] | None = None,
    ) -> None:
        """Count the links of one text: see `neural_attn.inputs.links.take_links`.

        `offsets` are those that are right, one or more for each link, where they are
        counted in anything but tokens.

        Positions count from 0 without padding. Candidates that are not given are all
        keys that a head lets the query attend to, except special tokens and, in
        self-attention, the token itself. Of equal weights none is the strongest.

        Raises
        ------
        ValueError
            If a link leaves the text, or no head can ever find it.
        """
        given = take_links(links)
        if not given.pairs:
            return
        items = [
            maps.item(one.name, batch_index)
            for one in maps.maps
            if one.kind in self._kinds(maps)
        ]
        seen = np.zeros(len(given.pairs), dtype=bool)
        counted = {}
        for item in items:
            hits, chance = _found(item, given, self.row)
            counted[item.name] = CountedLinks.of_text(item.head_indices, hits, chance)
            seen |= (chance > 0).any(axis=0)
        for (query, keys), there in zip(given.pairs, seen.tolist(), strict=True):
            if items and not there:
                raise ValueError(
                    f"{_words(query, keys)}: no head may attend to it there"
                )
        for name, one in counted.items():
            self.maps[name] = self.maps[name] + one if name in self.maps else one
        in_tokens = (key - query for query, keys in given.pairs for key in keys)
        self.offsets.update(in_tokens if offsets is None else offsets)
        self.links += len(given.pairs)
        self.narrowed += len(given.pairs) * (given.candidates is not None)

    def _kinds(self, maps: AttentionMaps) -> set[str]:
        there: set[str] = {one.kind for one in maps.maps}
        if self.kind is not None:
            if there and self.kind not in there:
                raise ValueError(no_such("map of the kind", self.kind, sorted(there)))
            there = {self.kind}
        elif "cross" in there:
            there = {"cross"}
        shifts = any(_predicts(m) for m in maps.maps if m.kind in there)
        if self.row == "predicting" and there and not shifts:
            raise ValueError("no row predicts a token: these maps are of an encoder")
        return there

    def merge(self, other: LinkFinder) -> LinkFinder:
        """Give the counts over both sets of texts.

        Raises
        ------
        ValueError
            If links were looked for in other rows or maps.
        """
        if self.links and other.links:
            if (self.row, self.kind) != (other.row, other.kind):
                raise ValueError("the parts looked for links in different rows or maps")
        first = self if self.links else other
        maps = {**self.maps, **other.maps}
        for name in self.maps.keys() & other.maps.keys():
            maps[name] = self.maps[name] + other.maps[name]
        return LinkFinder(
            first.row,
            first.kind,
            maps,
            self.offsets + other.offsets,
            self.links + other.links,
            self.narrowed + other.narrowed,
        )

    @property
    def _candidates(self) -> str:
        if self.narrowed in (0, self.links):
            return "given" if self.narrowed else "visible"
        return "mixed"

    def scores(self, together: int = 1) -> list[LinkScore]:
        """Every head, the best first; empty without links.

        Intervals hold together with those of so many finders.
        """
        if not self.links:
            return []
        offset, count = max(self.offsets.items(), key=lambda pair: (pair[1], -pair[0]))
        heads = sum(len(one.heads) for one in self.maps.values())
        scores = [
            LinkScore(
                name,
                head,
                int(one.found[index]),
                one.links,
                one.texts,
                float(one.found[index] / one.links),
                *wilson(float(one.found[index] / one.links), worth, heads * together),
                float(one.chance[index] / one.links),
                count / self.links,
                offset,
                self.row,
                self._candidates,
            )
            for name, one in self.maps.items()
            for index, (head, worth) in enumerate(
                zip(one.heads, one.effective().tolist(), strict=True)
            )
        ]
        return sorted(scores, key=lambda score: -score.accuracy)


def _predicts(one: AttentionItem | AttentionMap) -> bool:
    """Whether the rows of a map predict the token after their own."""
    return one.kind != "encoder_self" or one.causal


def _found(
    item: AttentionItem, given: GivenLinks, row: LinkRow
) -> tuple[Bool, NDArray[np.float64]]:
    """Which links each head finds, and the chance of each, [heads, links].

    Raises ValueError for links that lead nowhere.
    """
    keys, pairs = len(item.key_tokens), given.pairs
    right = np.zeros((len(pairs), keys), dtype=bool)
    among = _candidates(item, given)
    for number, (query, ends) in enumerate(pairs):
        _check(item, given, query, ends)
        right[number, list(ends)] = True
    rows = _rows(item, [query for query, _ in pairs], row)
    possible = item.allowed[:, rows] & among
    weights = np.where(possible, item.weights[:, rows], -np.inf)
    best = np.where(right, weights, -np.inf).max(axis=2)
    others = np.where(right, -np.inf, weights).max(axis=2)
    options = np.maximum(possible.sum(axis=2), 1)
    return best > others, (possible & right).sum(axis=2) / options


def _candidates(item: AttentionItem, given: GivenLinks) -> Bool:
    """The keys that come into question for each link, bool [links, keys]."""
    keys = len(item.key_tokens)
    if given.candidates is not None:
        among = np.zeros(keys, dtype=bool)
        outside = [key for key in given.candidates if key >= keys]
        if outside:
            raise ValueError(f"candidate {outside[0]} is outside a text of {keys}")
        among[list(given.candidates)] = True
        return np.broadcast_to(among, (len(given.pairs), keys))
    ordinary = np.array([not is_special(token) for token in item.key_tokens])
    result = np.repeat(ordinary[np.newaxis], len(given.pairs), axis=0)
    if item.kind != "cross":
        for number, (query, _) in enumerate(given.pairs):
            result[number, query : query + 1] = False
    return result


def _check(
    item: AttentionItem, given: GivenLinks, query: int, ends: Sequence[int]
) -> None:
    keys = len(item.key_tokens)
    queries = len(item.query_tokens) if item.kind == "cross" else keys
    words = _words(query, ends)
    if query >= queries or max(ends) >= keys:
        size = f"{queries} × {keys}" if item.kind == "cross" else f"{keys}"
        raise ValueError(f"{words} is outside a text of {size}")
    if given.candidates is not None:
        if not set(ends) <= set(given.candidates):
            raise ValueError(f"{words} leads to no candidate")
        return
    if item.kind != "cross" and query in ends:
        raise ValueError(f"token {query} is linked to itself")
    special = [item.key_tokens[key] for key in ends if is_special(item.key_tokens[key])]
    if special:
        raise ValueError(
            f"{words} leads to {special[0]}, which is not a candidate unless "
            "candidates are given"
        )


def _rows(item: AttentionItem, queries: Sequence[int], row: LinkRow) -> list[int]:
    """The rows of the queries' tokens; fewer rows than keys are the last ones."""
    missing = 0
    if item.kind != "cross":
        missing = len(item.key_tokens) - len(item.query_tokens)
    if row == "predicting" and _predicts(item):
        missing += 1
    rows = [query - missing for query in queries]
    if min(rows) < 0:
        before = "that predicts it" if row == "predicting" else "of its own"
        raise ValueError(f"token {min(queries)} has no row {before}")
    return rows


def _words(query: int, keys: Sequence[int]) -> str:
    return f"the link {query} to {' or '.join(map(str, keys[:3]))}"
