"""Syntax errors in the author's words, chosen by example.

Each row holds texts that fail in the same way; the parser state of a new error is
matched against theirs. A test feeds every example back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import UnexpectedToken
from neural_attn.grammar.lexer import Lexeme

from neural_attn.errors import Diagnostic, NeuralError, Source, Span


@dataclass(frozen=True)
class SyntaxMessage:
    """A sentence and a hint for all errors that look like the examples."""

    code: str
    message: str
    hint: str
    examples: tuple[str, ...]


MESSAGES = [
    SyntaxMessage(
        "E0111",
        "a `}` is missing: the text ends inside a block",
        "every `{` needs a `}`",
        (
            "network A { input: (4,) layers: Dense(8)",
            "network A { input: (4,) layers: Dense(8) * 2",
            "network A { input: (4,) layers: Dense",
            "network A { loss: mse",
            'network A { loss: "mse"',
            "network A { input: (4,)",
            "network A {",
            "network A { train { epochs: 3",
            "network A { train { epochs: 3 }",
            "define A { layers:",
            "define A { forward(x): return x",
            "define A { forward(x): return x + 1",
            "define A { forward(x): return a(x)",
            "define A { forward(x): y = x",
        ),
    ),
    SyntaxMessage(
        "E0112",
        "a `)` is missing: the text ends inside parentheses",
        "every `(` needs a `)`",
        (
            "network A { input: (4",
            "network A { input: (4,",
            "network A { layers: Dense(8",
            "network A { layers: Dense(units=8",
            "network A { layers: Dense(units=8,",
            "network A { layers: Dense(",
        ),
    ),
    SyntaxMessage(
        "E0123",
        "a `)` is missing before this `}`",
        "every `(` needs a `)`",
        (
            "network A { layers: Dense(8 }",
            "network A { layers: Dense(units=8 }",
            'network A { layers: Dense("relu" }',
            "network A { layers: Dense(units=8, }",
            "network A { layers: Dense( }",
            "network A { input: (4, }",
            "network A { input: (4 }",
        ),
    ),
    SyntaxMessage(
        "E0113",
        "a comma is missing between two arguments",
        'write `Dense(units=8, activation="relu")`',
        (
            'network A { layers: Dense(8 "relu") }',
            "network A { layers: Dense(units=8 activation=relu) }",
            'network A { layers: Dense(8 activation="relu") }',
            "network A { layers: Dense(8 9) }",
            "network A { layers: Dense(a b) }",
        ),
    ),
    SyntaxMessage(
        "E0114",
        "a value is missing after `:`",
        "write the value behind the colon, for instance `epochs: 10`",
        (
            "network A { loss: }",
            "network A { loss: , }",
            "network A { train { epochs: } }",
            "network A { loss:",
        ),
    ),
    SyntaxMessage(
        "E0115",
        "a value is missing after `=`",
        "write the value behind the sign, for instance `units=8`",
        (
            "network A { layers: Dense(units=) }",
            "network A { layers: Dense(units=, rate=1) }",
            "define A(a=) { }",
        ),
    ),
    SyntaxMessage(
        "E0116",
        "a network needs a name and a block",
        "write `network MyNetwork { … }`",
        ("network { input: (4,) }", "network", "network A input: (4,)", "network A("),
    ),
    SyntaxMessage(
        "E0117",
        "a define needs a name, perhaps parameters, and a block",
        "write `define Name(parameter, other = 1) { … }`",
        ("define { }", "define", "define A", "define A(8) { }", "define A(x) layers:"),
    ),
    SyntaxMessage(
        "E0118",
        "only `network` and `define` stand at the top of a file",
        "put the layers into `network MyNetwork { input: (…) layers: … }`",
        (
            "Dense(8)",
            "input: (4,)",
            "layers: Dense(8)",
            "{",
            "8",
            '"a"',
            "}",
            "netwrk A {",
        ),
    ),
    SyntaxMessage(
        "E0119",
        "a repeat needs a whole number or a name after `*`",
        "write `TransformerEncoder(num_heads=8) * 6`",
        ("network A { layers: Dense(8) * }", "network A { layers: Dense(8) * * }"),
    ),
    SyntaxMessage(
        "E0120",
        "equations are assignments, `if` and `return`",
        "write `y = layer(x)` and end with `return y`",
        (
            "define A { forward(x): x }",
            "define A { forward(x): attention(x) }",
            "define A { forward(x): y + x }",
            "define A { forward(x): 8 }",
            "define A { forward(x): y = }",
            "define A { forward(x): return }",
        ),
    ),
    SyntaxMessage(
        "E0121",
        "forward needs its inputs in parentheses and a colon",
        "write `forward(x): …`",
        (
            "define A { forward }",
            "define A { forward x }",
            "define A { forward(x) return x }",
            "define A { forward(x) { return x } }",
            "define A { forward: }",
        ),
    ),
    SyntaxMessage(
        "E0122",
        "an operator is missing its right-hand side",
        "write a name or a number behind the operator",
        (
            "define A { forward(x): return x + }",
            "define A { forward(x): return x * }",
            "define A { forward(x): return x @ }",
            "define A { forward(x): return x / }",
            "network A { layers: Dense(8 *) }",
            "network A { layers: Dense(8 +) }",
            "network A { layers: Dense(8 /) }",
        ),
    ),
]


# what these say holds for one token alone
_ENDS = frozenset({"E0111", "E0112", "E0123"})


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
    if row is not None and not (at_end and row.code == "E0118"):
        return NeuralError([Diagnostic(row.code, row.message, span, row.hint)])
    what = "the end of the text" if at_end else f"`{span.text}`"
    hint = f"is one `{span.text}` too many?" if span.text in (")", "]", "}") else ""
    return NeuralError([Diagnostic("E0110", f"{what} cannot stand here", span, hint)])


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
                if row.code not in _ENDS:
                    failures.setdefault((error.state.position, ""), row)
    return failures


def _innermost(error: UnexpectedToken) -> str:
    """The code for the last bracket that is still open."""
    closed = 0
    for value in reversed(error.state.value_stack):
        if isinstance(value, Lexeme) and value.type in ("RPAR", "RSQB", "RBRACE"):
            closed += 1
        elif isinstance(value, Lexeme) and value.type in ("LPAR", "LSQB", "LBRACE"):
            if not closed:
                return "E0111" if value.type == "LBRACE" else "E0112"
            closed -= 1
    return "E0111"


def _row(
    error: UnexpectedToken, failures: dict[tuple[int, str], SyntaxMessage]
) -> SyntaxMessage | None:
    """The message for this state and token, else for this state."""
    position = error.state.position
    row = failures.get((position, error.token.type)) or failures.get((position, ""))
    if row is not None and row.code in ("E0111", "E0112"):
        code = _innermost(error)
        return next(row for row in MESSAGES if row.code == code)
    return row


def _block_comment(span: Span) -> Diagnostic:
    return Diagnostic(
        "E0109", "`/* … */` is no comment here", span, "begin each line with `#`"
    )


def _span(error: UnexpectedToken, source: Source) -> Span:
    if isinstance(error.token, Lexeme):
        return error.token.span
    end = len(source.text.rstrip())
    return Span(source, max(0, end - 1), end)
