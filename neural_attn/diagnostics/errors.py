"""Source spans, diagnostics and how they are shown."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

from neural_attn.diagnostics.choices import nearest
from neural_attn.diagnostics.explanations import message
from neural_attn.record import record


@dataclass(frozen=True)
class Source:
    """A named text, with the offsets of its lines."""

    name: str
    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of every line."""
        starts = [0]
        starts += [i + 1 for i, char in enumerate(self.text) if char == "\n"]
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of one line (counted from 1) without its end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else None].rstrip("\r")


@record
class Span:
    """A stretch of a source text, `start` inclusive to `end` exclusive."""

    source: Source = field(repr=False, compare=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, counted from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, counted from 1."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.start, other.end)


class Suggestion(str):
    """A hint that says which word was meant; `word` is the one that stands there."""

    word: str
    instead: str

    def __new__(cls, word: str, instead: str) -> Suggestion:
        """Make the hint of the two words."""
        made = super().__new__(cls, f"did you mean `{instead}`?")
        made.word, made.instead = word, instead
        return made

    def edit(self, span: Span) -> Edit | None:
        """The word changed, where it stands in the span."""
        at = re.search(rf"(?<!\w){re.escape(self.word)}(?!\w)", span.text)
        if at is None:
            return None
        return Edit(span.start + at.start(), span.start + at.end(), self.instead)


@dataclass(frozen=True)
class Edit:
    """A change of a source text: its characters from `start` to `end` replaced."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One problem: a code (E… error, W… warning), a sentence, a place, a hint.

    `edit` is what the hint says, done, where that is certain (`neural check --fix`).
    """

    code: str
    message: str
    span: Span | None = None
    hint: str = ""
    edit: Edit | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        span: Span | None = None,
        /,
        *,
        hint: str = "",
        edit: Edit | None = None,
        **facts: object,
    ) -> Diagnostic:
        """The message `name` of the pages, "E0204" or "E0207.label", with its facts.

        `hint` goes before the one of the page.
        """
        said = message(name)
        found = hint or said.hint.format(**facts)
        if edit is None and span is not None and isinstance(hint, Suggestion):
            edit = hint.edit(span)
        text = said.text.format(**facts)
        return cls(name.partition(".")[0], text, span, found, edit)

    @property
    def is_error(self) -> bool:
        """Whether the work cannot go on."""
        return self.code.startswith("E")

    def render(self) -> str:
        """Show the problem with its source line and a caret under the exact span."""
        kind = "error" if self.is_error else "warning"
        message, hint = _shortened(self.message), _shortened(self.hint)
        if self.span is None:
            lines = [f"{kind}[{self.code}]: {printable(message)}"]
        else:
            where = f"{self.span.source.name}:{self.span.line}:{self.span.column}"
            head = f"{where}: {kind}[{self.code}]: {message}"
            lines = [printable(head), *self._excerpt(self.span)]
        if hint:
            lines.append(f"  hint: {printable(hint)}")
        return "\n".join(lines)

    @staticmethod
    def _excerpt(span: Span) -> list[str]:
        text = span.source.line(span.line)
        column = span.column - 1
        width = max(1, min(span.end - span.start, len(text) - column))
        window = max(0, min(column - 50, len(text) - 100))
        shown = printable(text[window : window + 100].replace("\t", " "))
        margin = f"{span.line:>5} | "
        caret = " " * (column - window) + "^" * min(width, 100 - (column - window))
        return [f"{margin}{shown}", " " * 5 + " | " + caret]

    def as_dict(self) -> dict[str, object]:
        """The same for machines."""
        span = self.span
        return {
            "code": self.code,
            "severity": "error" if self.is_error else "warning",
            "message": self.message,
            "file": span.source.name if span else None,
            "line": span.line if span else None,
            "column": span.column if span else None,
            "length": span.end - span.start if span else None,
            "hint": self.hint or None,
        }


class NeuralError(Exception):
    """The work failed for a reason that the user can mend; holds every problem."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__("\n".join(d.render() for d in self.diagnostics))


class Problems:
    """Collects diagnostics so that all of them are shown together."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._noted: set[Diagnostic] = set()

    def add(
        self,
        name: str,
        span: Span | None = None,
        /,
        *,
        hint: str = "",
        edit: Edit | None = None,
        **facts: object,
    ) -> None:
        """Note a problem, once; see `Diagnostic.of`."""
        diagnostic = Diagnostic.of(name, span, hint=hint, edit=edit, **facts)
        if diagnostic not in self._noted:
            self._noted.add(diagnostic)
            self.diagnostics.append(diagnostic)

    @property
    def warnings(self) -> list[Diagnostic]:
        """The problems that do not stop the work."""
        return [d for d in self.diagnostics if not d.is_error]

    def raise_errors(self) -> None:
        """Raise NeuralError with everything found, if any of it is an error."""
        if any(d.is_error for d in self.diagnostics):
            order = {id(d): i for i, d in enumerate(self.diagnostics)}
            raise NeuralError(
                sorted(
                    self.diagnostics,
                    key=lambda d: (d.span.start if d.span else -1, order[id(d)]),
                )
            )


def fail(
    name: str, span: Span | None = None, /, *, hint: str = "", **facts: object
) -> NoReturn:
    """Raise a NeuralError that holds a single problem; see `Diagnostic.of`."""
    raise NeuralError([Diagnostic.of(name, span, hint=hint, edit=None, **facts)])


def reason(error: OSError) -> str:
    """Why the system refused, as the end of a sentence."""
    return (error.strerror or str(error)).lower()


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint (`Suggestion`) naming the nearest known word, or "" where none is near."""
    near = nearest(word, known, cutoff)
    return Suggestion(word, near) if near else ""


def _shortened(text: str, most: int = 1_000) -> str:
    """`text` without its middle where a stranger's name makes it endless."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … {text[-most // 4 :]}"


def printable(text: str) -> str:
    """`text` with what could steer a terminal (escapes, bidi marks) made visible."""
    return "".join(
        char if char.isprintable() or char == "\n" else f"\\u{{{ord(char):x}}}"
        for char in text
    )
