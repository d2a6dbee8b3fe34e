"""The JSON file of a `PartialAnalysis`: what one machine hands to the one that merges.

Python writes each float64 so that it reads back as the same number, so merging files
gives what merging in memory does. Nothing that is read is believed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.analysis.analyzer_file import analyzer_data, read_analyzer
from neural_attn.analysis.checked_json import count, number_or_none, numbers, typed
from neural_attn.analysis.example import Example
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.links_file import (
    check_links,
    links_data,
    read_links,
    read_relations,
    relations_data,
)
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.files import atomic_write
from neural_attn.maps.findings import Finding, codes
from neural_attn.metrics.connections import Connection
from neural_attn.metrics.measure import BASED, BINS, STATISTICS
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes

__all__ = ["SCHEMA", "VERSION", "read_partial", "write_partial"]

SCHEMA = "neural-attn/partial-analysis"
VERSION = 5

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
        "analyzer": analyzer_data(part.analyzer),
        "probe": None if part.probe is None else analyzer_data(part.probe),
        "links": links_data(part.links),
        "relations": part.relations and relations_data(part.relations),
        "example": None if part.example is None else asdict(part.example),
        "findings": [asdict(one) for one in part.findings],
        "notes": part.notes,
        "left_out": part.left_out,
    }
    return atomic_write(path, json.dumps(data, allow_nan=False))


# --- reading ------------------------------------------------------------------------


def read_partial(path: str | os.PathLike[str]) -> PartialAnalysis:
    """Read a part from `path`; see `PartialAnalysis.load`."""
    try:
        # a hundred times what the heads of a large model take
        text = read_text_bytes(Path(path), TEXT_MEGABYTES)
    except TooLargeError as error:
        raise ValueError(f"{path} is not a part of an analysis: {error}") from None
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
        raise ValueError(f"{path} is not a part of an analysis: {reason}") from None


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
        analyzer=read_analyzer(data["analyzer"]),
        links=read_links(data["links"]),
        probe=None if probe is None else read_analyzer(probe),
        relations=read_relations(data["relations"]),
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
    for finder in _finders(part):
        check_links(finder)
        for name, one in finder.maps.items():
            place = part.analyzer.places.get(name)
            if place is None or place.head_indices != one.heads:
                raise ValueError("its numbers contradict each other")
    try:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            finish(part).to_dict()
    except (ArithmeticError, LookupError, ValueError, TypeError):
        raise ValueError("its numbers contradict each other") from None


def _finders(part: PartialAnalysis) -> Iterator[LinkFinder]:
    yield part.links
    if part.relations is not None:
        yield from part.relations.finders.values()


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
