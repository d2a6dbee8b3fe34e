"""Writes the forward of a block: the author's equations, comments and blank lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from neural_attn.backends.emit.calls import in_forward, makes_mask, special, whole
from neural_attn.backends.emit.expressions import text
from neural_attn.backends.emit.layers import STATEMENTS, choice
from neural_attn.backends.emit.layout import with_trivia
from neural_attn.backends.emit.scope import Scope
from neural_attn.backends.emit.usage import always_given
from neural_attn.grammar import tree

from neural_attn.shapes.instance import LONGEST


def forward_lines(scope: Scope) -> list[str]:
    """The whole method."""
    inputs = ["self"]
    defaults: list[str] = []
    required = always_given(scope.checked, scope.block)
    for parameter in scope.block.forward.parameters:
        default = parameter.default
        if parameter.name in scope.stand_ins:
            continue
        name = scope.spell(parameter.name)
        must = default is None or parameter.name in required
        inputs.append(name if must else f"{name}=None")
        if default is not None and must:
            defaults.append(f"{STATEMENTS}if {name} is None:")
            defaults.append(f'{STATEMENTS}    raise TypeError("{name} is missing")')
        if isinstance(default, tree.Name):
            defaults.append(f"{STATEMENTS}if {name} is None:")
            defaults.append(f"{STATEMENTS}    {name} = {scope.spell(default.text)}")
    body = body_lines(scope, scope.block.forward.body, STATEMENTS)
    if scope.backend.passes_training and scope.attends:
        inputs.append("training=None")
    head = f"    def {scope.backend.forward}({', '.join(inputs)}):"
    return [head, *defaults, *_length_check(scope), *body]


def _length_check(scope: Scope) -> list[str]:
    """The line that refuses more steps than the parameter `max_len` allows."""
    if not scope.facts.is_bounded:
        return []
    longest = in_forward(scope, tree.Name(scope.static[LONGEST].span, LONGEST))
    first = scope.spell(scope.block.inputs[0])
    return [f"{STATEMENTS}check_length({first}, {text(longest)})"]


def body_lines(scope: Scope, body: Sequence[tree.Statement], indent: str) -> list[str]:
    """Statements, with the author's comments and blank lines."""
    lines: list[str] = []
    for statement in body:
        if not isinstance(statement, tree.If):
            lines += _statement(scope, statement, indent, first=not lines)
            continue
        rule = partial(special, scope)
        lines += choice(scope, statement, indent, body_lines, rule)
        if lines and _returns(statement, scope.facts.decisions):
            break
    return lines


def _statement(
    scope: Scope, statement: tree.Assign | tree.Return, indent: str, *, first: bool
) -> list[str]:
    target = statement.target.text if isinstance(statement, tree.Assign) else ""
    scope.before, scope.target = [], target
    made = (whole if target in scope.sizes else in_forward)(scope, statement.value)
    value, lines = text(made), scope.before
    if isinstance(statement, tree.Return):
        lines.append(f"return {value}")
    else:
        scope.value = made
        scope.locals.add(target)
        if makes_mask(scope, statement.value):
            scope.never_none.add(target)
        if value != scope.spell(target):
            lines.append(f"{scope.spell(target)} = {value}")
    if not lines:
        return []
    head, *rest = (indent + line for line in lines)
    trivia = tree.Trivia() if _is_told(scope, statement) else statement.trivia
    return [*with_trivia(head, trivia, not first), *rest]


def _is_told(scope: Scope, statement: tree.Assign | tree.Return) -> bool:
    """Whether the comments of a line stand where its layer is made already.

    In a network a line is both: it declares a layer and applies it.
    """
    value = statement.value
    layer = value.function.text if isinstance(value, tree.Call) else ""
    is_network = scope.block is scope.checked.network.block
    return is_network and layer in scope.declared


def _returns(node: tree.If, decisions: dict[int, set[bool]]) -> bool:
    """Whether nothing behind this if can run."""
    outcomes = decisions.get(id(node), set())
    branches = [node.then if outcome else node.otherwise for outcome in outcomes]
    return bool(branches) and all(
        branch and isinstance(branch[-1], tree.Return) for branch in branches
    )
