"""The learning rate of each step, as the optimizer of a network gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.ir import Named
from neural_attn.shapes.instance import Checked
from neural_attn.teaching.charts import Curves, Lesson
from neural_attn.training.rates import milestones, rate_at

__all__ = ["lesson", "schedule_of"]

MOST_POINTS = 2000  # more than a picture has pixels across
UNITS_SHOWN = 5  # warm-ups, or steps of decay, of a schedule that never ends
BEHIND_THE_END = 1.1  # and so much of one that does
MOST_MARKS = 6  # more would stand on each other


def lesson(networks: Sequence[Checked], steps: int | None = None) -> Lesson:
    """The schedules of networks as curves over one axis of `steps` steps.

    Raises NeuralError (E0481) where one has no schedule.
    """
    schedules = {checked.network.name: schedule_of(checked) for checked in networks}
    count = steps or max(map(_length, schedules.values()))
    x = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round())
    several = len(schedules) > 1
    lines: dict[str, Named] = {}
    marks: dict[float, str] = {}
    for name, schedule in schedules.items():
        own = {
            step: said for step, said in milestones(schedule).items() if step < count
        }
        x = np.union1d(x, list(own))
        marks |= {float(step): f"{said}: {step:,}" for step, said in own.items()}
        lines[_label(name if several else "", schedule)] = schedule
    rates = {
        label: np.array([rate_at(schedule, int(step)) for step in x])
        for label, schedule in lines.items()
    }
    chart = Curves(
        "Learning rate",
        _about(rates),
        x,
        "training step (batches before this one)",
        "learning rate",
        rates,
        {} if several or len(marks) > MOST_MARKS else marks,
        steps=any(map(_has_jumps, schedules.values())),
    )
    return Lesson("schedule", "The learning rate that the optimizer gets", [chart])


def schedule_of(checked: Checked) -> Named:
    """The schedule that a network's optimizer declares.

    Raises NeuralError (E0481) where there is none.
    """
    network = checked.network
    if network.optimizer is None:
        fail("E0481.optimizer", network.block.span, network=network.name)
    rate = network.optimizer.arguments["learning_rate"]
    if isinstance(rate, Named):
        return rate
    span = network.optimizer.span
    fail("E0481.schedule", span, network=network.name, rate=f"{rate:g}")


def _length(schedule: Named) -> int:
    """How many steps show a schedule whole."""
    ends = milestones(schedule)
    if "end of decay" in ends.values() or schedule.name == "PiecewiseConstantDecay":
        return max(2, round(max(ends) * BEHIND_THE_END) + 1)
    given: Mapping[str, Any] = schedule.arguments
    endless = given["warmup_steps"] if schedule.name == "Noam" else given["decay_steps"]
    return UNITS_SHOWN * int(endless) + 1


def _has_jumps(schedule: Named) -> bool:
    staircase = bool(schedule.arguments.get("staircase"))
    return staircase or schedule.name == "PiecewiseConstantDecay"


def _label(name: str, schedule: Named) -> str:
    given = ", ".join(
        f"{key}={_shown(value)}"
        for key, value in schedule.arguments.items()
        if value not in (0, None, False)
    )
    return f"{name}: {schedule.name}({given})".removeprefix(": ")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _about(rates: dict[str, NDArray[np.float64]]) -> str:
    if len(rates) > 1:
        return "one curve for each network"
    ((label, values),) = rates.items()
    top, last = f"greatest {values.max():.3g}", f"last shown {values[-1]:.3g}"
    return f"{label}; first step {values[0]:.3g}, {top}, {last}"
