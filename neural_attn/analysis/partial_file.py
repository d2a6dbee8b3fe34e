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
from numpy.typing import NDArray

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.connections import Connection
from neural_attn.analysis.document import document
from neural_attn.analysis.example import Example
from neural_attn.analysis.findings import CODES, Finding
from neural_attn.analysis.heads import Place
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.measure import BASED, BINS, STATISTICS
from neural_attn.analysis.partial import PartialAnalysis
from neural_attn.analysis.redundancy import Divergences
from neural_attn.analysis.result import finish
from neural_attn.analysis.tally import Moments, Tally
from neural_attn.files import atomic_write
from neural_attn.maps.attention_map import KINDS

__all__ = ["SCHEMA", "VERSION", "read_partial", "write_partial"]

SCHEMA = "neural-attn/partial-analysis"
VERSION = 1

MOST_BYTES = 1 << 30  # a thousand times what the heads of a large model take
MOST_COUNT = 1 << 53  # above it, float64 skips whole numbers

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
        "places": {name: asdict(place) for name, place in analyzer.places.items()},
        "groups": {
            group: {name: _tally_data(tally) for name, tally in tallies.items()}
            for group, tallies in analyzer.groups.items()
        },
        "divergences": {
            "total": analyzer.divergences.total.tolist(),
            "count": analyzer.divergences.count.tolist(),
        },
    }


def _tally_data(tally: Tally) -> dict[str, Any]:
    arrays = {
        name: getattr(tally, name).tolist()
        for name in ("expected", "variance", "entropy_histogram", "maximum_histogram")
    }
    moments = {n: _moments_data(getattr(tally, n)) for n in ("values", "uniform")}
    return {"texts": tally.texts, **moments, **arrays}


def _moments_data(moments: Moments) -> dict[str, Any]:
    none = moments.count == 0  # least and greatest are infinite there
    return {
        one.name: np.where(none, 0.0, getattr(moments, one.name)).tolist()
        for one in fields(Moments)
    }


def _links_data(links: LinkFinder) -> dict[str, Any]:
    return {
        "links": links.links,
        "offsets": list(links.offsets.items()),
        "maps": {
            name: {"heads": heads, "hits": links.hits[name].tolist()}
            for name, heads in links.numbers.items()
        },
    }


# --- reading: nothing is believed ---------------------------------------------------


def read_partial(path: str | os.PathLike[str]) -> PartialAnalysis:
    """Read a part from `path`; see `PartialAnalysis.load`."""
    with open(path, "rb") as stream:
        text = stream.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} is no part of an analysis: it is far too large")
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
        findings=[_finding(one) for one in _typed(data["findings"], list)],
        notes=[_typed(note, str) for note in _typed(data["notes"], list)],
        left_out=_count(data["left_out"]),
        trained=_typed(data["trained"], bool, type(None)),
        **{name: _typed(data[name], str, type(None)) for name in _TEXTS},
    )


def _check(part: PartialAnalysis) -> None:
    """Make a report of it, once: numbers may be plausible one by one, and not together.

    Raises ValueError.
    """
    if part.links.links != sum(part.links.offsets.values()):
        raise ValueError("its links are not as many as it says")
    try:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            document(finish(part))
    except (ArithmeticError, LookupError, ValueError, TypeError):
        raise ValueError("its numbers contradict each other") from None


def _analyzer(data: dict[str, Any]) -> Analyzer:
    places = {name: _place(one) for name, one in data["places"].items()}
    heads = sum(len(place.head_indices) for place in places.values())
    groups = {
        group: {name: _tally(one, places[name]) for name, one in tallies.items()}
        for group, tallies in data["groups"].items()
    }
    found = data["divergences"]
    # Places of maps that were never counted may have come after the last divergence.
    known = min(len(_typed(found["total"], list)), heads)
    divergences = Divergences(
        _array(found["total"], (known, known)), _counts(found["count"], (known, known))
    )
    return Analyzer(
        groups,
        places,
        divergences,
        _count(data["texts"]),
        _count(data["tokens"]),
        _typed(data["rank"], bool),
    )


