"""Slips of the hand whose meaning is plain: told once, with the right spelling.

What the author meant is read all the same, so that no further problem follows.
"""

from __future__ import annotations

import re

from neural_attn.errors import Problems
from neural_attn.grammar import tree
from neural_attn.layers import NativeLayer
from neural_attn.resolve import training
from neural_attn.resolve.ir import Block
from neural_attn.resolve.values import kind_of, shown

_NUMBER = re.compile(
    r"-?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?", re.ASCII
)


def as_setting(node: tree.LayerNode, problems: Problems) -> tree.Setting | None:
    """A setting that is written like a layer: `input (4,)`, `optimizer = Adam()`."""
    if node.label is not None and node.label.text in training.SETTINGS:
        name = node.label
        call = node.span.text.split("=", 1)[1].strip()
        hint = f"write `{name.text}: {call}`"
        problems.add("E0132", "a setting takes `:`; `=` names a layer", name.span, hint)
        inner = tree.Call(node.span, node.name, node.arguments)
        return tree.Setting(node.span, name, inner, node.block)
    name = node.name
    if node.label is not None or name.text not in training.SETTINGS:
        return None
    problems.add(
        "E0244",
        f"`{name.text}` is a setting, not a layer",
        name.span,
        _spelling(node),
    )
    if name.text in training.GROUPS:
        return tree.Setting(node.span, name, None, _as_items(node.arguments))
    values = tuple(argument.value for argument in node.arguments)
    if not values:
        return tree.Setting(node.span, name, None, node.block)
    if name.text == "input" or len(values) > 1:
        value: tree.Expr = tree.Sequence(node.span, values, name.text == "metrics")
    else:
        value = values[0]
    return tree.Setting(node.span, name, value, node.block)


def _spelling(node: tree.LayerNode) -> str:
    name = node.name.text
    written = ", ".join(argument.span.text for argument in node.arguments)
    if name in training.GROUPS:
        inside = " ".join(
            f"{argument.name}: {argument.value.span.text}"
            for argument in node.arguments
            if argument.name
        )
        return f"write `{name} {{ {inside or 'epochs: 10'} }}`"
    if name == "input":
        return f"write `input: ({written or '100,'})`"
    if name == "metrics":
        return f"write `metrics: [{written}]`"
    return f"write `{name}: {written}`" if written else f"write `{name}: …`"


def _as_items(arguments: tuple[tree.Argument, ...]) -> tuple[tree.Item, ...]:
    return tuple(
        tree.Setting(a.span, tree.Name(a.span, a.name), a.value)
        for a in arguments
        if a.name is not None
    )


def as_meant(
    target: NativeLayer | Block, parameter: str, value: tree.Expr, problems: Problems
) -> tree.Expr:
    """What an argument means where its spelling is not that of its parameter.

    A bare name where the parameter takes a word, for names that stand for nothing
    else: `Dense(8, relu)`. With a warning, a number that is written as text or with a
    point: `Dense("64")`, `Dense(256.0)`.
    """
    kind = kind_of(target, parameter)
    if kind is None:
        return value
    if isinstance(value, tree.Name):
        takes_words = kind.name in ("str", "activation")
        return tree.Literal(value.span, value.text) if takes_words else value
    if not isinstance(value, tree.Literal):
        return value
    number = _number(kind.name, value.value)
    if number is None or kind.complaint(number):
        return value
    problems.add(
        "W0119",
        f"{shown(value.value)} is read as the number {number}",
        value.span,
        f"write `{number}`",
    )
    return tree.Literal(value.span, number)


def _number(kind: str, value: object) -> int | float | None:
    """The number that a value means, if it is none of this kind yet."""
    if kind not in ("int", "float"):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
        return int(value) if value.is_integer() else value
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return None
