"""Whether a value can stand where the author wrote it, and what is meant by it.

Slips of the hand whose meaning is plain are read as they are meant, so that no further
problem follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace

from neural_attn.catalogue import constants
from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import ACTIVATIONS, Kind, NativeLayer, Parameter
from neural_attn.catalogue.types import written
from neural_attn.diagnostics.errors import Problems, Span, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import INDEX, SEARCHES, Block

MAX_REPEAT = 10_000
_NO_COPIES = (
    "`index` is the number of the copy in the arguments of a repeated layer: "
    "`Dense(8 * (index + 1)) * 3`"
)
_NO_NAMES = "write its value: names stand for the parameters of a define"

_NUMBER = re.compile(
    r"-?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?", re.ASCII
)

DEVICES = ("cpu", "gpu", "cuda", "tpu", "mps", "xpu", "xla", "npu", "hip")

# `Linear(8)` is not an activation, but what PyTorch calls a dense layer
_FUNCTIONS = {n.replace("_", ""): n for n in ACTIVATIONS if n != "linear"}


def check_repeat(problems: Problems, count: object, span: Span) -> bool:
    """Note a repeat that is not a whole number from 1 to MAX_REPEAT."""
    if type(count) is int and 1 <= count <= MAX_REPEAT:
        return True
    problems.add("E0216", span, most=MAX_REPEAT, count=written(count))
    return False


def note_device(problems: Problems, node: tree.LayerNode) -> None:
    """Warn of the device of a layer, where it has one; refuse what is not a device."""
    if node.device is None:
        return
    device = str(node.device.value)
    kind, _, number = device.partition(":")
    if kind.lower() in DEVICES and (number.isdecimal() or ":" not in device):
        problems.add("W0101", node.device.span, device=device)
        return
    problems.add(
        "E0246",
        node.device.span,
        hint=did_you_mean(kind, DEVICES),
        device=device,
        known=", ".join(DEVICES),
    )


def kind_of(target: NativeLayer | Block, name: str) -> Kind | None:
    """What a parameter of a layer demands, where that is known."""
    if isinstance(target, Block):
        return target.kinds.get(name)
    declared = target.parameter(name)
    return declared.kind if declared else None


def check_value(
    problems: Problems,
    target: NativeLayer | Block,
    name: str,
    value: object,
    span: Span,
    hint: Callable[[], str] = str,
) -> bool:
    """Note a value that a parameter of `target` cannot have; True where it can.

    `hint` gives what it was worked out from.
    """
    kind = kind_of(target, name)
    if isinstance(target, Block):
        parameter = target.parameter(name)
        default = parameter.default if parameter else None
        if isinstance(default, tree.Literal) and default.value is None is value:
            return True
    complaint = kind.complaint(value) if kind else ""
    if not complaint:
        return True
    if isinstance(value, str) and kind and "one of" in complaint:
        options = complaint.removeprefix("must be one of ").split(", ")
        problems.add(
            "E0217.choice",
            span,
            hint=did_you_mean(value, options, 0.5),
            name=name,
            owner=target.name,
            value=written(value),
            complaint=complaint,
        )
    else:
        problems.add(
            "E0217",
            span,
            hint=hint(),
            name=name,
            owner=target.name,
            complaint=complaint,
            value=written(value),
        )
    return False


def check_static(problems: Problems, expr: tree.Expr, known: Collection[str]) -> None:
    """Note what is not a constant: a call, a name that is no `known` parameter."""
    if isinstance(expr, tree.Name):
        if expr.text not in known:
            unknown_name(problems, expr, known)
    elif isinstance(expr, tree.Call) and expr.function.text in constants.FUNCTIONS:
        name = expr.function.text
        parameters = ("x", "y")[: constants.FUNCTIONS[name][1]]
        for value in match(f"`{name}`", parameters, expr.arguments, problems).values():
            check_static(problems, value, known)
    elif isinstance(expr, tree.Call):
        name = expr.function.text
        hint = (
            "arguments of layers are numbers, names, and arithmetic with its functions"
        )
        if name == "width":
            hint = f"give it a parameter of its own: `width = {expr.span.text}`"
        elif name == "weight":
            shared = expr.span.text
            hint = f"a matrix is shared in the forward: `x @ transpose({shared})`"
        elif name in SEARCHES:
            hint = f"write `HPO({expr.span.text})`"
        problems.add("E0220", expr.span, hint=hint, name=name)
    else:
        for part in tree.children(expr):
            check_static(problems, part, known)


def unknown_name(problems: Problems, node: tree.Name, known: Collection[str]) -> None:
    """Note a name that stands for nothing."""
    hint = did_you_mean(node.text, known)
    if node.text == INDEX:
        hint = _NO_COPIES
    names = ", ".join(sorted(known))
    problems.add(
        "E0223",
        node.span,
        hint=hint or (f"known: {names}" if known else _NO_NAMES),
        name=node.text,
    )


# --- slips of the hand -------------------------------------------------------------


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
    problems.add("W0119", value.span, text=written(value.value), number=number)
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
