"""Counts of links and of relations as JSON data, and back; see `analyzer_file.py`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from neural_attn.analysis.checked_json import count, counts, numbers, typed
from neural_attn.analysis.link_counts import CountedLinks
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.relations import WAYS

__all__ = [
    "check_links",
    "links_data",
    "read_links",
    "read_relations",
    "relations_data",
]

_TOTALS = ("arcs", "left_out", "unparsed")  # of a `RelationFinder`


def links_data(links: LinkFinder) -> dict[str, Any]:
    """Give all counts as plain data."""
    return {
        "row": links.row,
        "kind": links.kind,
        "links": links.links,
        "narrowed": links.narrowed,
        "offsets": list(links.offsets.items()),
        "maps": {
            name: {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in vars(one).items()
            }
            for name, one in links.maps.items()
        },
    }


def relations_data(relations: RelationFinder) -> dict[str, Any]:
    """Give all counts as plain data."""
    return {
        **{name: getattr(relations, name) for name in ("parser", *_TOTALS)},
        "finders": [
            [name, to_head, links_data(finder)]
            for (name, to_head), finder in relations.finders.items()
        ],
    }


def read_links(data: dict[str, Any]) -> LinkFinder:
    """Make it of such data. Raises ValueError for what no finder gives."""
    maps = {name: _counted_links(one) for name, one in data["maps"].items()}
    offsets = {typed(offset, int): count(n) for offset, n in data["offsets"]}
    row: Any = typed(data["row"], str)
    kind = typed(data["kind"], str, type(None))
    totals = count(data["links"]), count(data["narrowed"])
    return LinkFinder(row, kind, maps, Counter(offsets), *totals)


def _counted_links(data: dict[str, Any]) -> CountedLinks:
    heads = tuple(count(number) for number in data["heads"])
    shape = (len(heads),)
    return CountedLinks(
        heads,
        found=counts(data["found"], shape),
        squares=counts(data["squares"], shape),
        products=counts(data["products"], shape),
        chance=numbers(data["chance"], shape, least=0.0),
        links=count(data["links"]),
        link_squares=count(data["link_squares"]),
        texts=count(data["texts"]),
    )


def read_relations(data: dict[str, Any] | None) -> RelationFinder | None:
    """Make it of such data. Raises ValueError for what no finder gives."""
    if data is None:
        return None
    finders = {}
    for name, to_head, links in typed(data["finders"], list):
        if (name, to_head) not in WAYS or type(to_head) is not bool:
            raise ValueError("it holds a relation that no analysis looks for")
        finders[name, to_head] = read_links(links)
        if not finders[name, to_head].links:
            raise ValueError("it has another number of links than it says")
    arcs, left_out, unparsed = (count(data[name]) for name in _TOTALS)
    parser = typed(data["parser"], str)
    return RelationFinder(parser, finders, arcs, left_out, unparsed)


def check_links(links: LinkFinder) -> None:
    """Raise ValueError where the sums contradict each other."""
    offsets = links.offsets.values()
    # a link with several right keys has several offsets
    most = max(links.narrowed, *offsets, 0)
    if not most <= links.links <= sum(offsets):
        raise ValueError("it has another number of links than it says")
    for one in links.maps.values():
        right = 0 < one.texts <= one.links <= min(links.links, one.link_squares)
        if not right or (one.found > one.links).any() or (one.chance > one.links).any():
            raise ValueError("it has another number of links than it says")
