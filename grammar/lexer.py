"""Text to tokens, for the parser of grammar/parser.py.

The terminals are those of neural.lark. Lark's own lexer counts lines and tries one
pattern set for each state of the parser; this one makes a single pass with a single
pattern and looks at the parser only for the few words that are keywords in some places
and names in others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from lark.lexer import Lexer as LarkLexer
from lark.lexer import LexerState, PatternStr, TerminalDef

from neural_attn.diagnostics.errors import Span, fail

MAX_DEPTH = 100

_OTHER = "OTHER"  # a character that begins no token
_WORD = re.compile(r"\w+")
_DEPTH = {"LPAR": 1, "LSQB": 1, "LBRACE": 1, "RPAR": -1, "RSQB": -1, "RBRACE": -1}


class Lexeme:
    """A token: its terminal in neural.lark, and where it stands."""

    __slots__ = ("span", "type")
    # lark copies them to the token that it puts at the end
    line = column = end_line = end_column = start_pos = end_pos = None

    def __init__(self, kind: str, span: Span) -> None:
        self.type = kind
        self.span = span

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.span.text


class Lexer(LarkLexer):
    """Yields the lexemes of a `Source` to lark's parser."""

    __future_interface__ = 2  # lark: lex() is given the states of lexer and parser

    def __init__(self, conf: Any) -> None:
        terminals: list[TerminalDef] = list(conf.terminals)
        words = [t for t in terminals if _is_word(t)]
        self._keywords = {t.pattern.value: t.name for t in words}
        rest = [t for t in terminals if t not in words]
        rest.sort(key=lambda t: (-t.priority, -t.pattern.max_width, t.name))
        patterns = [f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in rest]
        self._pattern = re.compile("|".join([*patterns, f"(?P<{_OTHER}>(?s:.))"]))
        self._ignored = frozenset(conf.ignore)

    def lex(self, lexer_state: LexerState, parser_state: Any) -> Iterator[Any]:
        """Every token of the text. Raises NeuralError at a character of none."""
        source: Any = lexer_state.text
        keywords, ignored = self._keywords, self._ignored
        states = parser_state.parse_conf.states
        depth = 0
        for found in self._pattern.finditer(source.text):
            kind: Any = found.lastgroup
            if kind in ignored:
                continue
            span = Span(source, *found.span())
            if kind == "NAME" and (word := keywords.get(found[0])):
                accepted = states[parser_state.position]
                if word in accepted or kind not in accepted:
                    kind = word
            elif kind == _OTHER:
                _refuse(span)
            elif kind == "NUMBER" and (tail := _WORD.match(source.text, span.end)):
                _refuse_number(Span(source, span.start, tail.end()))
            elif kind in _DEPTH:
                depth += _DEPTH[kind]
                if depth > MAX_DEPTH:
                    refuse_depth(span)
            yield Lexeme(kind, span)


def _is_word(terminal: TerminalDef) -> bool:
    pattern = terminal.pattern
    return isinstance(pattern, PatternStr) and pattern.value.isidentifier()


def refuse_depth(span: Span) -> NoReturn:
    """Later passes are recursive: they could not bear deeper nesting."""
    fail("E0105", span, most=MAX_DEPTH)


_NEXT_LINE = "layers follow each other: write the next one on its own line"
_IN_EQUATIONS = {"&": "write `and`", "|": "write `or`"}

# what other languages write with a character, and how it is said here
_HABITS = {
    "^": "a power is written `**`",
    ".": "layers are not called on each other: write the next one on its own line",
    "|": _NEXT_LINE,
    "&": _NEXT_LINE,
    "!": "write `not`",
    "\\": "lines need no sign at the end: they may break anywhere",
    "?": "an unknown size is written `none`",
    "`": "strings need straight quotes",
    **dict.fromkeys("“”„‘’‚«»＂", "strings need straight quotes"),
    **dict.fromkeys("–—−", "write `-`"),
    **dict.fromkeys("×·", "write `*`"),
}


_AROUND = re.compile(r"\b(?:forward|layers|network|define)\b")
_WORD_BEFORE = re.compile(r"(?<![\w)\]])[a-z]\w*$")
_MEMBER = re.compile(r"(?<![\w)\]])([a-z]\w*)\.(\w*)(\s*\(\s*\)?)?")  # `token.weight`


def _refuse(span: Span) -> NoReturn:
    if span.text in "\"'":
        fail("E0108", span)
    hint = _HABITS.get(span.text, "")
    words = _AROUND.findall(span.source.text[: span.start])
    if words[-1:] == ["forward"]:
        hint = _IN_EQUATIONS.get(span.text, hint)
    if span.text == ".":
        hint = _hint_on_member(span) or hint
    fail("E0107", span, hint=hint, text=span.text)


def _hint_on_member(span: Span) -> str:
    """How `token.weight` or `x.mean(1)` is said here; "" where no name precedes."""
    text = span.source.text
    word = _WORD_BEFORE.search(text, 0, span.start)
    found = _MEMBER.match(text, word.start()) if word else None
    if found is None:
        return ""
    owner, member, call = found.groups(default="")
    if member in ("weight", "weights", "kernel"):
        return (
            f"the matrix of a layer is `weight({owner})`, in the forward: "
            f"`x @ transpose(weight({owner}))`"
        )
    if member in ("shape", "size"):
        return (
            "a parameter holds the width, `d_model = width(x)`; `length(x)` the steps"
        )
    if member == "T":
        return f"write `transpose({owner})`"
    if owner == "self":
        return f"layers and parameters are written by name alone: `{member}`"
    if call:
        given = owner if call.endswith(")") else f"{owner}, …"
        return f"functions come before their arguments: `{member}({given})`"
    return "a layer is called, `layer(x)`; what it holds has no name of its own"


def _refuse_number(span: Span) -> NoReturn:
    plain = span.text.replace("_", "")
    hint = f"write `{plain}`" if plain.isdigit() else ""
    fail("E0137", span, hint=hint, text=span.text)
