"""What a network's loss asks for: the smoothed targets, and what an error costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.backends.emit.training import padded_input
from neural_attn.diagnostics.errors import fail
from neural_attn.ir import Named
from neural_attn.shapes.instance import Checked
from neural_attn.teaching.charts import Cells, Chart, Curves, Lesson
from neural_attn.training.catalogue import OF_CLASSES

__all__ = ["crossentropy", "lesson", "targets"]

MOST_CLASSES = 12  # drawn of the targets
POINTS = 400


def lesson(checked: Checked) -> Lesson:
    """The charts of the loss that a network declares; E0481 where it declares none."""
    network = checked.network
    if network.loss is None:
        fail("E0481.loss", network.block.span, network=network.name)
    loss, charts = network.loss, []
    if loss.name in OF_CLASSES:
        charts = _of_classes(checked, loss)
    elif loss.name == "binary_crossentropy":
        charts = [_of_two()]
    else:
        charts = [_of_numbers(loss)]
    return Lesson("loss", f"The loss: {loss.name}", charts)


def targets(
    classes: int, smoothing: float, shown: int | None = None
) -> NDArray[np.float64]:
    """What each class asks for when it is the right one: [correct class, class].

    The right one gets 1 - smoothing, and all of them alike the rest (Szegedy et al.,
    2016, section 7), as both frameworks have it. `shown` is how many of the classes.
    """
    return (1 - smoothing) * np.eye(shown or classes) + smoothing / classes


def crossentropy(
    right: NDArray[np.float64], classes: int, smoothing: float
) -> NDArray[np.float64]:
    """The loss in nats where the correct class gets `right`, the others the rest."""
    if classes == 1 or smoothing == 0:
        return -np.log(right)
    target = _right_share(classes, smoothing)
    others = np.log((1 - right) / (classes - 1))
    return -target * np.log(right) - (1 - target) * others


def _right_share(classes: int, smoothing: float) -> float:
    """What the correct class asks for."""
    return 1 - smoothing + smoothing / classes


def _of_classes(checked: Checked, loss: Named) -> list[Chart]:
    assert checked.root.output is not None
    classes = checked.root.output.width.value
    assert classes is not None  # the units of the last layer
    smoothing = float(loss.arguments["label_smoothing"])  # type: ignore[arg-type]
    padded = bool(padded_input(checked))
    return [
        _target_cells(classes, smoothing, padded=padded),
        _loss_curves(classes, smoothing),
    ]


def _target_cells(classes: int, smoothing: float, *, padded: bool) -> Cells:
    shown = min(classes, MOST_CLASSES)
    values = targets(classes, smoothing, shown)
    if padded:
        values[0] = np.nan  # steps that are padding are not counted
    about = [f"label_smoothing={smoothing:g}, {classes:,} classes"]
    right, other = _right_share(classes, smoothing), smoothing / classes
    about.append(f"correct {right:.4g}, each other {other:.3g}")
    if shown < classes:
        about.append(f"the first {shown} are shown")
    if padded:
        about.append("0 is padding: not counted")
    names = [str(number) for number in range(shown)]
    return Cells(
        "Target distribution",
        "; ".join(about),
        values,
        names,
        names,
        "correct class",
        "class",
        value_title="target probability",
    )


def _loss_curves(classes: int, smoothing: float) -> Curves:
    best = _right_share(classes, smoothing)
    right = np.linspace(0.002, 0.999, POINTS)
    if 0 < best < 1:
        right = np.union1d(right, [best])
    lines = {"without smoothing": -np.log(right)}
    marks = {}
    about = "least at 1"
    if smoothing:
        lines[f"label_smoothing={smoothing:g}"] = crossentropy(
            right, classes, smoothing
        )
        least = crossentropy(np.array([best]), classes, smoothing)[0]
        marks = {best: f"least: {least:.3g} nats at {best:.4g}"}
        about = "being surer than the target costs more again"
    return Curves(
        "Loss of one step",
        f"{about}; the other classes share the rest evenly",
        right,
        "predicted probability of the correct class",
        "loss (nats)",
        lines,
        marks,
    )


def _of_two() -> Curves:
    share = np.linspace(0.002, 0.998, POINTS)
    return Curves(
        "Loss of one answer",
        "-ln of the probability of the correct answer",
        share,
        "predicted probability of 1",
        "loss (nats)",
        {"target 1": -np.log(share), "target 0": -np.log(1 - share)},
    )


def _of_numbers(loss: Named) -> Curves:
    error = np.linspace(-3, 3, POINTS + 1)
    delta: Any = loss.arguments.get("delta", math.inf)
    values = {
        "mean_squared_error": error**2,
        "mean_absolute_error": abs(error),
        "huber": np.where(
            abs(error) <= delta, error**2 / 2, delta * (abs(error) - delta / 2)
        ),
    }[loss.name]
    marks = {delta: f"linear from delta = {delta:g}"} if delta <= 3 else {}
    return Curves(
        "Loss of one number",
        "the mean over all numbers is what is trained on",
        error,
        "predicted number minus target",
        "loss",
        {loss.name: values},
        marks,
    )
