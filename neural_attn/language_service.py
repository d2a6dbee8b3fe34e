"""What an editor asks for: problems, help at a place, words that could come next.

Functions of a text and a place, without a terminal or files, for editors and a
language server. Lines and columns are counted from 1, as in messages. All of them
work on texts that are half written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_attn.catalogue import ACTIVATIONS
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, Source, Span
from neural_attn.language_help import Entry, Parameter, entries, entry, functions

if TYPE_CHECKING:
    from neural_attn.shapes.infer import Checked

_PIECE = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z)|"(?:[^"\\\n]|\\.)*"?|\'(?:[^\'\\\n]|\\.)*\'?'
    r"|(?:#|//)[^\n]*|\w+|[^\w\s]",
    re.DOTALL,
)
_WORD = re.compile(r"\w+")
_DEFINE = re.compile(r"\b(?:define|macro)\s+(\w+)\s*(?:\(([^)]*)\))?")
_LABEL = re.compile(r"\b(\w+)\s*=\s*[A-Za-z_]\w*\s*\(")

# what stands directly in a network; a test compares it with what is understood
SETTINGS = {
    "input": "the shape of the input, without the batch",
    "layers": "the layers, one after another",
    "loss": "what training minimizes",
    "optimizer": "how training changes the weights",
    "metrics": "what training reports besides the loss",
    "train": "epochs, batch size and the like",
}
_KEYWORDS = {
    "network": "a network: its input, its layers, how it is trained",
    "define": "a block of your own, with parameters",
    "forward": "the equations of a define",
    "return": "what the equations return",
    "if": "a choice by parameters, made when compiling",
}


@dataclass(frozen=True)
class Hover:
    """Help for the word at a place."""

    text: str
    span: Span


@dataclass(frozen=True)
class Completion:
    """A word that could stand at a place; `insert` is what to write for it."""

    label: str
    kind: str  # layer, block, parameter, value, function, setting or keyword
    detail: str
    insert: str


@dataclass(frozen=True)
class _Place:
    """What is open where the cursor stands."""

    brackets: tuple[str, ...] = ()
    call: str = ""  # the word before the innermost parenthesis
    parameter: str = ""  # the word before `=` in it
    string: bool = False
    comment: bool = False
    in_forward: bool = False
    start: int = 0  # where the word begins that is being written


def check(text: str, name: str = "<text>") -> tuple[list[Checked], list[Diagnostic]]:
    """The networks of a text, where it has no errors, and its problems in order.

    `name` is what messages call the text, usually its path.
    """
    from neural_attn.check import check_text

    try:
        networks, found = check_text(text, name)
    except NeuralError as error:
        networks, found = [], error.diagnostics
    return networks, sorted(found, key=lambda d: d.span.start if d.span else -1)


def diagnose(text: str, name: str = "<text>") -> list[Diagnostic]:
    """Every problem of a text, in order; `neural check --json` prints the same."""
    return check(text, name)[1]


def hover(text: str, line: int, column: int) -> Hover | None:
    """Help for the word at a place: a layer, parameter, function or setting."""
    offset = _offset(text, line, column)
    found = next(
        (w for w in _WORD.finditer(text) if w.start() <= offset <= w.end()), None
    )
    if found is None:
        return None
    place = _place(text, found.start())
    words = "" if place.string or place.comment else _help(text, place, found[0])
    span = Span(Source("<text>", text), found.start(), found.end())
    return Hover(words, span) if words else None


def complete(text: str, line: int, column: int) -> list[Completion]:
    """The words that could stand at a place, those that fit what is written there."""
    offset = _offset(text, line, column)
    place = _place(text, offset)
    if place.comment:
        return []
    begun = text[place.start : offset].strip("\"'").lower()
    known = {c.label: c for c in _candidates(text, place)}
    return [c for c in known.values() if c.label.lower().startswith(begun)]


def _offset(text: str, line: int, column: int) -> int:
    starts = Source("<text>", text).line_starts
    return min(len(text), starts[min(line, len(starts)) - 1] + column - 1)


def _place(text: str, offset: int) -> _Place:
    """Read the text up to the cursor, and no further: the rest may be half written."""
    stack: list[tuple[str, str]] = []  # open brackets, each with the word before it
    word = parameter = ""
    forward_depth = -1
    for piece in _PIECE.finditer(text, 0, offset):
        value, at_cursor = piece[0], piece.end() == offset
        if value[0] in "\"'" or value.startswith(("#", "//")):
            if at_cursor and _is_open(value):
                return _found(stack, parameter, forward_depth, piece.start(), value)
        elif value in ("(", "[", "{"):
            stack.append((value, word))
            parameter = ""
        elif value in (")", "]", "}"):
            del stack[-1:]
            forward_depth = forward_depth if len(stack) >= forward_depth else -1
            parameter = ""
        elif value in ("=", ":"):
            parameter = word
        elif value == ",":
            parameter = ""
        elif value == "forward":
            forward_depth = len(stack)
        if _WORD.fullmatch(value):
            if at_cursor:
                return _found(stack, parameter, forward_depth, piece.start(), "")
            word = value
        elif value not in ("=", ":"):
            word = ""
    return _found(stack, parameter, forward_depth, offset, "")


def _is_open(value: str) -> bool:
    """Whether a string or comment goes on behind its last character."""
    return value[0] in "#/" or len(value) == 1 or value[-1] != value[0]


def _found(
    stack: list[tuple[str, str]], parameter: str, forward: int, start: int, begun: str
) -> _Place:
    call = stack[-1][1] if stack and stack[-1][0] == "(" else ""
    return _Place(
        tuple(bracket for bracket, _ in stack),
        call,
        parameter,
        string=begun[:1] in ("'", '"') and bool(begun),
        comment=begun.startswith(("#", "//")),
        in_forward=0 <= forward <= len(stack),
        start=start,
    )


def _candidates(text: str, place: _Place) -> Iterable[Completion]:
    if place.string:
        return _values(text, place, quoted=True)
    if place.call and place.call != "forward":
        called = _called(text, place.call)
        if called and place.parameter:
            return _values(text, place)
        if called:
            return [_parameter(p) for p in called.parameters]
    if place.in_forward:
        labels = [Completion(n, "layer", "a layer of this define", f"{n}(")
                  for n in _LABEL.findall(text)]  # fmt: skip
        calls = [Completion(f.name, "function", f.doc, f"{f.name}(")
                 for f in functions().values()]  # fmt: skip
        return [*labels, *calls, *_words(_KEYWORDS, "keyword", " ")]
    if not place.brackets:
        return _words(
            {w: d for w, d in _KEYWORDS.items() if w in ("network", "define")},
            "keyword",
            " ",
        )
    layers = [*_own(text).values(), *entries().values()]
    settings = (
        {} if place.parameter in SETTINGS and place.parameter != "layers" else SETTINGS
    )
    return [
        *(
            Completion(
                found.name,
                "block" if found.is_block else "layer",
                found.doc.partition("\n")[0],
                f"{found.name}(" if found.parameters else f"{found.name}()",
            )
            for found in layers
        ),
        *_words(settings, "setting", ": "),
    ]


def _words(words: dict[str, str], kind: str, behind: str) -> list[Completion]:
    return [Completion(word, kind, doc, word + behind) for word, doc in words.items()]


def _parameter(parameter: Parameter) -> Completion:
    return Completion(
        parameter.name, "parameter", parameter.line(), f"{parameter.name}="
    )


def _values(text: str, place: _Place, quoted: bool = False) -> list[Completion]:
    """What a parameter can be, where it is one of a few."""
    called = _called(text, place.call)
    name = place.parameter
    found = {p.name: p for p in called.parameters}.get(name) if called else None
    kind = found.kind if found else ""
    if name == "activation" or kind == "activation":
        words: tuple[str, ...] = ACTIVATIONS
    elif " one of " in kind:
        words = tuple(kind.partition(" one of ")[2].split(", "))
    elif kind == "bool" or (found and found.default in ("true", "false")):
        return _words({"true": name, "false": name}, "value", "")
    else:
        return []
    mark = "" if quoted else '"'
    return [
        Completion(w, "value", f"a value of {name}", mark + w + mark) for w in words
    ]


def _own(text: str) -> dict[str, Entry]:
    """The defines of a text, as far as they are written."""
    found = {}
    for name, inside in _DEFINE.findall(text):
        parts = [part.partition("=") for part in inside.split(",") if part.strip()]
        parameters = tuple(Parameter(n.strip(), d.strip()) for n, _, d in parts)
        found[name] = Entry(name, "a define of this file", parameters, is_block=True)
    return found


def _called(text: str, name: str) -> Entry | None:
    return _own(text).get(name) or entry(name) or functions().get(name)


def _help(text: str, place: _Place, word: str) -> str:
    called = _called(text, place.call) if place.call else None
    for parameter in called.parameters if called else ():
        if word == parameter.name or word in parameter.aliases:
            return parameter.line()
    found = _called(text, word)
    if found is None:
        return SETTINGS.get(word, "") or _KEYWORDS.get(word, "")
    shown = "\n".join(f"- {parameter.line()}" for parameter in found.parameters)
    return f"{found.name}\n\n{found.doc}" + (f"\n\n{shown}" if shown else "")
