"""The one canonical form of a .neural text: what `neural fmt` writes.

The parse is laid out anew from its tokens; comments go with the tokens they stand at.
What comes out is parsed again and compared, so that a text never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import Any

from lark import Lark, Token, Tree
from neural_attn.grammar import tree
from neural_attn.grammar.comments import Comment, tokens_of
from neural_attn.grammar.document import (
    Concat,
    Doc,
    Hard,
    Indent,
    render,
)
from neural_attn.grammar.format_values import ValueFormatter
from neural_attn.grammar.parser import grammar_text, parse
from neural_attn.grammar.parts import (
    Node,
    Parts,
    Placed,
    body_lines,
    is_token,
    quoted,
    without,
)
from neural_attn.grammar.precedence import bind

from neural_attn.diagnostics.errors import Source, Span, fail

_MOST_BLANKS = 1  # inside blocks; one more between the parts of a file


def format_text(text: str, name: str = "<text>") -> str:
    """A .neural text in its canonical form.

    `name` is what messages call the text. Raises NeuralError where the text is not in
    the language.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    before = parse(text, name)
    parsed = _parser().parse(text)
    try:
        formatted = render(_Formatter(text, parsed).file(parsed))
    except RecursionError:  # blocks of settings, which the parser takes 100 deep
        where = Span(Source(name, text), 0, 0)
        fail("E0105.format", where)
    if _meaning(parse(formatted, name)) != _meaning(before):
        fail("E0124", Span(Source(name, text), 0, 0))
    return formatted


class _Nested:
    """Makes trees of operators, nested as `bind` finds them, of rows of operators."""

    def operation(self, parts: list[Node]) -> Node:
        return bind(  # type: ignore[no-any-return]
            parts,
            lambda *parts: Tree("unary", list(parts)),
            lambda *parts: Tree("binary", list(parts)),
        )


@cache
def _parser() -> Lark:
    """The parser of the language, keeping every bracket and comma."""
    return Lark(
        grammar_text(),
        parser="lalr",
        transformer=_Nested(),
        maybe_placeholders=False,
        keep_all_tokens=True,
    )


def _meaning(node: Any) -> Any:
    """A tree without its places and comments, for comparison."""
    if isinstance(node, tuple):
        return tuple(map(_meaning, node))
    if not isinstance(node, tree.Node):
        return repr(node)  # 1, 1.0 and true are equal, and mean different things
    values = (getattr(node, field.name) for field in fields(node))
    kept = (v for v in values if not isinstance(v, Span | tree.Trivia))
    return (type(node).__name__, *map(_meaning, kept))


