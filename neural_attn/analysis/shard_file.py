"""The JSON file of a `PartialAnalysis`: what one machine hands to the one that merges.

Python writes each float64 so that it reads back as the same number, so merging files
gives what merging in memory does. No array is believed to have another shape than
follows from the heads that the file names.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.checked_json import (
    count,
    counts,
    number_or_none,
    numbers,
    typed,
)
from neural_attn.analysis.example import Example
from neural_attn.analysis.heads import Place
from neural_attn.analysis.links import CountedLinks, LinkFinder
from neural_attn.analysis.running_statistics import Moments, Tally
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.files import atomic_write
from neural_attn.maps.findings import Finding, codes
from neural_attn.metrics.connections import Connection
from neural_attn.metrics.measure import BASED, BINS, STATISTICS
from neural_attn.metrics.redundancy import Divergences
from neural_attn.promises import KINDS, ROWS, SHARES
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes

__all__ = ["SCHEMA", "VERSION", "read_partial", "write_partial"]

SCHEMA = "neural-attn/partial-analysis"
VERSION = 3

# Numbers of other metrics do not merge, even where there are as many.
LAYOUT = {"statistics": list(STATISTICS), "scores": list(BASED), "bins": BINS}

_TEXTS = ("source", "backend", "network")  # fields that are a text or null


def write_partial(part: PartialAnalysis, path: str | os.PathLike[str]) -> Path:
    """Write `part` to `path`; see `PartialAnalysis.save`."""
    data = {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "layout": LAYOUT,
        **{name: getattr(part, name) for name in _TEXTS},
        "trained": part.trained,
        "analyzer": _analyzer_data(part.analyzer),
        "probe": None if part.probe is None else _analyzer_data(part.probe),
        "links": _links_data(part.links),
        "example": None if part.example is None else asdict(part.example),
        "findings": [asdict(one) for one in part.findings],
        "notes": part.notes,
        "left_out": part.left_out,
    }
    return atomic_write(path, json.dumps(data, allow_nan=False))


def _analyzer_data(analyzer: Analyzer) -> dict[str, Any]:
    return {
        "texts": analyzer.texts,
        "tokens": analyzer.tokens,
        "rank": analyzer.rank,
        "places": {name: _place_data(place) for name, place in analyzer.places.items()},
        "groups": {
            group: {name: _tally_data(tally) for name, tally in tallies.items()}
            for group, tallies in analyzer.groups.items()
        },
        "divergences": {
            "total": analyzer.divergences.total.tolist(),
            "count": analyzer.divergences.count.tolist(),
        },
    }


def _place_data(place: Place) -> dict[str, Any]:
    data = asdict(place)
    if place.rows == SHARES:
        del data["rows"]  # as in files that are older than promises
    return data


def _tally_data(tally: Tally) -> dict[str, Any]:
    arrays = {
        name: getattr(tally, name).tolist()
        for name in ("expected", "variance", "entropy_histogram", "maximum_histogram")
    }
    moments = {n: _moments_data(getattr(tally, n)) for n in ("values", "uniform")}
    rows = {
        "rows": tally.rows.tolist(),  # least is infinite without any
        "fewest": np.where(tally.rows > 0, tally.fewest, 0.0).tolist(),
    }
    return {"texts": tally.texts, **moments, **arrays, **rows}


def _moments_data(moments: Moments) -> dict[str, Any]:
    none = moments.count == 0  # least and greatest are infinite there
    return {
        one.name: np.where(none, 0.0, getattr(moments, one.name)).tolist()
        for one in fields(Moments)
    }


def _links_data(links: LinkFinder) -> dict[str, Any]:
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


# --- reading: nothing is believed ---------------------------------------------------


def read_partial(path: str | os.PathLike[str]) -> PartialAnalysis:
    """Read a part from `path`; see `PartialAnalysis.load`."""
    try:
        # a hundred times what the heads of a large model take
        text = read_text_bytes(Path(path), TEXT_MEGABYTES)
    except TooLargeError as error:
        raise ValueError(f"{path} is no part of an analysis: {error}") from None
    try:
        part = _part(json.loads(text))
        _check(part)
        return part
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f"it has no {error}"
        elif not isinstance(error, ValueError) or isinstance(error, UnicodeError):
            reason = "it does not have the form of one"
        elif isinstance(error, json.JSONDecodeError):
            reason = "it is not JSON"
        raise ValueError(f"{path} is no part of an analysis: {reason}") from None


def _part(data: dict[str, Any]) -> PartialAnalysis:
    if data["schema"] != SCHEMA:
        raise ValueError("its schema is another one")
    if data["schema_version"] != VERSION:
        found = str(data["schema_version"])[:20]
        raise ValueError(f"it is of version {found}; this program reads {VERSION}")
    if data["layout"] != LAYOUT:
        raise ValueError("it holds other metrics: it was written by another version")
    probe, example = data["probe"], data["example"]
    return PartialAnalysis(
        analyzer=_analyzer(data["analyzer"]),
        links=_links(data["links"]),
        probe=None if probe is None else _analyzer(probe),
        example=None if example is None else _example(example),
        findings=[_finding(one) for one in typed(data["findings"], list)],
        notes=[typed(note, str) for note in typed(data["notes"], list)],
        left_out=count(data["left_out"]),
        trained=typed(data["trained"], bool, type(None)),
        **{name: typed(data[name], str, type(None)) for name in _TEXTS},
    )


def _check(part: PartialAnalysis) -> None:
    """Make an analysis of it, once: numbers may be plausible alone, and not together.

    Raises ValueError.
    """
    _check_links(part.links)
    for name, one in part.links.maps.items():
        place = part.analyzer.places.get(name)
        if place is None or place.head_indices != one.heads:
            raise ValueError("its numbers contradict each other")
    try:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            finish(part).to_dict()
    except (ArithmeticError, LookupError, ValueError, TypeError):
        raise ValueError("its numbers contradict each other") from None


def _check_links(links: LinkFinder) -> None:
    offsets = links.offsets.values()
    # a link with several right keys has several offsets
    most = max(links.narrowed, *offsets, 0)
    if not most <= links.links <= sum(offsets):
        raise ValueError("its links are not as many as it says")
    for one in links.maps.values():
        right = 0 < one.texts <= one.links <= min(links.links, one.link_squares)
        if not right or (one.found > one.links).any() or (one.chance > one.links).any():
            raise ValueError("its links are not as many as it says")


def _analyzer(data: dict[str, Any]) -> Analyzer:
    places = {name: _place(one) for name, one in data["places"].items()}
    heads = sum(len(place.head_indices) for place in places.values())
    groups = {
        group: {name: _tally(one, places[name]) for name, one in tallies.items()}
        for group, tallies in data["groups"].items()
    }
    found = data["divergences"]
    # Places of maps that were never counted may have come after the last divergence.
    known = min(len(typed(found["total"], list)), heads)
    divergences = Divergences(
        numbers(found["total"], (known, known)), counts(found["count"], (known, known))
    )
    return Analyzer(
        groups,
        places,
        divergences,
        count(data["texts"]),
        count(data["tokens"]),
        typed(data["rank"], bool),
    )


def _place(data: dict[str, Any]) -> Place:
    kind = typed(data["kind"], str)
    heads = tuple(count(number) for number in data["head_indices"])
    if kind not in KINDS or len(set(heads)) != len(heads):
        raise ValueError("it names heads that no network has")
    several = typed(data["several"], bool)
    promised = [rows for rows in ROWS if rows == data.get("rows", SHARES)]
    if not promised:
        raise ValueError("its rows promise what no rows do")
    return Place(count(data["layer"]), kind, heads, several, *promised)


def _tally(data: dict[str, Any], place: Place) -> Tally:
    heads = len(place.head_indices)
    scores = (heads, len(BASED))
    rows = counts(data["rows"], scores).astype(np.float64)
    fewest = counts(data["fewest"], scores).astype(np.float64)
    if (fewest > rows).any() or ((fewest == 0) != (rows == 0)).any():
        raise ValueError("its rows are not as many as it says")
    return Tally(
        count(data["texts"]),
        _moments(data["values"], heads),
        numbers(data["expected"], scores),
        numbers(data["variance"], scores, least=0.0),
        _moments(data["uniform"], heads),
        counts(data["entropy_histogram"], (heads, BINS)),
        counts(data["maximum_histogram"], (heads, BINS)),
        rows,
        np.where(rows > 0, fewest, np.inf),
    )


def _moments(data: dict[str, Any], heads: int) -> Moments:
    shape = (heads, len(STATISTICS))
    number = counts(data["count"], shape)
    low, high = numbers(data["low"], shape), numbers(data["high"], shape)
    return Moments(
        number.astype(np.float64),
        numbers(data["mean"], shape),
        numbers(data["squares"], shape, least=0.0),
        np.where(number > 0, low, np.inf),
        np.where(number > 0, high, -np.inf),
    )


def _links(data: dict[str, Any]) -> LinkFinder:
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


def _example(data: dict[str, Any]) -> Example:
    tokens = tuple(typed(token, str) for token in typed(data["tokens"], list))
    agreement = [number_or_none(one) for one in typed(data["agreement"], list)]
    layers, time = len(agreement), len(tokens)
    raw, rollout, flow = (
        numbers(data[name], shape).tolist() if typed(data[name], list) else []
        for name, shape in (
            ("raw", (layers, time, time)),
            ("rollout", (layers, time, time)),
            ("flow", (time, time)),
        )
    )
    connections = {
        name: [_connection(one) for one in found]
        for name, found in data["connections"].items()
    }
    residual = float(numbers(data["residual"], ()))
    flow_agreement = number_or_none(data["flow_agreement"])
    return Example(
        tokens, residual, raw, rollout, agreement, flow, flow_agreement, connections
    )


def _connection(data: dict[str, Any]) -> Connection:
    texts = ("map", "query_token", "key_token", "category", "rule")
    return Connection(
        **{name: typed(data[name], str) for name in texts},
        query=count(data["query"]),
        key=count(data["key"]),
        weight=float(numbers(data["weight"], ())),
    )


def _finding(data: dict[str, Any]) -> Finding:
    values = astuple(Finding(**data))
    if data["code"] not in codes() or any(type(value) is not str for value in values):
        raise ValueError("it holds a finding that the input doctor does not know")
    return Finding(**data)
