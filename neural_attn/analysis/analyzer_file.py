"""An `Analyzer` as JSON data, and back; nothing that is read is believed.

No array is taken to have another shape than follows from the heads that the file names.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.checked_json import count, counts, numbers, typed
from neural_attn.analysis.heads import Place
from neural_attn.analysis.running_statistics import Moments, Tally
from neural_attn.metrics.geometry import special_names
from neural_attn.metrics.measure import BASED, BINS, OF_CLASS, STATISTICS
from neural_attn.metrics.redundancy import Divergences
from neural_attn.promises import KINDS, ROWS, SHARES

__all__ = ["analyzer_data", "read_analyzer"]


def analyzer_data(analyzer: Analyzer) -> dict[str, Any]:
    """Give all of it as plain data."""
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
    special = {score: sorted(found) for score, found in tally.special.items()}
    keys = {"keys": tally.keys.tolist(), "special": special}
    return {"texts": tally.texts, **moments, **arrays, **rows, **keys}


def _moments_data(moments: Moments) -> dict[str, Any]:
    none = moments.count == 0  # least and greatest are infinite there
    return {
        one.name: np.where(none, 0.0, getattr(moments, one.name)).tolist()
        for one in fields(Moments)
    }


def read_analyzer(data: dict[str, Any]) -> Analyzer:
    """Make it of such data. Raises ValueError for what no analyzer gives."""
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
        raise ValueError("its rows are of an unknown kind")
    return Place(count(data["layer"]), kind, heads, several, *promised)


def _tally(data: dict[str, Any], place: Place) -> Tally:
    heads = len(place.head_indices)
    scores = (heads, len(BASED))
    rows = counts(data["rows"], scores).astype(np.float64)
    fewest = counts(data["fewest"], scores).astype(np.float64)
    if (fewest > rows).any() or ((fewest == 0) != (rows == 0)).any():
        raise ValueError("it has another number of rows than it says")
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
        numbers(data["keys"], (heads, len(OF_CLASS), 2), least=0.0),
        {score: _special(found) for score, found in data["special"].items()},
    )


def _special(found: Any) -> frozenset[str]:
    tokens = frozenset(typed(token, str) for token in typed(found, list))
    if tokens != special_names(tokens):
        raise ValueError("it names a special token that no text has")
    return tokens


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
