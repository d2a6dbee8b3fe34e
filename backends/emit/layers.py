"""Writes how a class makes its layers, each under its name.

A condition with one outcome in the whole network leaves only that branch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neural_attn.backends.emit.expressions import (
    Rule,
    comprehension,
    constant,
    fill,
    python,
    slots,
    text,
    without,
)  # fmt: skip
from neural_attn.backends.emit.expressions import (
    name as python_name,
)
from neural_attn.backends.emit.layout import with_trivia
from neural_attn.backends.emit.scope import Scope
from neural_attn.grammar import tree

from neural_attn.catalogue.base import NativeLayer
from neural_attn.ir import Block, LayerChoice, LayerUse
from neural_attn.shapes.instance import of_repeats

# sizes in which the copies of a repeated layer differ, by variable
Varied = dict[str, list[tree.Expr]]


def layer_lines(
    scope: Scope, layers: Sequence[LayerUse | LayerChoice], indent: str
) -> list[str]:
    """The lines that make some layers."""
    lines: list[str] = []
    for layer in layers:
        if isinstance(layer, LayerChoice):
            lines += choice(scope, layer, indent, layer_lines, scope.in_constructor)
        elif layer.name in scope.layers and (made := _made(scope, layer)):
            scope.declared.add(layer.name)
            line = f"{indent}self.{layer.name} = {text(made)}"
            lines += with_trivia(line, layer.trivia, bool(lines))
    return lines


def choice(
    scope: Scope,
    node: LayerChoice | tree.If,
    indent: str,
    write: Callable[[Scope, Any, str], list[str]],
    rule: Rule,
) -> list[str]:
    """An if: both branches, or the only one that this network takes."""
    outcomes = scope.facts.decisions.get(id(node), set())
    if len(outcomes) < 2:
        taken = node.then if True in outcomes else node.otherwise
        return write(scope, taken, indent) if outcomes else []
    lines = [f"{indent}if {text(python(node.condition, rule))}:"]
    lines += write(scope, node.then, indent + "    ") or [f"{indent}    pass"]
    otherwise = write(scope, node.otherwise, indent + "    ")
    return [*lines, f"{indent}else:", *otherwise] if otherwise else lines


def _made(scope: Scope, use: LayerUse) -> ast.expr | None:
    """The constructor call of a layer; None where the backend needs no object."""
    varied: Varied = {}
    if isinstance(use.target, Block):
        made = _block(scope, use, use.target, varied)
    else:
        row = scope.row(use, use.target)
        if scope.is_idle(use) or not row.make:
            return None
        rule = scope.in_constructor
        fields = native_fields(scope, use, use.target, row.make, rule, varied)
        made = without(fill(row.make, fields), row.omit)
    made = _sharing(scope, made)
    if use.repeat is None:
        return made
    loop = _loop(scope, made, use.repeat, varied)
    return fill(scope.backend.list_of_layers, {"made": loop})


def _sharing(scope: Scope, made: ast.expr) -> ast.expr:
    """A constructor call, and those of layers inside it, given what is shared."""
    option = scope.backend.shared
    if not option:
        return made
    calls = [part for part in ast.walk(made) if isinstance(part, ast.Call)]
    for call in calls:
        if text(call.func).rpartition(".")[2][0].isupper():
            call.keywords.append(ast.keyword(option, python_name(option)))
            scope.shares = True
    return made


def _loop(scope: Scope, made: ast.expr, repeat: tree.Expr, varied: Varied) -> ast.expr:
    """`made for _ in range(6)`; or over the sizes in which the copies differ."""

    def size(expr: tree.Expr) -> ast.expr:
        return python(expr, scope.in_constructor, whole=True)

    count = size(repeat)
    if not varied:
        return comprehension(made, ["_"], fill("range({count})", {"count": count}))
    length = max(map(len, varied.values()))
    rows = [
        [size(sizes[min(i, len(sizes) - 1)]) for sizes in varied.values()]
        for i in range(length)
    ]
    items = [row[0] if len(row) == 1 else ast.Tuple(row, ast.Load()) for row in rows]
    known, left = scope.known_value(repeat), length - 1
    fields: dict[str, ast.expr | list[ast.expr]] = {
        "first": items[:-1],
        "last": items[-1],
        "count": count,
        "left": constant(left),
    }
    values = "[{first}] + [{last}]"
    if isinstance(known, int):
        fields["rest"] = constant(known - left)
        values += " * {rest}" if known - left != 1 else ""
    else:
        values += " * ({count} - {left})"
        values = f"({values})[:{{count}}]" if left > 1 else values
    return comprehension(made, varied, fill(values, fields))


def _size(
    scope: Scope,
    use: LayerUse,
    sizes: Mapping[str, tree.Expr],
    name: str,
    varied: Varied,
) -> ast.expr:
    """A size of a layer's input; of copies that differ in it, the loop's variable."""
    several = of_repeats(sizes, name) if use.repeat is not None else []
    if len(several) < 2:
        return python(sizes[name], scope.in_constructor, whole=True)
    while name in scope.static or name in scope.facts.hidden:
        name += "_"
    varied[name] = several
    return python_name(name)


def _block(scope: Scope, use: LayerUse, block: Block, varied: Varied) -> ast.expr:
    inner = scope.scopes[block]
    spelling = scope.facts.hidden_values.get(use.name, {})
    positional: list[ast.expr] = []
    named: list[ast.keyword] = []
    in_order = True  # so far, all parameters are given under their own names
    for name, default in inner.signature.items():
        expr = use.arguments.get(name)
        spelled = scope.spell(name)
        if expr is not None:
            value = argument(scope, inner.block, name, expr, scope.in_constructor)
        elif default is None and name in spelling:
            value = _size(scope, use, spelling, name, varied)
        else:
            in_order = False
            continue
        written = text(value)
        in_order = in_order and written == spelled
        if in_order:
            positional.append(value)
        elif written != default:
            named.append(ast.keyword(spelled, value))
    return ast.Call(python_name(inner.class_name), positional, named)


def argument(
    scope: Scope, target: Block | NativeLayer, name: str, expr: tree.Expr, rule: Rule
) -> ast.expr:
    """An argument for a parameter of a layer, as the backend writes it."""
    kind = (
        target.kinds.get(name)
        if isinstance(target, Block)
        else next(p.kind for p in target.parameters if p.name == name)
    )
    if kind and kind.name == "activation":
        value = scope.known_value(expr)
        if value is not None:
            return fill(scope.backend.activation(str(value)), {})
    whole = kind is None or kind.name != "float"
    made = python(expr, rule, whole=whole)
    if kind and kind.name == "shape" and isinstance(scope.any_value(expr), int):
        return ast.Tuple([made], ast.Load())  # Reshape(784)
    return made


def native_fields(
    scope: Scope,
    use: LayerUse,
    native: NativeLayer,
    template: str,
    rule: Rule,
    varied: Varied,
) -> dict[str, ast.expr | list[ast.expr]]:
    """The parameters that a template names, as the code there spells them."""
    named = slots(template)
    fields: dict[str, ast.expr | list[ast.expr]] = {}
    for parameter in native.parameters:
        expr, name = use.arguments.get(parameter.name), parameter.name
        if name not in named:
            continue
        if expr is not None:
            fields[name] = argument(scope, native, name, expr, rule)
        elif parameter.kind.name == "activation":
            fields[name] = fill(scope.backend.activation(parameter.default), {})
        elif not parameter.required:
            fields[name] = constant(parameter.default)
    sizes = scope.facts.features.get(use.name, {})
    for name in sizes:
        if name in named:
            fields[name] = _size(scope, use, sizes, name, varied)
    return fields
