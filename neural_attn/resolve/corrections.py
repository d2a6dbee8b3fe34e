"""Slips of the hand whose meaning is plain: told once, with the right spelling.

What the author meant is read all the same, so that no further problem follows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from neural_attn.catalogue import ACTIVATIONS, NativeLayer, Parameter
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import Block
from neural_attn.resolve.values import kind_of, shown
from neural_attn.training import train_block
from neural_attn.training.catalogue import GROUPS

_NUMBER = re.compile(
    r"-?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?", re.ASCII
)

# `Linear(8)` is no activation, but what PyTorch calls a dense layer
_FUNCTIONS = {n.replace("_", ""): n for n in ACTIVATIONS if n != "linear"}


def as_setting(node: tree.LayerNode, problems: Problems) -> tree.Setting | None:
    """A setting that is written like a layer: `input (4,)`, `optimizer = Adam()`."""
    if node.label is not None and node.label.text in train_block.SETTINGS:
        name = node.label
        call = node.span.text.split("=", 1)[1].strip()
        hint = f"write `{name.text}: {call}`"
        problems.add("E0132", "a setting takes `:`; `=` names a layer", name.span, hint)
        inner = tree.Call(node.span, node.name, node.arguments)
        return tree.Setting(node.span, name, inner, node.block)
    name = node.name
    if node.label is not None or name.text not in (*train_block.SETTINGS, *GROUPS):
        return None
    problems.add(
        "E0244",
        f"`{name.text}` is a setting, not a layer",
        name.span,
        _spelling(node),
    )
    if name.text in GROUPS:
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
    if name in GROUPS:
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


def with_activation(
    target: NativeLayer | Block,
    arguments: list[tree.Argument],
    scope: Collection[str],
) -> list[tree.Argument]:
    """The arguments, where `Conv2D(8, 3, "relu")` gives the activation by position.

    Names in `scope` stand for parameters, whatever they are called.
    """
    names = [parameter.name for parameter in target.parameters]
    taken = {argument.name for argument in arguments}
    if "activation" not in names or "activation" in taken:
        return arguments
    for position, argument in enumerate(arguments):
        if argument.name is not None or position >= len(names):
            break
        kind = kind_of(target, names[position])
        takes_words = kind is None or kind.name in ("str", "activation", "any")
        takes_words |= _is_required(target.parameters[position])
        if _is_word(argument.value, scope) and not takes_words:
            named = tree.Argument(argument.span, "activation", argument.value)
            later = arguments[position + 1 :]
            return [*arguments[:position], *_shifted(names, position + 1, later), named]
    return arguments


def _is_required(parameter: tree.Parameter | Parameter) -> bool:
    if isinstance(parameter, Parameter):
        return parameter.required
    return parameter.default is None


def _is_word(value: tree.Expr, scope: Collection[str]) -> bool:
    if isinstance(value, tree.Name):
        return value.text in ACTIVATIONS and value.text not in scope
    word = value.value if isinstance(value, tree.Literal) else None
    return isinstance(word, str) and not _NUMBER.fullmatch(word)


def _shifted(
    names: list[str], position: int, arguments: list[tree.Argument]
) -> list[tree.Argument]:
    """Positional arguments by name, since the one before them stands elsewhere."""
    by_name = []
    for argument in arguments:
        if argument.name is None and position < len(names):
            name = names[position]
            position += 1
            argument = tree.Argument(argument.span, name, argument.value)
        by_name.append(argument)
    return by_name


def as_function(node: tree.LayerNode) -> tree.LayerNode:
    """`ReLU()` as `Activation("relu")`; other layers as they are."""
    function = _FUNCTIONS.get(node.name.text.replace("_", "").lower())
    if function is None:
        return node
    span = node.name.span
    called = tree.Argument(span, "function", tree.Literal(span, function))
    name = tree.Name(span, "Activation")
    return replace(node, name=name, arguments=(called, *node.arguments))


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