class _Formatter(ValueFormatter):
    """Lays out every rule of the parse, by the rule's name."""

    # --- lines -------------------------------------------------------------------

    def file(self, parsed: Tree[Token]) -> Doc:
        """The whole text."""
        parts: list[Doc] = []
        for node in without(parsed.children, "separator"):
            doc = self.node(node)
            lines = self.lines_of([node], doc, _MOST_BLANKS + 1)
            for index, (blanks, line) in enumerate(lines):
                least = 1 if index == 0 else 0
                parts += [Hard(max(least, blanks)) if parts else "", line]
        for comment in self.comments.at_end:
            blanks = min(comment.blanks, _MOST_BLANKS + 1)
            parts += [Hard(blanks) if parts else "", comment.text]
        return Concat(*parts)

    def lines_of(
        self, nodes: Parts, doc: Doc, most: int = _MOST_BLANKS
    ) -> list[tuple[int, Doc]]:
        """The comments above nodes, then the nodes; each line with its empty lines."""
        first = next(tokens_of(nodes[0]))
        lines: list[tuple[int, Doc]] = [
            (min(comment.blanks, most), comment.text)
            for comment in self.comments.take_leading([first])
        ]
        lines += [(0, comment.text) for comment in self.above(*nodes)]
        return [*lines, (min(self.comments.blanks(first), most), doc)]

    def indented(
        self, lines: Iterable[Placed], above: Iterable[Comment] = ()
    ) -> tuple[list[Doc], int]:
        """Lines further to the right, and the level of the last."""
        parts: list[Doc] = [Indent(Concat(Hard(), c.text)) for c in above]
        opened, level = not parts, 0  # opened: a brace or `layers:` stands above
        for level, nodes in lines:
            doc = Concat(*map(self.node, nodes))
            for blanks, line in self.lines_of(nodes, doc):
                hard = Hard(0 if opened else blanks)
                parts.append(Indent(Concat(hard, line), level + 1))
                opened = False
            opened = isinstance(nodes[0], Tree) and nodes[0].data == "layers_marker"
        return parts, level + 1 if opened and level == 0 and parts else level

    def block(
        self,
        opening: Node,
        lines: Iterable[Placed],
        closing: Node,
        above: Iterable[Comment] = (),
    ) -> Doc:
        """`{`, the lines, `}`; comments before the brace stand with the last line."""
        brace = self.token(opening)
        parts, level = self.indented(lines, above)
        assert isinstance(closing, Token)
        for comment in self.comments.take_leading([closing]):
            hard = Hard(min(comment.blanks, _MOST_BLANKS) if parts else 0)
            parts.append(Indent(Concat(hard, comment.text), level + 1))
        parts.append(Hard() if parts else " ")
        return Concat(brace, *parts, self.token(closing))

    def _network(self, parts: Parts) -> Doc:
        *words, opening, body, closing = parts
        block = self.block(opening, body_lines(body), closing)
        return Concat(*(Concat(self.token(word), " ") for word in words), block)

    _research = _network

    def _define(self, parts: Parts) -> Doc:
        brace = next(i for i, part in enumerate(parts) if is_token(part, "LBRACE"))
        heading = [self.token(parts[0], "define"), " ", *map(self.node, parts[1:brace])]
        lines: list[Placed] = []
        for part in parts[brace + 1 : -1]:
            if isinstance(part, Tree) and part.data == "body":
                lines += body_lines(part)
            else:
                lines.append((0, [part]))
        return Concat(*heading, " ", self.block(parts[brace], lines, parts[-1]))

    def _forward(self, parts: Parts) -> Doc:
        heading = Concat(*map(self.node, parts[:3]))
        lines: list[Placed] = [(0, [statement]) for statement in parts[3:]]
        return Concat(heading, *self.indented(lines)[0])

    def _choose(self, parts: Parts) -> Doc:
        """`if condition { … } else { … }` around layers or statements."""
        docs: list[Doc] = [self.token(parts[0]), " ", self.node(parts[1]), " "]
        above: list[Comment] = []
        opening: Node = parts[2]
        lines: list[Placed] = []
        for part in parts[2:]:
            if is_token(part, "LBRACE"):
                opening, lines = part, []
                if len(docs) > 4:
                    above += self.above(part)
            elif is_token(part, "RBRACE"):
                docs.append(self.block(opening, lines, part, above))
            elif is_token(part, "ELSE"):
                above = self.above(part)
                docs += [" ", self.token(part), " "]
            elif isinstance(part, Tree) and part.data == "body":
                lines += body_lines(part)
            else:
                lines.append((0, [part]))
        return Concat(*docs)

    _layer_choice = _choose

    def _layers_marker(self, parts: Parts) -> Doc:
        return Concat(*map(self.token, parts[:2]))

    def _setting(self, parts: Parts) -> Doc:
        name, colon, value = parts
        return Concat(self.token(name), self.token(colon), " ", self.node(value))

    def _value(self, parts: Parts) -> Doc:
        first, *rest = map(self.node, parts)
        return Concat(first, *(Concat(" ", block) for block in rest))

    def _block(self, parts: Parts) -> Doc:
        opening, body, closing = parts
        return self.block(opening, body_lines(body), closing)

    def _further_value(self, parts: Parts) -> Doc:
        return Concat(", ", self._tuple_(parts))

    def _named_layer(self, parts: Parts) -> Doc:
        label, sign, layer = parts
        return Concat(self.token(label), " ", self.token(sign), " ", self.node(layer))

    def _layer(self, parts: Parts) -> Doc:
        docs: list[Doc] = [self.token(parts[0])]
        inner = {part.data for part in parts if isinstance(part, Tree)}
        if not inner & {"arguments", "block"}:
            docs.append("()")
        for part in parts[1:]:
            glued = isinstance(part, Tree) and part.data == "arguments"
            text = quoted(part) if is_token(part, "STRING") else None
            doc = self.node(part) if text is None else self.token(part, text)
            docs += [doc] if glued else [" ", doc]
        return Concat(*docs)

    def _give_back(self, parts: Parts) -> Doc:
        return Concat(self.token(parts[0]), " ", self._row(parts[1::2]))
