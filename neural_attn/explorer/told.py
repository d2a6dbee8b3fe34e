"""What the analysis says of the maps of a page: of each head, and what stands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.highlights import find_highlights
from neural_attn.maps.attention_maps import AttentionMaps

__all__ = ["MOST_ANALYZED", "Told", "tell", "why_untold"]

# Up to so many weights the analysis takes half a second, as writing the page does.
MOST_ANALYZED = 2**24


@dataclass(frozen=True)
class Told:
    """The sentence and the type of each head by map, and what stands out.

    `highlights` are at most five, as the header of the page has them: each with its
    `sentence` and its `heads`, as places of a map and of a head in it.
    """

    sentences: dict[str, list[str]] = field(default_factory=dict)
    types: dict[str, list[str]] = field(default_factory=dict)
    highlights: list[dict[str, Any]] = field(default_factory=list)


def why_untold(maps: AttentionMaps, metrics: str) -> str:
    """Why nothing is said of the maps, for the page; "" where it can be and is asked.

    `metrics` is "auto", "all" or "quick", as in `neural_attn.explorer.page.explore`.
    """
    if not len(maps):
        return "the maps came one by one"
    if metrics == "quick":
        return "quick metrics were asked for"
    size = sum(one.weights.size for one in maps.maps)
    if metrics == "auto" and size > MOST_ANALYZED:
        most = f"the {MOST_ANALYZED:,} that are analysed while a page is made"
        return f'{size:,} weights are more than {most}; metrics="all" waits for it'
    if len({len(one.weights) for one in maps.maps}) > 1:
        return "the maps are of different numbers of texts"
    return ""


def tell(maps: AttentionMaps) -> Told:
    """Analyze the maps, over all examples."""
    analyzer = Analyzer()
    analyzer.add(maps)
    heads = analyzer.heads()
    told = Told({name: [] for name in maps}, {name: [] for name in maps})
    order = {name: number for number, name in enumerate(maps)}
    places = {}
    for head in heads:
        places[head.label] = [order[head.map], len(told.types[head.map])]
        told.sentences[head.map].append(head.sentence)
        told.types[head.map].append(head.pattern.name)
    for one in find_highlights(heads):
        about = [places[label] for label in one.heads]
        told.highlights.append({"sentence": one.sentence, "heads": about})
    return told
