"""Picks the message for a syntax error: by the state of the parser and the token."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from lark import UnexpectedToken
from neural_attn.grammar.lexer import Lexeme
from neural_attn.grammar.messages import MESSAGES, SyntaxMessage

from neural_attn.diagnostics.errors import (
    Diagnostic,
    NeuralError,
    Source,
    Span,
    did_you_mean,
)

_TOP = ("network", "define", "macro", "research")
_CLOSING = frozenset(")]}")
_BRACKETS = _CLOSING | frozenset("([{")
# what cannot stand between the items of a block, whatever the parser has read of them
_AMONG_ITEMS = {
    **dict.fromkeys(("STRING", "NUMBER", "DOLLAR_NAME"), "E0133"),
    **dict.fromkeys(("MINUS", "PLUS", "SLASH", "PERCENT", "COMPARE"), "E0135"),
}
_AMONG_VALUES = dict.fromkeys(("NAME", "STRING", "NUMBER", "LAYERS"), "E0113")


# what other languages write in equations, and how it is said here
_LOOPS = (
    "there are no loops: equations take all steps at once, or `scan(step, x, state)` "
    "calls a layer at each step of x"
)
_HABITS = {
    "[": "part of an axis: `slice(x, 0, 4)`; of the steps: `slice(x, 0, 4, axis=1)`",
    "for": _LOOPS,
    "while": _LOOPS,
    "where": "write `where(mask, x, y)`: x where the mask is true, else y",
    "lambda": "a function of your own is a `define`",
    "import": "equations know only the layers and functions of the language",
}


def explain(
    error: UnexpectedToken, source: Source, parse: Callable[[str, str], Any]
) -> NeuralError:
    """The NeuralError for a parser error: place, sentence and hint.

    `parse(text, name)` is the parser, which the examples are given to.
    """
    span = _span(error, source)
    if source.text[span.start : span.start + 2] == "/*":
        return NeuralError([_block_comment(span)])
    at_end = error.token.type == "$END"
    row = _row(error, _failures(parse))
    if row is None and not _in_forward(error):
        known = _AMONG_ITEMS if _innermost(error) == "E0111" else _AMONG_VALUES
        code = known.get(error.token.type)
        row = _by_code(code) if code else None
    if row is None or (row.code == "E0118" and (at_end or span.text in _CLOSING)):
        what = "the end of the text" if at_end else f"`{span.text}`"
        hint = f"is one `{span.text}` too many?" if span.text in _BRACKETS else ""
        if _in_forward(error):
            hint = _HABITS.get(span.text, hint)
        if source.text[: span.start].rstrip().endswith("%"):
            hint = "a share is written as a number: 0.5"
        return NeuralError([Diagnostic.of("E0110", span, hint=hint, what=what)])
    hint = ""
    if row.code == "E0113" and _innermost(error) == "E0111":
        row = _by_code("E0133")
    elif row.code == "E0113" and _begins_line(span):
        row = _by_code("E0136")
    elif row.code == "E0120" and (word := _HABITS.get(_word_before(span))):
        hint = word
    if row.code in ("E0112", "E0123", "E0136") and _is_commented_out(error, span):
        hint = (
            "`//` begins a comment, which hides the missing bracket: "
            "integer division is `floor(a / b)`"
        )
    elif row.code == "E0118":
        hint = did_you_mean(span.text, _TOP, 0.8)
    return NeuralError([Diagnostic.of(row.code, span, hint=hint)])


def _in_forward(error: UnexpectedToken) -> bool:
    stack = error.state.value_stack
    return any(isinstance(v, Lexeme) and v.type == "FORWARD" for v in stack)


def _is_commented_out(error: UnexpectedToken, span: Span) -> bool:
    """Whether a comment took the bracket that closes the last open one: `d // 2)`."""
    opened = _open_bracket(error)
    start = opened.span.end if opened else span.start
    before = span.source.text[start : span.start]
    return re.search(r"//[ \t]*[\w.$]+[ \t]*[)\]]", before) is not None


def _word_before(span: Span) -> str:
    """The word that stands before a place, as in `for t`, or the one at it."""
    words = span.source.text[: span.start].split()[-1:]
    here = span.text.split("(")[0]
    return here if here in _HABITS or not words else words[0]


def _begins_line(span: Span) -> bool:
    text = span.source.text
    return not text[text.rfind("\n", 0, span.start) + 1 : span.start].strip()


def _by_code(code: str) -> SyntaxMessage:
    return next(row for row in MESSAGES if row.code == code)


@cache
def _failures(parse: Callable[[str, str], Any]) -> dict[tuple[int, str], SyntaxMessage]:
    """For each example: the state that the parser is in, and what it cannot take.

    Lark's own `match_examples` also compares how deep the parser is nested, and so
    would know an error only in the surroundings of its example.
    """
    failures: dict[tuple[int, str], SyntaxMessage] = {}
    for row in MESSAGES:
        for text in row.examples:
            try:
                parse(text, "example")
            except UnexpectedToken as error:  # noqa: PERF203 - each example fails
                key = (error.state.position, error.token.type)
                failures.setdefault(key, row)
                if not row.exact:
                    failures.setdefault((error.state.position, ""), row)
    return failures


def _innermost(error: UnexpectedToken) -> str:
    """The code for the last bracket that is still open."""
    opened = _open_bracket(error)
    return "E0112" if opened and opened.type != "LBRACE" else "E0111"


def _open_bracket(error: UnexpectedToken) -> Lexeme | None:
    """The last bracket that is still open."""
    closed = 0
    for value in reversed(error.state.value_stack):
        if isinstance(value, Lexeme) and value.type in ("RPAR", "RSQB", "RBRACE"):
            closed += 1
        elif isinstance(value, Lexeme) and value.type in ("LPAR", "LSQB", "LBRACE"):
            if not closed:
                return value
            closed -= 1
    return None


def _row(
    error: UnexpectedToken, failures: dict[tuple[int, str], SyntaxMessage]
) -> SyntaxMessage | None:
    """The message for this state and token, else for this state."""
    position = error.state.position
    row = failures.get((position, error.token.type)) or failures.get((position, ""))
    if row is not None and row.code in ("E0111", "E0112"):
        return _by_code(_innermost(error))
    return row


def _block_comment(span: Span) -> Diagnostic:
    return Diagnostic.of("E0109", span)


def _span(error: UnexpectedToken, source: Source) -> Span:
    if isinstance(error.token, Lexeme):
        return error.token.span
    end = len(source.text.rstrip())
    return Span(source, max(0, end - 1), end)
