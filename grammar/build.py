"""Builds the nodes of `tree` as the LALR parser reduces its rules."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any, NamedTuple

from neural_attn.grammar import tree
from neural_attn.grammar.comments import trivia
from neural_attn.grammar.lexer import Lexeme
from neural_attn.grammar.precedence import MisplacedError, bind

from neural_attn.diagnostics.errors import Span, fail

_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
_INFINITY = float("inf")


class _Block(NamedTuple):
    """Items between braces, on their way to the node that will hold them."""

    span: Span
    items: tuple[tree.Item, ...]


class _Arguments(NamedTuple):
    """Arguments between brackets, on their way to the node that will hold them."""

    span: Span
    items: tuple[tree.Argument, ...]


class _Builder:
    """Turns each rule of the parse into a node of the tree, by the rule's name.

    Lark calls it as it reduces, with everything the rule is made of: lexemes, nodes,
    and what other methods gave back.
    """

    # --- files -------------------------------------------------------------------

    def start(self, parts: list[Any]) -> list[Any]:
        """Networks, defines and research; a network is a list with its own defines."""
        flat: list[Any] = []
        for part in parts:
            if part is not None:
                flat += part if isinstance(part, list) else [part]
        return flat

    def network(self, parts: list[Any]) -> list[tree.NetworkNode | tree.Define]:
        """The defines that stand inside, which every block may use, and the network."""
        _, name, _, body, _ = parts
        span = _span(parts)
        items = tuple(item for item in body if not isinstance(item, tree.Define))
        inside = [item for item in body if isinstance(item, tree.Define)]
        return [*inside, tree.NetworkNode(span, _name(name), items, trivia(span))]

    def define(self, parts: list[Any]) -> tree.Define:
        span = _span(parts)
        parameters: tuple[tree.Parameter, ...] = ()
        doc, forward = "", None
        items: tuple[tree.Item, ...] = ()
        for part in parts[2:]:
            if isinstance(part, tree.Forward):
                forward = part
            elif isinstance(part, tuple):
                parameters = part
            elif isinstance(part, list):
                items = _only_items(part)
            elif part.type == "DOCSTRING":
                doc = docstring_text(part.text)
        return tree.Define(
            span, _name(parts[1]), parameters, doc, items, forward, trivia(span)
        )

    def parameters(self, parts: list[Any]) -> tuple[tree.Parameter, ...]:
        return tuple(p for p in parts if isinstance(p, tree.Parameter))

    def parameter(self, parts: list[Any]) -> tree.Parameter:
        default = parts[2] if len(parts) > 1 else None
        return tree.Parameter(parts[0].span, parts[0].text, default)

    def research(self, parts: list[Any]) -> tree.Research:
        return tree.Research(_span(parts), _only_items(parts[-2]))

    # --- items -------------------------------------------------------------------

    def body(self, parts: list[Any]) -> list[tree.Item | tree.Define]:
        items: list[Any] = []
        for part in parts:
            if isinstance(part, list):
                items += part
            elif isinstance(part, tree.Sequence):
                _add_value(items, part)
            elif part is not None:
                items.append(part)
        return items

    def separator(self, parts: list[Any]) -> None:
        return None

    def layers_marker(self, parts: list[Any]) -> tree.LayersMarker:
        return tree.LayersMarker(_span(parts))

    def layers_list(self, parts: list[Any]) -> list[tree.Item]:
        return [tree.LayersMarker(_span(parts)), *_only_items(parts[3])]

    def setting(self, parts: list[Any]) -> tree.Setting:
        name, _, (*value, last) = parts
        block = last.items if isinstance(last, _Block) else None
        if block is None:
            value = [last]
        span = name.span.to(last.span)
        return tree.Setting(span, _name(name), value[0] if value else None, block)

    def value(self, parts: list[Any]) -> list[Any]:
        return parts

    def block(self, parts: list[Any]) -> _Block:
        return _Block(_span(parts), _only_items(parts[1]))

    def further_value(self, parts: list[Any]) -> tree.Sequence:
        return self.tuple_(parts)

    def layer(self, parts: list[Any]) -> tree.LayerNode:
        arguments: tuple[tree.Argument, ...] = ()
        block: tuple[tree.Item, ...] | None = None
        device = repeat = None
        for part in parts[1:]:
            kind = type(part)
            if kind is _Arguments:
                arguments = part.items
            elif kind is _Block:
                block = part.items
            elif kind is not Lexeme:
                repeat = part
            elif part.type == "STRING":
                device = self.string([part])
        span = _span(parts)
        name = _name(parts[0])
        return tree.LayerNode(
            span, name, arguments, block, device, repeat, None, trivia(span)
        )

    def named_layer(self, parts: list[Any]) -> tree.LayerNode:
        label, _, layer = parts
        span = _span(parts)
        return replace(  # type: ignore[no-any-return]
            layer, span=span, label=_name(label), trivia=trivia(span)
        )

    def layer_choice(self, parts: list[Any]) -> tree.LayerChoice:
        span = _span(parts)
        bodies = [_only_items(part) for part in parts if isinstance(part, list)]
        otherwise = bodies[1] if len(bodies) > 1 else ()
        return tree.LayerChoice(span, parts[1], bodies[0], otherwise, trivia(span))

    # --- equations ---------------------------------------------------------------

    def forward(self, parts: list[Any]) -> tree.Forward:
        return tree.Forward(_span(parts), parts[1], tuple(parts[3:]))

    def assign(self, parts: list[Any]) -> tree.Assign:
        span = _span(parts)
        *names, _, value = parts
        targets = tuple(_name(name) for name in names if name.type == "NAME")
        return tree.Assign(span, targets, value, trivia(span))

    def give_back(self, parts: list[Any]) -> tree.Return:
        span, values = _span(parts), tuple(parts[1::2])
        value = values[0] if len(values) == 1 else tree.Sequence(span, values)
        return tree.Return(span, value, trivia(span))

    def choose(self, parts: list[Any]) -> tree.If:
        span = _span(parts)
        branches: list[list[Any]] = [[], []]
        side = 0
        for part in parts[2:]:
            if not isinstance(part, Lexeme):
                branches[side].append(part)
            elif part.type == "ELSE":
                side = 1
        then, otherwise = map(tuple, branches)
        return tree.If(span, parts[1], then, otherwise, trivia(span))

    # --- expressions -------------------------------------------------------------

    def arguments(self, parts: list[Any]) -> _Arguments:
        inside = tuple([part for part in parts if type(part) is tree.Argument])
        return _Arguments(_span(parts), inside)

    def keyword(self, parts: list[Any]) -> tree.Argument:
        return tree.Argument(_span(parts), parts[0].text, parts[2])

    def positional(self, parts: list[Any]) -> tree.Argument:
        return tree.Argument(parts[0].span, None, parts[0])

    def call(self, parts: list[Any]) -> tree.Call:
        return tree.Call(_span(parts), _name(parts[0]), parts[1].items)

    def operation(self, parts: list[Any]) -> tree.Expr:
        try:
            return bind(parts, _unary, _binary)  # type: ignore[no-any-return]
        except MisplacedError as found:
            span = found.token.span
        fail("E0110", span, what=f"`{span.text}`")

    def group(self, parts: list[Any]) -> tree.Expr:
        return replace(parts[1], span=_span(parts))  # type: ignore[no-any-return]

    def tuple_(self, parts: list[Any]) -> tree.Sequence:
        inside = tuple(p for p in parts if not isinstance(p, Lexeme))
        return tree.Sequence(_span(parts), inside)

    def list_(self, parts: list[Any]) -> tree.Sequence:
        inside = tuple(p for p in parts if not isinstance(p, Lexeme))
        return tree.Sequence(_span(parts), inside, is_list=True)

    def number(self, parts: list[Lexeme]) -> tree.Literal:
        span, text = parts[0].span, parts[0].text
        if len(text) > 40:
            fail("E0106.digits", span)
        value = int(text) if text.isdigit() else float(text)
        if value == _INFINITY:
            fail("E0106.size", span, text=text)
        return tree.Literal(span, value)

    def string(self, parts: list[Lexeme]) -> tree.Literal:
        return tree.Literal(parts[0].span, _string(parts[0].text))

    def name(self, parts: list[Lexeme]) -> tree.Expr:
        span, text = parts[0].span, parts[0].text
        if text[0] == "$":
            return tree.Name(span, text[1:])
        if text.lower() in _CONSTANTS:
            return tree.Literal(span, _CONSTANTS[text.lower()])
        return tree.Name(span, text)


def _span(parts: list[Any]) -> Span:
    """From the first part to the last."""
    first: Span = parts[0].span
    return first.to(parts[-1].span)


def _name(lexeme: Lexeme) -> tree.Name:
    return tree.Name(lexeme.span, lexeme.text)


def _only_items(body: list[Any]) -> tuple[tree.Item, ...]:
    """The items of a body that has no room for a define."""
    for item in body:
        if isinstance(item, tree.Define):
            fail("E0129", item.name.span)
    return tuple(body)


def _add_value(items: list[Any], value: tree.Sequence) -> None:
    """`input: (4,), (5,)`: the setting before has one more value."""
    last = items[-1] if items else None
    if not isinstance(last, tree.Setting) or last.value is None or last.block:
        fail("E0110", value.span, what=f"`{value.span.text}`")
    known = last.value
    several = isinstance(known, tree.Sequence) and known.is_list
    values = (*known.items, value) if several else (known, value)  # type: ignore[union-attr]
    both = tree.Sequence(known.span.to(value.span), values, True)
    items[-1] = tree.Setting(last.span.to(value.span), last.name, both)


def _unary(operator: Lexeme, operand: tree.Expr) -> tree.Expr:
    span = operator.span.to(operand.span)
    if operator.type == "MINUS" and isinstance(operand, tree.Literal):
        value = operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return tree.Literal(span, -value)
    return tree.Unary(span, operator.text, operand)


def _binary(left: tree.Expr, operator: Lexeme, right: tree.Expr) -> tree.Expr:
    return tree.Binary(left.span.to(right.span), operator.text, left, right)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def _string(written: str) -> str:
    """The text inside the quotes, with the usual escapes."""
    inside = written[1:-1]
    if "\\" not in inside:
        return inside
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), inside, flags=re.DOTALL)


def docstring_text(written: str) -> str:
    """The text inside triple quotes, without indentation and spaces at line ends."""
    text = re.sub(r"\\(.)", r"\1", written[3:-3], flags=re.S)
    return "\n".join(line.rstrip() for line in inspect.cleandoc(text).split("\n"))


# what lark is given: it keeps nothing, so one serves every text
BUILDER = _Builder()
