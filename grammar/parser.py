"""Text to typed tree: the parser of neural.lark, and files as its input."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark, UnexpectedToken
from neural_attn.grammar import tree
from neural_attn.grammar.build import BUILDER
from neural_attn.grammar.explain import explain
from neural_attn.grammar.lexer import MAX_DEPTH, Lexer, refuse_depth

from neural_attn.diagnostics.errors import Source, Span, fail, reason

MAX_BYTES = 10_000_000


def _check_depth(parts: list[Any]) -> None:
    """Refuse deep nesting; the lexer, which counts brackets, does not see operators."""
    nodes = [(part, 0) for part in parts]
    while nodes:
        node, depth = nodes.pop()
        if depth > MAX_DEPTH:
            refuse_depth(node.span)
        nodes += [(inner, depth + 1) for inner in tree.inside(node)]


@cache
def grammar_text() -> str:
    """The grammar, as lark reads it."""
    return files("neural_attn.grammar").joinpath("neural.lark").read_text("utf-8")


@cache
def _parser() -> Lark:
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer=Lexer,
        transformer=BUILDER,
        maybe_placeholders=False,
        keep_all_tokens=True,
    )


def _parts(text: str, name: str) -> list[Any]:
    """What stands at the top of a text. Raises lark's UnexpectedToken, too."""
    parts: Any = _parser().parse(Source(name, text))
    return parts  # type: ignore[no-any-return]


def parse(text: str, name: str = "<text>") -> tree.File:
    """Parse .neural text into its typed tree.

    `name` is what messages call the text, usually its path.

    Raises NeuralError with the place, a sentence and a hint where the text is not
    in the language.
    """
    try:
        parts = _parts(text, name)
    except UnexpectedToken as error:
        raise explain(error, Source(name, text), _parts) from None
    _check_depth(parts)
    return tree.File(
        parts[0].span.to(parts[-1].span) if parts else Span(Source(name, text), 0, 0),
        tuple(part for part in parts if isinstance(part, tree.Define)),
        tuple(part for part in parts if isinstance(part, tree.NetworkNode)),
        tuple(part for part in parts if isinstance(part, tree.Research)),
    )


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
        fail("E0101", path=path, reason=reason(error))


def decode(data: bytes, name: str) -> str:
    """The bytes of a .neural file as text; `name` is what messages call them.

    Raises NeuralError where they are too many or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        fail("E0102", name=name, size=len(data), most=MAX_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is 0x{data[error.start]:02x}"
        fail("E0103", name=name, found=found)


@cache
def prelude() -> tree.File:
    """The built-in blocks, written in the language itself."""
    text = files("neural_attn.grammar").joinpath("prelude.neural").read_text("utf-8")
    return parse(text, "prelude.neural")


def is_built_in(span: Span) -> bool:
    """Whether something stands in the prelude, not in a file of the author's."""
    return span.source is prelude().span.source
