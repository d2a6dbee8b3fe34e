"""Weights that were never trained, or hardly."""

from __future__ import annotations

from neural_attn.diagnosis.faults import Check, Checked, Fault, Number, Threshold
from neural_attn.diagnosis.record import Record, sharpest, where

__all__ = ["UNTRAINED_CHECK"]

KIND = "untrained"
EVEN = 0.9  # normalized entropy of every head of a network that looks untrained
REMEDIES = {
    "random": ("give `--checkpoint` with trained weights",),
    "even": (
        "does the checkpoint hold this network's weights, from the end of training? "
        "Try a later one",
        "look at the loss: is it far below that of guessing? Train longer, or raise "
        "the "
        "learning rate: `optimizer: Adam(learning_rate=0.001)`",
        "a network that only counts words may attend evenly on purpose",
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """Whether weights are known to be random, and whether all heads are even."""
    heads = record.uneven()
    layers, labels = where(heads)
    rows, texts = record.rows_of(layers), record.analyzer.texts
    checked = Checked(KIND, len(heads), rows, texts)
    if record.trained is False:
        names = tuple(record.analyzer.places)
        says = "the weights are random: no checkpoint was given"
        fault = Fault(KIND, "random", says, names, (), (), REMEDIES["random"])
        return [fault], checked
    if not heads:
        return [], Checked(KIND, why_not="no row has a choice between keys")
    least = sharpest(heads)
    if least < EVEN:
        return [], checked
    number = Number(
        "normalized entropy of the least even head",
        least, EVEN, True, rows, texts, 1.0, "uniform attention",
    )  # fmt: skip
    says = f"all {len(heads)} heads attend almost evenly, as random weights do"
    return [
        Fault(KIND, "even", says, layers, labels, (number,), REMEDIES["even"])
    ], checked


UNTRAINED_CHECK = Check(
    KIND,
    "An untrained model",
    "the normalized entropy of every head, and whether a checkpoint was given",
    "Random weights give scores near 0, and a softmax of equal scores is uniform.",
    {"even": Threshold(EVEN, "normalized entropy of every head of the network")},
    REMEDIES,
    examine,
    of_trained=False,
)
