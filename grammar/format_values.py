"""How values are laid out: literals, operators, whatever stands in brackets."""

from __future__ import annotations

from collections.abc import Callable

from lark import Token, Tree
from neural_attn.grammar.comments import Comment, Comments, tokens_of
from neural_attn.grammar.document import (
    Concat,
    Doc,
    Fill,
    Group,
    Indent,
    Line,
    OwnLine,
    Trailing,
)
from neural_attn.grammar.parts import (
    Node,
    Parts,
    binding,
    dropped_tokens,
    glued_tokens,
    indented_docstring,
    is_token,
    quoted,
)

_CONSTANTS = frozenset({"true", "false", "none"})


class ValueFormatter:
    """Lays out the rules of values, each by the rule's name."""

    def __init__(self, text: str, parsed: Tree[Token]) -> None:
        dropped = dropped_tokens(parsed)
        glued = set(glued_tokens(parsed))
        self.comments = Comments(text, tokens_of(parsed), dropped, glued)

    # --- tokens and their comments -----------------------------------------------

    def token(self, token: Node, text: str | None = None) -> Doc:
        """A token, and the comments that stand behind it."""
        assert isinstance(token, Token)
        comments = self.comments.take_trailing(token)
        return Concat(str(token) if text is None else text, *map(Trailing, comments))

    def ending(self, node: Node, build: Callable[[], Doc]) -> Doc:
        """What `build` gives; a comment behind its last token breaks nothing in it."""
        *_, last = tokens_of(node)
        comments = self.comments.take_trailing(last)
        return Concat(build(), *map(Trailing, comments))

    def above(self, *nodes: Node) -> list[Comment]:
        """The comments above any token of the nodes that nobody took yet."""
        return self.comments.take_leading(t for node in nodes for t in tokens_of(node))

    def node(self, node: Node) -> Doc:
        """Any part of a line."""
        if isinstance(node, Token):
            if node.type == "DOCSTRING":
                return self.token(node, indented_docstring(str(node)))
            return self.token(node)
        layout: Callable[[Parts], Doc] = getattr(self, f"_{node.data}")
        return self.ending(node, lambda: layout(node.children))

    def element(self, node: Node) -> Doc:
        """A part that may begin a line, with the comments above it."""
        doc = self.node(node)
        return Concat(*map(OwnLine, self._texts(node)), doc)

    # --- in brackets -------------------------------------------------------------

    def brackets(self, parts: Parts, one_comma: bool = False) -> Doc:
        """Items in brackets, as many on a line as fit where one line is too short."""
        opening, *inner, closing = parts
        items = [part for part in inner if isinstance(part, Tree)]
        comma = ["," for _ in items[1:]] + [
            "," if one_comma and len(items) == 1 else ""
        ]
        docs: list[Doc] = [
            Concat(self.element(item), mark)
            for item, mark in zip(items, comma, strict=False)
        ]
        start = self.token(opening)
        last = [OwnLine(comment.text) for comment in self.above(closing)]
        if last:
            docs.append(Concat(*last))
        end = self.token(closing)
        content: Doc = Concat(Line(""), Fill(docs)) if docs else ""
        return Group(Concat(start, Indent(content), Line("") if docs else "", end))

    _arguments = _parameters = _list_ = _group = brackets

    def _tuple_(self, parts: Parts) -> Doc:
        return self.brackets(parts, one_comma=True)

    def _assign(self, parts: Parts) -> Doc:
        *targets, sign, value = parts
        names = self._row([name for name in targets if is_token(name, "NAME")])
        return Concat(names, " ", self.token(sign), " ", self.node(value))

    def _row(self, parts: Parts) -> Doc:
        """Values on one line, with commas between them but no brackets around."""
        first, *others = map(self.node, parts)
        return Concat(first, *(Concat(", ", doc) for doc in others))

    def _parameter(self, parts: Parts) -> Doc:
        return self._assign(parts) if len(parts) > 1 else self.token(parts[0])

    def _keyword(self, parts: Parts) -> Doc:
        name, sign, value = parts
        return Concat(self.token(name), self.token(sign, "="), self.node(value))

    def _positional(self, parts: Parts) -> Doc:
        return self.node(parts[0])

    # --- expressions -------------------------------------------------------------

    def _binary(self, parts: Parts) -> Doc:
        """A row of operators that bind alike, broken before operators."""
        row = list(parts)
        while isinstance(row[0], Tree) and row[0].data == "binary":
            inner = row[0].children
            if binding(inner[1]) != binding(parts[1]):
                break
            row[:1] = inner
        docs: list[Doc] = [self.node(row[0])]
        for operator, right in zip(row[1::2], row[2::2], strict=True):
            doc = Concat(self.token(operator), " ", self.node(right))
            docs.append(Concat(*map(OwnLine, self._texts(operator, right)), doc))
        return Group(Fill(docs, hang=1))

    def _texts(self, *nodes: Node) -> list[str]:
        return [comment.text for comment in self.above(*nodes)]

    def _unary(self, parts: Parts) -> Doc:
        space = "" if str(parts[0]) == "-" else " "
        return Concat(self.token(parts[0]), space, self.node(parts[1]))

    def _call(self, parts: Parts) -> Doc:
        return Concat(self.token(parts[0]), self.node(parts[1]))

    def _number(self, parts: Parts) -> Doc:
        return self.token(parts[0], str(parts[0]).lower())

    def _string(self, parts: Parts) -> Doc:
        return self.token(parts[0], quoted(parts[0]))

    def _name(self, parts: Parts) -> Doc:
        text = str(parts[0])
        return self.token(
            parts[0], text.lower() if text.lower() in _CONSTANTS else text
        )
