"""Where comments stand between the tokens of a text, so that a formatter keeps them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lark import Token, Tree
from neural_attn.grammar.tree import Trivia

from neural_attn.diagnostics.errors import Span

_COMMENT = re.compile(r"(?:#|//)[^\n]*")
_COMMENT_LINE = re.compile(r"\s*(?:#|//)(.*)")
_AFTER_NODE = re.compile(r"[ \t,;]*(?:#|//)([^\n]*)")
_NONE = Trivia()


def trivia(span: Span) -> Trivia:
    """The comments directly above a node, and behind it on its last line."""
    text = span.source.text
    after = _AFTER_NODE.match(text, span.end)
    trailing = after[1].strip() if after else ""
    line_start = text.rfind("\n", 0, span.start) + 1
    if line_start == 0 or text[line_start : span.start].strip():
        return Trivia(trailing=trailing) if trailing else _NONE
    comments: list[str] = []
    above, line_start = _line_above(text, line_start)
    while found := _COMMENT_LINE.fullmatch(above):
        comments.append(found[1].strip())
        if line_start == 0:
            return Trivia(tuple(reversed(comments)), trailing)
        above, line_start = _line_above(text, line_start)
    blank = not above.strip()
    if not (comments or trailing or blank):
        return _NONE
    return Trivia(tuple(reversed(comments)), trailing, blank)


def _line_above(text: str, line_start: int) -> tuple[str, int]:
    """The line above the one that begins at an offset, and where it begins."""
    start = text.rfind("\n", 0, line_start - 1) + 1
    return text[start : line_start - 1].rstrip("\r"), start


@dataclass(frozen=True)
class Comment:
    """A comment as it is written again, and the empty lines above it."""

    text: str
    blanks: int = 0


def tokens_of(node: Tree[Token] | Token) -> Iterator[Token]:
    """Every token of a parse, in order; without recursion."""
    nodes: list[Tree[Token] | Token] = [node]
    while nodes:
        part = nodes.pop()
        if isinstance(part, Token):
            yield part
        else:
            nodes += reversed(part.children)


class Comments:
    """The comments of a text, each with the kept token that it belongs to.

    A comment belongs to the token before it where both stand on one line, else to the
    token behind it. `dropped` tokens (by identity) have none; what stands behind a
    `glued` one, which never ends a line, goes on to the next. Whoever writes a token
    takes its comments.
    """

    def __init__(
        self, text: str, tokens: Iterable[Token], dropped: set[int], glued: set[int]
    ) -> None:
        self.text = text
        self._leading: dict[int, list[Comment]] = {}
        self._trailing: dict[int, list[str]] = {}
        self._blanks: dict[int, int] = {}
        self.at_end: list[Comment] = []
        ordered = list(tokens)
        self._attach(ordered, dropped)
        self._pass_on([t for t in ordered if id(t) not in dropped], glued)

    def _attach(self, tokens: Iterable[Token], dropped: set[int]) -> None:
        held: list[Comment] = []
        last: Token | None = None  # the last token that is kept
        end = 0
        for token in tokens:
            start = token.start_pos or 0
            end = self._between(end, start, last, held)
            if id(token) not in dropped:
                self._blanks[id(token)] = self._blanks_between(end, start)
                if held:
                    self._leading[id(token)] = held
                    held = []
                last = token
            end = token.end_pos or start
        self._between(end, len(self.text), last, held)
        self.at_end = held

    def _pass_on(self, kept: list[Token], glued: set[int]) -> None:
        for token, following in itertools.pairwise(kept):
            if id(token) in glued and (comments := self.take_trailing(token)):
                behind = self._trailing.setdefault(id(following), [])
                behind[:0] = comments

    def _between(
        self, start: int, stop: int, last: Token | None, held: list[Comment]
    ) -> int:
        """Give the comments of a gap to the token before or to `held`."""
        for found in _COMMENT.finditer(self.text, start, stop):
            same_line = (
                last is not None
                and "\n" not in self.text[last.end_pos or 0 : found.start()]
            )
            if same_line and not held:
                self._trailing.setdefault(id(last), []).append(_written(found[0]))
            else:
                blanks = self._blanks_between(start, found.start())
                held.append(Comment(_written(found[0]), blanks))
            start = found.end()
        return start

    def _blanks_between(self, start: int, stop: int) -> int:
        return max(0, self.text.count("\n", start, stop) - 1)

    def blanks(self, token: Token) -> int:
        """The empty lines directly above a token or, if it has any, its comments."""
        return self._blanks[id(token)]

    def take_trailing(self, token: Token) -> list[str]:
        """The comments behind a token on its line; each is given once."""
        return self._trailing.pop(id(token), [])

    def take_leading(self, tokens: Iterable[Token]) -> list[Comment]:
        """The comments above the tokens that nobody took yet."""
        if not self._leading:
            return []
        return [c for token in tokens for c in self._leading.pop(id(token), ())]


def _written(comment: str) -> str:
    """A comment in its one spelling: `# text`."""
    hashes = comment.startswith("#")
    text = comment[1 if hashes else 2 :].rstrip()
    if not text or text[0].isspace() or (hashes and text[0] in "#!"):
        return f"#{text}"
    return f"# {text}"
