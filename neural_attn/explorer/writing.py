"""What a network wrote, as the page has it: tokens to read, and what each cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neural_attn.figures.reading import read_tokens
from neural_attn.maps.written import Written

__all__ = ["describe_written"]


def describe_written(written: Sequence[Written]) -> list[dict[str, Any]]:
    """Of each text all tokens, the row of the first that was written, and its steps."""
    return [_described(one) for one in written]


def _described(one: Written) -> dict[str, Any]:
    target = [*one.given_tokens, *one.tokens]
    rivals = [rival for step in one.steps for rival in step.rivals]
    # read together, so that all are of one scheme
    shown = list(read_tokens((*target, *(rival.token for rival in rivals))).shown)
    names = iter(shown[len(target) :])
    steps = [
        {
            "p": _rounded(step.chosen.probability),
            "rivals": [[next(names), _rounded(r.probability)] for r in step.rivals],
        }
        for step in one.steps
    ]
    return {
        "tokens": shown[: len(target)],
        "first": one.first,
        "forced": one.forced,
        "steps": steps,
    }


def _rounded(probability: float) -> float:
    return float(f"{probability:.4g}")
