"""Whether a value can stand where the author wrote it."""

from __future__ import annotations

from collections.abc import Collection

from neural_attn.catalogue import Kind, NativeLayer
from neural_attn.diagnostics.errors import Problems, Span, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import Block
from neural_attn.training.hyperparameter_search import SEARCHES

MAX_REPEAT = 10_000
_NO_NAMES = "write its value: names stand for the parameters of a define"


def shown(value: object) -> str:
    """A value as it is written in the language."""
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def check_repeat(problems: Problems, count: object, span: Span) -> bool:
    """Note a repeat that is no whole number from 1 to MAX_REPEAT."""
    if type(count) is int and 1 <= count <= MAX_REPEAT:
        return True
    problems.add(
        "E0216",
        f"a layer is repeated 1 to {MAX_REPEAT:,} times, not {shown(count)}",
        span,
    )
    return False


def note_device(problems: Problems, node: tree.LayerNode) -> None:
    """Warn of the device of a layer, where it has one."""
    if node.device is not None:
        problems.add(
            "W0101",
            f"the device {node.device.value} is not used yet: "
            "the whole network runs on one device",
            node.device.span,
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
) -> bool:
    """Note a value that a parameter of `target` cannot have; True where it can."""
    kind = kind_of(target, name)
    if isinstance(target, Block):
        parameter = target.parameter(name)
        default = parameter.default if parameter else None
        if isinstance(default, tree.Literal) and default.value is None is value:
            return True
    complaint = kind.complaint(value) if kind else ""
    if not complaint:
        return True
    hint = ""
    if isinstance(value, str) and kind and "one of" in complaint:
        options = complaint.removeprefix("must be one of ").split(", ")
        hint = did_you_mean(value, options, 0.5) or f"it {complaint}"
        message = f"`{name}` of `{target.name}` cannot be {shown(value)}"
    else:
        message = f"`{name}` of `{target.name}` {complaint}, and is {shown(value)}"
    problems.add("E0217", message, span, hint)
    return False


def check_static(problems: Problems, expr: tree.Expr, known: Collection[str]) -> None:
    """Note what is no constant: a call, a name that is no `known` parameter."""
    if isinstance(expr, tree.Name):
        if expr.text not in known:
            unknown_name(problems, expr, known)
    elif isinstance(expr, tree.Call):
        name = expr.function.text
        hint = "arguments of layers are numbers, names and arithmetic"
        if name == "width":
            hint = f"give it a parameter of its own: `width = {expr.span.text}`"
        elif name in SEARCHES:
            hint = f"write `HPO({expr.span.text})`"
        problems.add("E0220", f"`{name}(…)` cannot stand here", expr.span, hint)
    else:
        for part in tree.children(expr):
            check_static(problems, part, known)


def unknown_name(problems: Problems, node: tree.Name, known: Collection[str]) -> None:
    """Note a name that stands for nothing."""
    hint = did_you_mean(node.text, known)
    names = ", ".join(sorted(known))
    problems.add(
        "E0223",
        f"nothing is called `{node.text}` here",
        node.span,
        hint or (f"known: {names}" if known else _NO_NAMES),
    )
