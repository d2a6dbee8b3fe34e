"""Heads of a layer that do the same, and layers in which all do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnosis.faults import Check, Checked, Fault, Number, Threshold
from neural_attn.diagnosis.record import Record, distances, mean_distance
from neural_attn.metrics.redundancy import cluster

__all__ = ["REDUNDANCY"]

KIND = "redundancy"
SAME = 0.05  # Jensen-Shannon distance below which heads are one
REMEDIES = {
    "collapsed": (
        "do heads share their weights? Look at the code that loads or ties them",
        "start again from another seed, with a lower learning rate or with warmup",
        "if the scores are good, the layer needs fewer heads: `num_heads=1`",
    ),
    "redundant": (
        "these heads could be one: try a smaller `num_heads`, and compare the scores",
        "raise the dropout: `TransformerEncoder(dropout=0.2, …)`",
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """Heads of one layer and kind, by their mean distance over all texts."""
    analyzer = record.analyzer
    apart = {name: distances(analyzer, name) for name in analyzer.places}
    compared = {n: own for n, own in apart.items() if not np.isnan(own).all()}
    if not compared:
        return [], Checked(KIND, why_not="no layer has two heads that can be compared")
    every = analyzer.divergences.distance
    usual = float(np.nanmedian(every[np.triu_indices(len(every), 1)]))
    faults = [
        _fault(record, name, one, own, usual)
        for name, own in compared.items()
        for one in cluster(own, SAME)
    ]
    heads = sum(map(len, compared.values()))
    rows = record.rows_of(tuple(compared))
    return faults, Checked(KIND, heads, rows, record.analyzer.texts)


def _fault(
    record: Record,
    name: str,
    group: Sequence[int],
    apart: NDArray[np.float64],
    usual: float,
) -> Fault:
    place = record.analyzer.places[name]
    mean = mean_distance(apart[np.ix_(group, group)])
    cause = "collapsed" if len(group) == len(apart) else "redundant"
    number = Number(
        "mean Jensen-Shannon distance between them",
        mean, SAME, False, record.rows_of((name,)),
        record.analyzer.texts, usual, "the median of all pairs of the network",
    )  # fmt: skip
    heads = tuple(place.label(place.head_indices[index]) for index in group)
    says = (
        f"all {len(group)} heads of {name} are the same"
        if cause == "collapsed"
        else f"{len(group)} of {len(apart)} heads of {name} are the same"
    )
    return Fault(KIND, cause, says, (name,), heads, (number,), REMEDIES[cause])


REDUNDANCY = Check(
    KIND,
    "Heads that do the same",
    "the Jensen-Shannon distance between the rows of every two heads of a layer, "
    "joined "
    "into clusters",
    "Heads are there to look at different things (Vaswani et al., 2017, 3.2.2). Many "
    "heads of trained networks can be left out (Michel et al., 2019), so only heads "
    "that "
    "are nearly equal are named.",
    {
        "collapsed": Threshold(
            SAME, "mean distance between all heads of a layer, at most"
        ),
        "redundant": Threshold(
            SAME, "mean distance between some heads of a layer, at most"
        ),
    },
    REMEDIES,
    examine,
)
