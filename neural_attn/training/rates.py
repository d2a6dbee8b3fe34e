"""The learning rate that each training step gets, as the schedules are declared.

The backends write the same formulas for their frameworks; a test holds both together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from neural_attn.ir import Named

__all__ = ["milestones", "rate_at"]


def rate_at(schedule: Named, step: int) -> float:
    """The learning rate of the batch after `step` others.

    Formulas and sources stand in `training.catalogue.SCHEDULES`.
    """
    return _RATES[schedule.name](step, schedule.arguments)


def milestones(schedule: Named) -> dict[int, str]:
    """The steps at which a schedule changes its course, each with what ends there."""
    given: Mapping[str, Any] = schedule.arguments
    if schedule.name == "PiecewiseConstantDecay":
        return dict.fromkeys(given["boundaries"], "boundary")
    if schedule.name == "Noam":
        return {given["warmup_steps"] - 1: "end of warm-up"}
    warmup = given.get("warmup_steps", 0)
    marks = {warmup: "end of warm-up"} if warmup else {}
    if schedule.name in ("CosineDecay", "PolynomialDecay"):
        return marks | {warmup + given["decay_steps"]: "end of decay"}
    return marks


def _cosine(step: int, given: Mapping[str, Any]) -> float:
    initial, warmup = given["initial_learning_rate"], given["warmup_steps"]
    if step < warmup:
        return float(initial * step / warmup)
    share = min((step - warmup) / given["decay_steps"], 1.0)
    alpha = given["alpha"]
    return float(initial * (alpha + (1 - alpha) * (1 + math.cos(math.pi * share)) / 2))


def _polynomial(step: int, given: Mapping[str, Any]) -> float:
    initial, end = given["initial_learning_rate"], given["end_learning_rate"]
    share = min(step / given["decay_steps"], 1.0)
    return float(end + (initial - end) * (1 - share) ** given["power"])


def _exponential(step: int, given: Mapping[str, Any]) -> float:
    return float(
        given["initial_learning_rate"] * given["decay_rate"] ** _share(step, given)
    )


def _inverse_time(step: int, given: Mapping[str, Any]) -> float:
    fallen = 1 + given["decay_rate"] * _share(step, given)
    return float(given["initial_learning_rate"] / fallen)


def _share(step: int, given: Mapping[str, Any]) -> float:
    share = float(step / given["decay_steps"])
    return math.floor(share) if given.get("staircase") else share


def _noam(step: int, given: Mapping[str, Any]) -> float:
    step += 1  # of the batch that comes
    slope = min(step**-0.5, step * given["warmup_steps"] ** -1.5)
    return float(given["scale"] * given["d_model"] ** -0.5 * slope)


def _piecewise(step: int, given: Mapping[str, Any]) -> float:
    passed = sum(step > end for end in given["boundaries"])
    return float(given["values"][passed])


_RATES: dict[str, Callable[[int, Mapping[str, Any]], float]] = {
    "ExponentialDecay": _exponential,
    "StepDecay": _exponential,
    "InverseTimeDecay": _inverse_time,
    "PolynomialDecay": _polynomial,
    "CosineDecay": _cosine,
    "Noam": _noam,
    "PiecewiseConstantDecay": _piecewise,
}
