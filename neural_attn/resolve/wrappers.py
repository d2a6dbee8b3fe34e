"""Layers around a layer: `Bidirectional(LSTM(8))` and `TimeDistributed(Dense(10))`."""

from __future__ import annotations

from dataclasses import replace

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.recurrent import BIDIRECTIONAL
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import SHARED

# name and one line about each
WRAPPERS = {
    "Bidirectional": "Bidirectional(LSTM(8), merge_mode=…) reads both ways; "
    "concat, sum, mul or ave.",
    "TimeDistributed": "TimeDistributed(Conv2D(8, 3)) applies a layer to each step.",
}

# Layers that treat every step alike without being told.
_ALONG_LAST_AXIS = (
    "activation",
    "dense",
    "dropout",
    "embedding",
    "layernorm",
    "layernormalization",
    "output",
)


def is_stepwise(node: tree.LayerNode) -> bool:
    """Whether TimeDistributed adds nothing to this layer."""
    return node.name.text.lower() in _ALONG_LAST_AXIS


def both_directions(node: tree.LayerNode, problems: Problems) -> tree.LayerNode | None:
    """`Bidirectional(LSTM(…), …)` as one layer that does both; None for others."""
    shared = tuple(a for a in node.arguments if a.name == SHARED)
    own = [a for a in node.arguments if a.name != SHARED]
    given = match("`Bidirectional`", ("layer", "merge_mode"), own, problems)
    inner = _wrapped(node, given, "LSTM(units)", problems)
    if inner is None:
        return None
    name = BIDIRECTIONAL.get(inner.name.text.lower())
    if name is None:
        problems.add("E0232.recurrent", inner.span, layer=inner.name.text)
        return None
    arguments = inner.arguments + shared
    if mode := given.get("merge_mode"):
        arguments += (tree.Argument(mode.span, "merge_mode", mode),)
    return replace(node, name=tree.Name(node.name.span, name), arguments=arguments)


def each_step(node: tree.LayerNode, problems: Problems) -> tree.LayerNode | None:
    """The layer inside `TimeDistributed(layer)`; None where there is none.

    What follows the layer are further arguments of it: `(Dense(8), activation="relu")`.
    """
    layer = [a for a in node.arguments[:1] if a.name in (None, "layer")]
    given = {"layer": layer[0].value} if layer else {}
    inner = _wrapped(node, given, "Dense(units)", problems)
    if inner is None:
        return None
    rest = tuple(a for a in node.arguments if a not in layer)
    return replace(node, name=inner.name, arguments=(*inner.arguments, *rest))


def _wrapped(
    node: tree.LayerNode, given: dict[str, tree.Expr], example: str, problems: Problems
) -> tree.LayerNode | None:
    """The layer that a wrapper is given: a call, or its bare name."""
    value = given.get("layer")
    if isinstance(value, tree.Call):
        return tree.LayerNode(value.span, value.function, value.arguments)
    if isinstance(value, tree.Name):
        return tree.LayerNode(value.span, value)
    problems.add(
        "E0232",
        node.span if value is None else value.span,
        layer=node.name.text,
        example=example,
    )
    return None
