"""Writes how a class makes its layers, each under its name.

A condition with one outcome in the whole network leaves only that branch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from neural_attn.backends.emit.expressions import (
    Rule,
    comprehension,
    constant,
    dotted,
    fill,
    python,
    text,
    without,
)  # fmt: skip
from neural_attn.backends.emit.layout import with_trivia
from neural_attn.backends.emit.scope import (
    Scope,
    Varied,
    argument,
    native_fields,
    size_of,
)
from neural_attn.grammar import tree

from neural_attn.ir import INDEX, Block, LayerChoice, LayerUse

STATEMENTS = "        "  # the indent of statements in a method


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
    if len(outcomes) < 2 and not _asks_for_input(scope, node, outcomes):
        taken = node.then if True in outcomes else node.otherwise
        return write(scope, taken, indent) if outcomes else []
    then = write(scope, node.then, indent + "    ")
    otherwise = write(scope, node.otherwise, indent + "    ")
    if not then and not otherwise:  # of layers that do nothing in this network
        return []
    lines = [f"{indent}if {text(python(node.condition, rule))}:"]
    lines += then or [f"{indent}    pass"]
    return [*lines, f"{indent}else:", *otherwise] if otherwise else lines


def _asks_for_input(
    scope: Scope, node: LayerChoice | tree.If, outcomes: set[bool]
) -> bool:
    """Whether `if x != none { … }` stays: whoever calls the class may leave x out."""
    if outcomes != {True} or node.otherwise or isinstance(node, LayerChoice):
        return False
    names = tree.names_in(node.condition)
    parameters = scope.block.forward.parameters
    optional = {p.name for p in parameters if p.default is not None}
    return bool(names & optional) and scope.block is not scope.checked.network.block


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
    if use.repeat is None or use.is_shared:
        return made
    counter = INDEX if use.is_counted else ""
    loop = _loop(scope, made, use.repeat, varied, counter)
    return fill(scope.backend.list_of_layers, {"made": loop})


def _sharing(scope: Scope, made: ast.expr) -> ast.expr:
    """A constructor call, and those of layers inside it, given what is shared."""
    option = scope.backend.shared
    if not option:
        return made
    calls = [part for part in ast.walk(made) if isinstance(part, ast.Call)]
    for call in calls:
        module, _, name = text(call.func).rpartition(".")
        if name[0].isupper() and not module.endswith("initializers"):
            call.keywords.append(ast.keyword(option, dotted(option)))
            scope.shares = True
    return made


def _loop(
    scope: Scope, made: ast.expr, repeat: tree.Expr, varied: Varied, counter: str
) -> ast.expr:
    """`made for _ in range(6)`; or over the sizes in which the copies differ.

    `counter` is the variable for the number of the copy, "" where none is needed.
    """

    def size(expr: tree.Expr) -> ast.expr:
        return python(expr, scope.in_constructor, whole=True)

    count = size(repeat)
    if not varied:
        several = fill("range({count})", {"count": count})
        return comprehension(made, [counter or "_"], several)
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
        if counter and known - left == 1:
            values = "[{first}, {last}]"
    else:
        values += " * ({count} - {left})"
        values = f"({values})[:{{count}}]" if left > 1 else values
    values = f"enumerate({values})" if counter else values
    return comprehension(made, varied, fill(values, fields), counter)


def _block(scope: Scope, use: LayerUse, block: Block, varied: Varied) -> ast.expr:
    inner = scope.scopes[block]
    spelling = scope.facts.hidden_values.get(use.name, {})
    positional: list[ast.expr] = []
    named: list[ast.keyword] = []
    # so far, all are widths of inputs or given under their own names
    in_order = True
    for name, default in inner.signature.items():
        expr = use.arguments.get(name)
        spelled = scope.spell(name)
        if expr is not None:
            value = argument(scope, inner.block, name, expr, scope.in_constructor)
        elif default is None and name in spelling:
            value = size_of(scope, use, spelling, name, varied)
        else:
            in_order = False
            continue
        written = text(value)
        is_width = name in spelling and isinstance(value, ast.Name)
        in_order = in_order and (written == spelled or is_width)
        if in_order:
            positional.append(value)
        elif written != default:
            named.append(ast.keyword(spelled, value))
    return ast.Call(dotted(inner.class_name), positional, named)


def constructor_head(scope: Scope, given: list[str]) -> list[str]:
    """The first lines of a constructor, with what the framework wants handed on."""
    options, shared = scope.backend.options, scope.backend.shared
    both = [*([shared] if scope.shares else []), *([options] if options else [])]
    head = [
        "self",
        *given,
        *(f"{name}=None" if name == shared else name for name in both),
    ]
    handed = [f"{name}={name}" if name == shared else name for name in both]
    return [
        f"    def __init__({', '.join(head)}):",
        f"{STATEMENTS}super().__init__({', '.join(handed)})",
    ]


def default_lines(scope: Scope) -> list[str]:
    """Parameters that are computed from others where they are not given."""
    lines = []
    for name, parameter in scope.static.items():
        if parameter.default is None or not scope.is_derived(name):
            continue
        value = text(python(parameter.default, scope.in_constructor, whole=True))
        spelled = scope.spell(name)
        if name in scope.signature:
            lines.append(f"{STATEMENTS}if {spelled} is None:")
            lines.append(f"{STATEMENTS}    {spelled} = {value}")
        elif name in scope.derived:
            lines.append(f"{STATEMENTS}{spelled} = {value}")
    return lines
