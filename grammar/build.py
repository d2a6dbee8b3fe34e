"""Text to typed tree: runs the LALR parser and builds `tree` nodes as it reduces."""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree, UnexpectedInput
from lark.tree import Meta
from neural_attn.grammar import tree
from neural_attn.grammar.messages import explain

from neural_attn.errors import Source, Span, fail

MAX_DEPTH = 100
MAX_BYTES = 10_000_000

_COMMENT_LINE = re.compile(r"\s*(?:#|//)(.*)")
_AFTER_NODE = re.compile(r"[ \t,;]*(?:#|//)([^\n]*)")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


class _Flow(tuple[Any, ...]):
    """Several nodes on their way to the node that will hold them."""

    __slots__ = ()


class _Builder:
    """Turns each rule of the parse into a node of the tree, by the rule's name."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._depths: dict[int, int] = {}

    def build(self, parsed: Tree[Token]) -> tree.File:
        """Build from the leaves up, without recursion: the text may be hostile."""
        built: dict[int, Any] = {}
        for subtree in parsed.iter_subtrees():
            parts = [
                built[id(part)] if isinstance(part, Tree) else part
                for part in subtree.children
            ]
            built[id(subtree)] = getattr(self, str(subtree.data))(subtree.meta, parts)
        return built[id(parsed)]  # type: ignore[no-any-return]

    # --- places ------------------------------------------------------------------

    def _span(self, meta: Meta) -> Span:
        if meta.empty:
            return Span(self.source, 0, 0)
        return Span(self.source, meta.start_pos, meta.end_pos)

    def _at(self, token: Token) -> Span:
        start = token.start_pos or 0
        return Span(self.source, start, start + len(token))

    def _name(self, token: Token) -> tree.Name:
        return tree.Name(self._at(token), str(token))

    def _trivia(self, span: Span) -> tree.Trivia:
        """Comments directly above a node and behind it on its last line."""
        text = self.source.text
        after = _AFTER_NODE.match(text, span.end)
        trailing = after[1].strip() if after else ""
        number = span.line
        if text[self.source.line_starts[number - 1] : span.start].strip():
            return tree.Trivia(trailing=trailing)
        comments: list[str] = []
        number -= 1
        while number >= 1 and (found := _COMMENT_LINE.fullmatch(self._line(number))):
            comments.append(found[1].strip())
            number -= 1
        blank = number >= 1 and not self._line(number).strip()
        return tree.Trivia(tuple(reversed(comments)), trailing, blank)

    def _line(self, number: int) -> str:
        return self.source.line(number)

    def _deep(self, node: Any, *inner: Any) -> Any:
        """Refuse nesting that later, recursive passes could not bear."""
        depth = 1 + max((self._depths.get(id(part), 0) for part in inner), default=0)
        if depth > MAX_DEPTH:
            fail(
                "E0105",
                f"this is nested more than {MAX_DEPTH} levels deep",
                node.span,
                "give parts of it a name, or split the block into smaller ones",
            )
        self._depths[id(node)] = depth
        return node

    # --- files -------------------------------------------------------------------

    def start(self, meta: Meta, parts: list[Any]) -> tree.File:
        return tree.File(
            self._span(meta),
            tuple(p for p in parts if isinstance(p, tree.Define)),
            tuple(p for p in parts if isinstance(p, tree.NetworkNode)),
            tuple(p for p in parts if isinstance(p, tree.Research)),
        )

    def network(self, meta: Meta, parts: list[Any]) -> tree.NetworkNode:
        _, name, body = parts
        span = self._span(meta)
        return tree.NetworkNode(span, self._name(name), tuple(body), self._trivia(span))

    def define(self, meta: Meta, parts: list[Any]) -> tree.Define:
        span = self._span(meta)
        name = self._name(parts[1])
        parameters: tuple[tree.Parameter, ...] = ()
        doc, items, forward = "", (), None
        for part in parts[2:]:
            if isinstance(part, Token):
                doc = docstring_text(str(part))
            elif isinstance(part, tree.Forward):
                forward = part
            elif isinstance(part, _Flow):
                parameters = tuple(part)
            else:
                items = tuple(part)
        return tree.Define(
            span, name, parameters, doc, items, forward, self._trivia(span)
        )

    def parameters(self, meta: Meta, parts: list[Any]) -> _Flow:
        return _Flow(parts)

    def parameter(self, meta: Meta, parts: list[Any]) -> tree.Parameter:
        default = parts[1] if len(parts) > 1 else None
        return tree.Parameter(self._at(parts[0]), str(parts[0]), default)

    # --- items -------------------------------------------------------------------

    def body(self, meta: Meta, parts: list[Any]) -> list[Any]:
        items: list[Any] = []
        for part in parts:
            if isinstance(part, _Flow):
                items += part
            elif isinstance(part, tree.Sequence):
                self._add_value(items, part)
            elif part is not None:
                items.append(part)
        return items

    def _add_value(self, items: list[Any], value: tree.Sequence) -> None:
        """`input: (4,), (5,)`: the setting before has one more value."""
        last = items[-1] if items else None
        if not isinstance(last, tree.Setting) or last.value is None or last.block:
            fail("E0110", f"`{value.span.text}` cannot stand here", value.span)
        known = last.value
        several = isinstance(known, tree.Sequence) and known.is_list
        values = (*known.items, value) if several else (known, value)  # type: ignore[union-attr]
        span = last.span.to(value.span)
        items[-1] = tree.Setting(
            span, last.name, tree.Sequence(known.span.to(value.span), values, True)
        )

    def further_value(self, meta: Meta, parts: list[Any]) -> tree.Sequence:
        return self.tuple_(meta, parts)

    def research(self, meta: Meta, parts: list[Any]) -> tree.Research:
        return tree.Research(self._span(meta), tuple(parts[-1]))

    def separator(self, meta: Meta, parts: list[Any]) -> None:
        return None

    def layers_marker(self, meta: Meta, parts: list[Any]) -> tree.LayersMarker:
        return tree.LayersMarker(self._span(meta))

    def layers_list(self, meta: Meta, parts: list[Any]) -> _Flow:
        marker = tree.LayersMarker(self._span(meta))
        return _Flow((self._deep(marker, *parts[1]), *parts[1]))

    def setting(self, meta: Meta, parts: list[Any]) -> tree.Setting:
        name, (value, block) = parts
        span = self._span(meta)
        return self._deep(  # type: ignore[no-any-return]
            tree.Setting(span, self._name(name), value, block), *(block or ())
        )

    def value(self, meta: Meta, parts: list[Any]) -> tuple[Any, Any]:
        block = next((tuple(p) for p in parts if isinstance(p, list)), None)
        return (None if isinstance(parts[0], list) else parts[0], block)

    def block(self, meta: Meta, parts: list[Any]) -> list[Any]:
        return list(parts[0])

    def layer(self, meta: Meta, parts: list[Any]) -> tree.LayerNode:
        span = self._span(meta)
        name, *rest = parts
        arguments: tuple[tree.Argument, ...] = ()
        block: tuple[tree.Item, ...] | None = None
        device = repeat = None
        for part in rest:
            if isinstance(part, _Flow):
                arguments = tuple(part)
            elif isinstance(part, list):
                block = tuple(part)
            elif isinstance(part, Token) and part.type == "STRING":
                device = tree.Literal(self._at(part), _string(part))
            elif not isinstance(part, Token):
                repeat = part
        return self._deep(  # type: ignore[no-any-return]
            tree.LayerNode(
                span,
                self._name(name),
                arguments,
                block,
                device,
                repeat,
                None,
                self._trivia(span),
            ),
            *(block or ()),
        )

    def named_layer(self, meta: Meta, parts: list[Any]) -> tree.LayerNode:
        label, layer = parts
        span = self._span(meta)
        return tree.LayerNode(
            span,
            layer.name,
            layer.arguments,
            layer.block,
            layer.device,
            layer.repeat,
            self._name(label),
            self._trivia(span),
        )

    def layer_choice(self, meta: Meta, parts: list[Any]) -> tree.LayerChoice:
        span = self._span(meta)
        bodies = [tuple(part) for part in parts if isinstance(part, list)]
        otherwise = bodies[1] if len(bodies) > 1 else ()
        node = tree.LayerChoice(
            span, parts[1], bodies[0], otherwise, self._trivia(span)
        )
        return self._deep(node, parts[1], *bodies[0], *otherwise)  # type: ignore[no-any-return]

    # --- equations ---------------------------------------------------------------

    def forward(self, meta: Meta, parts: list[Any]) -> tree.Forward:
        return tree.Forward(self._span(meta), tuple(parts[1]), tuple(parts[2:]))

    def assign(self, meta: Meta, parts: list[Any]) -> tree.Assign:
        span = self._span(meta)
        return tree.Assign(span, self._name(parts[0]), parts[1], self._trivia(span))

    def give_back(self, meta: Meta, parts: list[Any]) -> tree.Return:
        span = self._span(meta)
        return tree.Return(span, parts[1], self._trivia(span))

    def choose(self, meta: Meta, parts: list[Any]) -> tree.If:
        span = self._span(meta)
        branches: list[list[Any]] = [[], []]
        side = 0
        for part in parts[2:]:
            if isinstance(part, Token):
                side = 1
            else:
                branches[side].append(part)
        node = tree.If(
            span, parts[1], tuple(branches[0]), tuple(branches[1]), self._trivia(span)
        )
        return self._deep(node, *parts[2:])  # type: ignore[no-any-return]

    # --- expressions -------------------------------------------------------------

    def arguments(self, meta: Meta, parts: list[Any]) -> _Flow:
        return _Flow(parts)

    def keyword(self, meta: Meta, parts: list[Any]) -> tree.Argument:
        node = tree.Argument(self._span(meta), str(parts[0]), parts[1])
        return self._deep(node, parts[1])  # type: ignore[no-any-return]

    def positional(self, meta: Meta, parts: list[Any]) -> tree.Argument:
        node = tree.Argument(self._span(meta), None, parts[0])
        return self._deep(node, parts[0])  # type: ignore[no-any-return]

    def call(self, meta: Meta, parts: list[Any]) -> tree.Call:
        node = tree.Call(self._span(meta), self._name(parts[0]), tuple(parts[1]))
        return self._deep(node, *parts[1])  # type: ignore[no-any-return]

    def binary(self, meta: Meta, parts: list[Any]) -> tree.Binary:
        left, operator, right = parts
        node = tree.Binary(self._span(meta), str(operator), left, right)
        return self._deep(node, left, right)  # type: ignore[no-any-return]

    def unary(self, meta: Meta, parts: list[Any]) -> tree.Expr:
        operator, operand = str(parts[0]), parts[1]
        span = self._span(meta)
        number = isinstance(operand, tree.Literal) and _is_number(operand.value)
        if operator == "-" and number:
            return tree.Literal(span, -operand.value)
        return self._deep(tree.Unary(span, operator, operand), operand)  # type: ignore[no-any-return]

    def group(self, meta: Meta, parts: list[Any]) -> tree.Expr:
        return self._deep(parts[0], parts[0])  # type: ignore[no-any-return]

    def tuple_(self, meta: Meta, parts: list[Any]) -> tree.Sequence:
        node = tree.Sequence(self._span(meta), tuple(parts))
        return self._deep(node, *parts)  # type: ignore[no-any-return]

    def list_(self, meta: Meta, parts: list[Any]) -> tree.Sequence:
        node = tree.Sequence(self._span(meta), tuple(parts), is_list=True)
        return self._deep(node, *parts)  # type: ignore[no-any-return]

    def number(self, meta: Meta, parts: list[Token]) -> tree.Literal:
        span, text = self._span(meta), str(parts[0])
        if len(text) > 40:
            fail("E0106", "this number has more than 40 digits", span)
        whole = text.isdigit()
        value = int(text) if whole else float(text)
        if value == float("inf"):
            fail("E0106", f"the number {text} is too large", span)
        return tree.Literal(span, value)

    def string(self, meta: Meta, parts: list[Token]) -> tree.Literal:
        return tree.Literal(self._span(meta), _string(parts[0]))

    def name(self, meta: Meta, parts: list[Token]) -> tree.Expr:
        token = parts[0]
        span = self._at(token)
        if token.type == "DOLLAR_NAME":
            return tree.Name(span, str(token)[1:])
        if token.lower() in _CONSTANTS:
            return tree.Literal(span, _CONSTANTS[token.lower()])
        return tree.Name(span, str(token))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def _string(token: Token) -> str:
    """The text inside the quotes, with the usual escapes."""
    return re.sub(
        r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), str(token)[1:-1], flags=re.S
    )


def docstring_text(written: str) -> str:
    """The text inside triple quotes, without indentation and spaces at line ends."""
    text = re.sub(r"\\(.)", r"\1", written[3:-3], flags=re.S)
    return "\n".join(line.rstrip() for line in inspect.cleandoc(text).split("\n"))


@cache
def _parser() -> Lark:
    grammar = files("neural_attn.grammar").joinpath("neural.lark").read_text("utf-8")
    return Lark(
        grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False
    )


def parse(text: str, name: str = "<text>") -> tree.File:
    """Parse .neural text into its typed tree.

    `name` is what messages call the text, usually its path.

    Raises NeuralError with the place, a sentence and a hint where the text is not
    in the language.
    """
    source = Source(name, text)
    try:
        parsed = _parser().parse(text)
    except UnexpectedInput as error:
        raise explain(error, source, _parser().parse) from None
    return _Builder(source).build(parsed)


def parse_file(path: str | Path) -> tree.File:
    """Read and parse a .neural file (UTF-8).

    Raises NeuralError where the file is missing, too large, not text or not in the
    language.
    """
    return parse(decode(read_bytes(path), str(path)), str(path))


def read_bytes(path: str | Path) -> bytes:
    """What a file holds. Raises NeuralError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        fail("E0101", f"cannot read {path}: {reason.lower()}")


def decode(data: bytes, name: str) -> str:
    """The bytes of a .neural file as text; `name` is what messages call them.

    Raises NeuralError where they are too many or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        fail("E0102", f"{name} has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is 0x{data[error.start]:02x}"
        fail(
            "E0103",
            f"{name} is not UTF-8 text ({found})",
            hint="is this a .neural file? save it as UTF-8",
        )


@cache
def prelude() -> tree.File:
    """The built-in blocks, written in the language itself."""
    text = files("neural_attn.grammar").joinpath("prelude.neural").read_text("utf-8")
    return parse(text, "prelude.neural")
