"""Writes the forward of a block: the author's equations, comments and blank lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import partial
from typing import TypeGuard

from neural_attn.backends.emit.base import Generation
from neural_attn.backends.emit.calls import in_forward, makes_mask, special, whole
from neural_attn.backends.emit.expressions import text
from neural_attn.backends.emit.layers import STATEMENTS, choice
from neural_attn.backends.emit.layout import with_trivia
from neural_attn.backends.emit.scope import Scope
from neural_attn.backends.emit.usage import always_given, names_read
from neural_attn.grammar import tree

from neural_attn.ir import UNUSED, is_mask
from neural_attn.shapes.instance import LONGEST


def forward_lines(scope: Scope) -> list[str]:
    """The whole method, or that and the two that it is made of."""
    going_on = scope.going_on
    if going_on and going_on.within and going_on.within.target is scope.block:
        return _in_two(scope, going_on)
    inputs = ["self"]
    defaults: list[str] = []
    body = body_lines(scope, scope.block.forward.body, STATEMENTS)
    idle = _idle_masks(scope, body)
    required = always_given(scope.checked, scope.block)
    for parameter in scope.block.forward.parameters:
        default = parameter.default
        if parameter.name in scope.stand_ins.keys() | idle:
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
    if scope.backend.passes_training and scope.attends:
        inputs.append("training=None")
    head = f"    def {scope.backend.forward}({', '.join(inputs)}):"
    return [head, *defaults, *_length_check(scope), *body]


def _idle_masks(scope: Scope, body: Sequence[str]) -> set[str]:
    """The masks of scans that no call of the block gives, and that it reads nowhere."""
    code = "\n".join(body)
    return {
        name
        for name in scope.idle_masks - scope.facts.passed
        if not re.search(rf"\b{scope.spell(name)}\b", code)
    }


def _in_two(scope: Scope, going_on: Generation) -> list[str]:
    """A forward in two methods: the source is read once, however often it is used."""
    names = [scope.spell(name) for name in scope.block.inputs]
    encoding, decoding = going_on.statements
    read = names_read(encoding)
    (source,) = (scope.spell(name) for name in scope.block.inputs if name in read)
    (target,) = (name for name in names if name != source)
    handed = [scope.spell(name) for name in going_on.handed]
    encoder = body_lines(scope, encoding, STATEMENTS)
    encoder.append(f"{STATEMENTS}return {', '.join(handed)}")
    decoder = body_lines(scope, decoding, STATEMENTS)
    return [
        f"    def {scope.backend.forward}(self, {', '.join(names)}):",
        f"{STATEMENTS}return {decoded(target, source, handed)}",
        *encoder_and_decoder(source, target, handed, encoder, decoder),
    ]


def decoded(
    target: str, source: str, handed: Sequence[str], method: str = "decode"
) -> str:
    """The call of both methods, one in the other."""
    star = "*" if len(handed) > 1 else ""
    return f"self.{method}({target}, {star}self.encode({source}))"


def encoder_and_decoder(
    source: str,
    target: str,
    handed: Sequence[str],
    encoder: Sequence[str],
    decoder: Sequence[str],
) -> list[str]:
    """The methods `encode` and `decode`; the second takes what is handed on."""
    return [
        "",
        f"    def encode(self, {source}):",
        f'{STATEMENTS}"""Return what `decode` needs of {source} [batch, time]."""',
        *encoder,
        "",
        f"    def decode(self, {', '.join([target, *handed])}):",
        f'{STATEMENTS}"""Return the output for {target} [batch, time]."""',
        *decoder,
    ]


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
    names = statement.targets if isinstance(statement, tree.Assign) else ()
    targets = [name.text for name in names]
    if _is_idle_mask(scope, targets) or (targets and scope.nothing >= set(targets)):
        return []
    scope.before, scope.target = [], targets[0] if len(targets) == 1 else ""
    is_size = not scope.sizes.isdisjoint(targets)
    made = (whole if is_size else in_forward)(scope, statement.value)
    # several values need no parentheses
    value = ", ".join(map(text, made.elts)) if _is_row(made) else text(made)
    lines = scope.before
    if isinstance(statement, tree.Return):
        lines.append(f"return {value}")
    else:
        scope.value = made
        scope.locals |= set(targets)
        if makes_mask(scope, statement.value):
            scope.never_none |= set(targets)
        spelled = ", ".join(_spelled(scope, targets))
        if value != spelled:
            lines.append(f"{spelled} = {value}")
    if not lines:
        return []
    head, *rest = (indent + line for line in lines)
    trivia = tree.Trivia() if _is_told(scope, statement) else statement.trivia
    return [*with_trivia(head, trivia, not first), *rest]


def _spelled(scope: Scope, targets: Sequence[str]) -> list[str]:
    """The names before an `=`; `_` for each of several that nothing reads."""
    if len(targets) == 1:
        return [scope.spell(targets[0])]
    read = names_read(scope.block.forward.body)
    spelled = [scope.spell(name) if name in read else UNUSED for name in targets]
    last = max((i for i, name in enumerate(spelled, 1) if name != UNUSED), default=0)
    if last == 0:
        return [UNUSED]
    rest = spelled[last:]
    return spelled if len(rest) < 2 else [*spelled[:last], f"*{UNUSED}"]


def _is_idle_mask(scope: Scope, targets: Sequence[str]) -> bool:
    """Whether a network makes a mask here that none of its layers takes."""
    is_network = scope.block is scope.checked.network.block
    if not is_network or len(targets) != 1 or not is_mask(targets[0]):
        return False
    return targets[0] not in names_read(scope.block.forward.body)


def _is_row(made: ast.expr) -> TypeGuard[ast.Tuple]:
    return isinstance(made, ast.Tuple) and len(made.elts) > 1


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
        any(
            isinstance(one, tree.Return)
            or (isinstance(one, tree.If) and _returns(one, decisions))
            for one in branch
        )
        for branch in branches
    )