def _place(data: dict[str, Any]) -> Place:
    kind = _typed(data["kind"], str)
    heads = tuple(_count(number) for number in data["head_indices"])
    if kind not in KINDS or len(set(heads)) != len(heads):
        raise ValueError("it names heads that no network has")
    several = _typed(data["several"], bool)
    return Place(_count(data["layer"]), kind, heads, several)


def _tally(data: dict[str, Any], place: Place) -> Tally:
    heads = len(place.head_indices)
    return Tally(
        _count(data["texts"]),
        _moments(data["values"], heads),
        _array(data["expected"], (heads, len(BASED))),
        _array(data["variance"], (heads, len(BASED)), least=0.0),
        _moments(data["uniform"], heads),
        _counts(data["entropy_histogram"], (heads, BINS)),
        _counts(data["maximum_histogram"], (heads, BINS)),
    )


def _moments(data: dict[str, Any], heads: int) -> Moments:
    shape = (heads, len(STATISTICS))
    count = _counts(data["count"], shape)
    low, high = _array(data["low"], shape), _array(data["high"], shape)
    return Moments(
        count.astype(np.float64),
        _array(data["mean"], shape),
        _array(data["squares"], shape, least=0.0),
        np.where(count > 0, low, np.inf),
        np.where(count > 0, high, -np.inf),
    )


def _links(data: dict[str, Any]) -> LinkFinder:
    hits, numbers = {}, {}
    for name, one in data["maps"].items():
        numbers[name] = tuple(_count(number) for number in one["heads"])
        hits[name] = _counts(one["hits"], (len(numbers[name]),))
    offsets = {_typed(offset, int): _count(n) for offset, n in data["offsets"]}
    return LinkFinder(hits, numbers, Counter(offsets), _count(data["links"]))


def _example(data: dict[str, Any]) -> Example:
    tokens = tuple(_typed(token, str) for token in _typed(data["tokens"], list))
    agreement = [_share(one) for one in _typed(data["agreement"], list)]
    layers, time = len(agreement), len(tokens)
    raw, rollout, flow = (
        _array(data[name], shape).tolist() if _typed(data[name], list) else []
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
    residual = float(_array(data["residual"], ()))
    flow_agreement = _share(data["flow_agreement"])
    return Example(
        tokens, residual, raw, rollout, agreement, flow, flow_agreement, connections
    )


def _connection(data: dict[str, Any]) -> Connection:
    texts = ("map", "query_token", "key_token", "category", "rule")
    return Connection(
        **{name: _typed(data[name], str) for name in texts},
        query=_count(data["query"]),
        key=_count(data["key"]),
        weight=float(_array(data["weight"], ())),
    )


def _finding(data: dict[str, Any]) -> Finding:
    values = astuple(Finding(**data))
    if data["code"] not in CODES or any(type(value) is not str for value in values):
        raise ValueError("it holds a finding that the input doctor does not know")
    return Finding(**data)


def _array(
    value: Any, shape: tuple[int, ...], least: float = -np.inf
) -> NDArray[np.float64]:
    """Finite numbers of this shape, and nothing that NumPy would take for numbers."""
    array = np.asarray(value)
    if array.size == 0 and 0 in shape:
        return np.zeros(shape)
    if array.dtype.kind not in "iuf" or array.shape != shape:
        raise ValueError(f"where {shape} numbers belong are {array.dtype}{array.shape}")
    exact = array.astype(np.float64)
    if not np.isfinite(exact).all() or (exact < least).any():
        raise ValueError("it holds a number that no analysis gives")
    return exact


def _counts(value: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    exact = _array(value, shape, least=0.0)
    if (exact > MOST_COUNT).any() or (exact != np.floor(exact)).any():
        raise ValueError("it holds a count that is no whole number")
    return exact.astype(np.int64)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_COUNT:
        raise ValueError("it holds a count that is no whole number")
    return value


def _share(value: Any) -> float | None:
    return None if value is None else float(_array(value, ()))


def _typed(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise ValueError(f"it holds {str(value)[:40]!r} in a wrong place")
    return value
