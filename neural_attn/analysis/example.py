"""One text looked at closely: its layers side by side, rollout, flow, connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.metrics.connections import Connection
from neural_attn.metrics.rollout import (
    RESIDUAL,
    attention_flow,
    attention_rollout,
    layers_of,
    rollout_agreement,
    stack_of,
)
from neural_attn.promises import NONNEGATIVE

__all__ = ["MOST_TOKENS", "Example", "has_signed", "look_closely", "why_no_flow"]

# Of a text whose matrices are kept: they grow with the square of its length, and the
# time of all flows with its cube and more (3 s at 64 tokens, 45 s at 128).
MOST_TOKENS = 64


@dataclass(frozen=True)
class Example:
    """The tokens of one text, and what its layers do together.

    `raw` and `rollout` are lists [layers][time][time], rounded to 6 digits; empty where
    the maps are not a stack of self-attention, or the text is longer than 64 tokens.
    `agreement` is, per layer, the correlation of raw attention with rollout. `flow`
    [time][time] is attention flow from the last layer to the inputs, empty unless it
    was asked for; `flow_agreement` is its correlation with rollout.
    """

    tokens: tuple[str, ...]
    residual: float
    raw: list[list[list[float]]]
    rollout: list[list[list[float]]]
    agreement: list[float | None]
    flow: list[list[float]]
    flow_agreement: float | None
    connections: dict[str, list[Connection]]


def look_closely(
    maps: AttentionMaps,
    connections: Mapping[str, list[Connection]] | None = None,
    *,
    flow: bool = False,
) -> Example | None:
    """Look at the first example of the maps; None if there are no maps.

    `flow` asks for attention flow, which needs SciPy; see `why_no_flow`.
    """
    if not len(maps):
        return None
    found = dict(connections or {})
    layers = _layers(maps)
    # of the layers that are stacked: a cross layer may stand before them
    shown = (one.name for one in maps.maps if layers is None or one.kind == _kind(maps))
    tokens = maps.item(next(shown)).key_tokens
    if layers is None:
        return Example(tokens, RESIDUAL, [], [], [], [], None, found)
    agreement = rollout_agreement(layers)
    if len(tokens) > MOST_TOKENS:
        return Example(tokens, RESIDUAL, [], [], agreement, [], None, found)
    stack = stack_of(maps, layers[0].kind)
    assert stack is not None
    rollout = attention_rollout(stack)
    flows = attention_flow(stack) if flow else None
    return Example(
        tokens,
        RESIDUAL,
        np.round(stack, 6).tolist(),
        np.round(rollout, 6).tolist(),
        agreement,
        [] if flows is None else np.round(flows, 6).tolist(),
        None if flows is None else _correlation(flows, rollout[-1]),
        found,
    )


def why_no_flow(maps: AttentionMaps) -> str | None:
    """Say why these maps have no attention flow; None if they have."""
    layers = _layers(maps)
    if layers is None and has_signed(maps):
        return "no attention flow: nothing flows through layers of signed weights"
    if layers is None:
        return (
            "no attention flow: the layers are not a stack of self-attention over "
            "one sequence, so nothing flows from one to the next"
        )
    tokens = len(layers[0].key_tokens)
    if tokens > MOST_TOKENS:
        return (
            f"no attention flow: the first text has {tokens} tokens, and each "
            f"pair of tokens needs a maximum flow of its own; at most {MOST_TOKENS} "
            "are taken, so put a shorter text first"
        )
    return None


def has_signed(maps: AttentionMaps) -> bool:
    """Whether a layer that others would be stacked on has signed weights."""
    kind = _kind(maps)
    return any(m.kind == kind and m.rows not in NONNEGATIVE for m in maps.maps)


def _layers(maps: AttentionMaps) -> list[AttentionItem] | None:
    kind = _kind(maps)
    return None if kind is None else layers_of(maps, kind)


def _kind(maps: AttentionMaps) -> str | None:
    """The first kind of self-attention."""
    return next((one.kind for one in maps.maps if one.kind != "cross"), None)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Pearson's correlation of two matrices; None where one of them is constant."""
    if one.std() < 1e-9 or other.std() < 1e-9:
        return None
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
