"""What a whole network does with a block: what its classes can therefore leave out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from neural_attn.backends.emit import runtime_source
from neural_attn.backends.emit.expressions import python, text
from neural_attn.grammar import tree

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.functions import PRIMITIVES
from neural_attn.catalogue.types import spelled
from neural_attn.diagnostics.errors import Problems
from neural_attn.ir import (
    SCAN,
    Block,
    LayerUse,
    call_parameters,
    is_mask,
    step_call,
    width_of,
)
from neural_attn.shapes.instance import Checked

# the parameters of functions that are whole numbers
SIZES = frozenset("n k shape num_heads start stop parts window".split())


def set_parameters(checked: Checked, block: Block) -> set[str]:
    """The parameters of a block that some use of it gives.

    An argument that only repeats the default of the parameter does not count.
    """
    given: set[str] = set()
    for outer, use in _uses_of(checked, block):
        given |= {
            name
            for name in use.arguments
            if name not in given and not _repeats_default(checked, outer, use, name)
        }
    return given


def given_inputs(checked: Checked, block: Block) -> set[str]:
    """The arguments of a block's forward that some call of it gives."""
    given: set[str] = set()
    for outer, use in _uses_of(checked, block):
        for call in calls_in(outer.forward.body):
            if call.function.text == use.name:
                given |= match(
                    "", call_parameters(use), call.arguments, Problems()
                ).keys()
    return given


def always_given(
    checked: Checked, block: Block, known: dict[Block, set[str]] | None = None
) -> set[str]:
    """The optional arguments of a block's forward that every call of it gives.

    Without a decoder's memory its cross-attention would be self-attention: a call that
    leaves it out is a mistake. A mask that is left out hides nothing, which is none.
    `known` is what is found of the blocks around it: many calls lead to the same ones.
    """
    known = {} if known is None else known
    if block in known:
        return known[block]
    optional = {
        p.name
        for p in block.forward.parameters
        if isinstance(p.default, tree.Literal) and p.default.value is None
        if not is_mask(p.name)
    }
    for outer, use in _uses_of(checked, block) if optional else ():
        maybe = {p.name for p in outer.forward.parameters if p.default is not None}
        maybe -= always_given(checked, outer, known)
        for call in calls_in(outer.forward.body):
            if call.function.text != use.name:
                continue
            given = match("", call_parameters(use), call.arguments, Problems())
            optional &= {
                name
                for name, expr in given.items()
                if not isinstance(expr, tree.Literal)
                if not (isinstance(expr, tree.Name) and expr.text in maybe)
            }
    leading = []
    for parameter in block.forward.parameters:
        if parameter.default is not None and parameter.name not in optional:
            break  # Python wants required arguments first
        leading.append(parameter.name)
    known[block] = optional.intersection(leading)
    return known[block]


def assigned(body: Iterable[tree.Statement]) -> set[str]:
    """The names that statements assign to."""
    return {target for target, _ in _assignments(body)}


def always_none(
    body: Iterable[tree.Statement], decisions: Mapping[int, set[bool]]
) -> set[str]:
    """The names that are only ever `none`, whatever branches the network takes."""
    assigned = list(_taken(body, decisions))
    given = {name for name, value in assigned if not _is_none(value)}
    return {name for name, _ in assigned} - given


def _taken(
    body: Iterable[tree.Statement], decisions: Mapping[int, set[bool]]
) -> Iterator[tuple[str, tree.Expr]]:
    """The assignments in those branches that some use of a block takes."""
    for statement in body:
        if isinstance(statement, tree.If):
            outcomes = decisions.get(id(statement), set())
            for taken in outcomes:
                branch = statement.then if taken else statement.otherwise
                yield from _taken(branch, decisions)
        else:
            yield from _assignments([statement])


def _is_none(expr: tree.Expr) -> bool:
    return isinstance(expr, tree.Literal) and expr.value is None


def names_read(body: Iterable[tree.Statement]) -> set[str]:
    """Every name in the expressions of statements."""
    found: set[str] = set()
    for statement in body:
        if isinstance(statement, tree.If):
            found |= tree.names_in(statement.condition)
            found |= names_read([*statement.then, *statement.otherwise])
        else:
            found |= tree.names_in(statement.value)
    return found


def sizes(body: Sequence[tree.Statement]) -> set[str]:
    """The names in the sizes that functions are given, and those they are made of."""
    found: set[str] = set()
    for call in calls_in(body):
        primitive = PRIMITIVES.get(call.function.text)
        if primitive is not None:
            parameters = tuple(primitive.parameters)
            given = match("", parameters, call.arguments, Problems())
            for name in SIZES & given.keys():
                found |= tree.names_in(given[name])
    before = -1
    while before != len(found):
        before = len(found)
        for target, value in _assignments(body):
            if target in found:
                found |= tree.names_in(value)
    return found


def _assignments(body: Iterable[tree.Statement]) -> Iterator[tuple[str, tree.Expr]]:
    for statement in body:
        if isinstance(statement, tree.If):
            yield from _assignments([*statement.then, *statement.otherwise])
        elif isinstance(statement, tree.Assign):
            for target in statement.targets:
                yield target.text, statement.value


def _uses_of(checked: Checked, block: Block) -> Iterator[tuple[Block, LayerUse]]:
    for outer, facts in checked.facts.items():
        for use in outer.uses():
            if use.target is block and use.name in facts.live:
                yield outer, use


def calls_in(body: Iterable[tree.Statement]) -> Iterator[tree.Call]:
    """Every call in the expressions of statements, those of scan's steps among them."""
    for statement in body:
        if isinstance(statement, tree.If):
            yield from calls_in([*statement.then, *statement.otherwise])
            continue
        for expr in tree.walk(statement.value):
            if isinstance(expr, tree.Call):
                yield expr
                if expr.function.text == SCAN and (step := step_call(expr)):
                    yield step


def _repeats_default(checked: Checked, outer: Block, use: LayerUse, name: str) -> bool:
    """Whether an argument passes on a parameter of `outer` that nobody sets.

    Both defaults are the same then: a number, or `key_dim = d_model / num_heads`.
    """
    expr, inner = use.arguments[name], use.target
    if not isinstance(expr, tree.Name) or not isinstance(inner, Block):
        return False
    theirs, ours = inner.parameter(name), outer.parameter(expr.text)
    if ours is None or ours.default is None or theirs is None:
        return False
    if width_of(ours) or width_of(theirs) or _has_values(checked, outer, expr.text):
        return False
    if isinstance(ours.default, tree.Literal):
        fixed = isinstance(theirs.default, tree.Literal)
        return fixed and spelled(theirs.default) == spelled(ours.default)
    if theirs.default is None:
        return False
    written = {**checked.facts[outer].hidden_values.get(use.name, {}), **use.arguments}

    def passed_on(node: tree.Expr) -> ast.expr | None:
        if isinstance(node, tree.Name) and node.text in written:
            return python(written[node.text], lambda _: None)
        return None

    passed = python(theirs.default, passed_on)
    return text(passed) == text(python(ours.default, lambda _: None))


def _has_values(checked: Checked, block: Block, name: str) -> bool:
    return name in set_parameters(checked, block)


def network_name(checked: Checked, runtime: str) -> str:
    """The name of the network's class: its own, set apart from all other classes."""
    name = checked.network.name
    files = runtime_source.read(runtime)
    blocks = {
        block.name for block in checked.facts if block is not checked.network.block
    }
    taken = files.definitions.keys() | files.imports.keys() | blocks
    while name in taken:
        name += "Model"
    return name
