"""What else is wrong with a text behind its first syntax error.

The lines of an error are blanked and the text is read again. Only where that leaves
every bracket with its partner: else one mistake would be told as many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from neural_attn.grammar import tree
from neural_attn.grammar.parser import parse

from neural_attn.diagnostics.errors import Diagnostic, NeuralError, Source, Span

MOST = 10  # problems of syntax told at once
_LONGEST = 100_000  # characters: each problem is one more reading

_PIECE = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
    r"|(?:#|//)[^\n]*|(?P<opening>[(\[{])|(?P<closing>[)\]}])",
    re.DOTALL,
)
_UNCLOSED = "E0136"  # its mistake stands in the lines above it
_LAST = ("E0130", "E0138")  # behind these, lines do not mean what they say


def salvage(
    text: str, name: str, error: NeuralError
) -> tuple[tree.File | None, list[Diagnostic]]:
    """The rest of a text that does not parse, and its problems of syntax.

    `error` is what `parse(text, name)` raised. The file is None where the rest cannot
    be read either. It lacks the lines of the problems, so what is missing in it means
    nothing.
    """
    source = Source(name, text)
    problems = list(error.diagnostics)
    end = 0
    while len(problems) < MOST and len(text) <= _LONGEST:
        lines = _lines_of(problems[-1], text, after=end)
        if lines is None:
            break
        end = lines[1]
        text = text[: lines[0]] + _blank(text[slice(*lines)]) + text[lines[1] :]
        try:
            return parse(text, name), problems
        except NeuralError as found:
            problem = found.diagnostics[0]
            if problem.span is None or problem.span.start < end:
                break
            span = Span(source, problem.span.start, problem.span.end)
            problems.append(replace(problem, span=span))
    return None, problems


def _lines_of(problem: Diagnostic, text: str, after: int) -> tuple[int, int] | None:
    """The lines to leave out for a problem, as offsets; None where none would do."""
    if problem.span is None or problem.code in _LAST:
        return None
    start, end = problem.span.start, problem.span.end
    if problem.code == _UNCLOSED:
        opened = next(_open_brackets(text[:start]), 0)
        first, last = _line(text, opened)[0], _line(text, start)
        rest_is_whole = not list(_unpaired(text[slice(*last)]))
        lines = (first, last[0] - 1 if rest_is_whole else last[1])
        return lines if lines[0] >= after else None
    lines = (_line(text, start)[0], _line(text, end)[1])
    fits = not list(_unpaired(text[slice(*lines)]))
    return lines if fits and lines[0] >= after and lines[0] < lines[1] else None


def _line(text: str, offset: int) -> tuple[int, int]:
    """Where the line around an offset begins and ends."""
    end = text.find("\n", offset)
    return text.rfind("\n", 0, offset) + 1, len(text) if end < 0 else end


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _unpaired(text: str) -> Iterator[int]:
    """Where brackets stand that have no partner in a text; the last first."""
    waiting: list[re.Match[str]] = []
    for found in _PIECE.finditer(text):
        if found["closing"] and waiting and waiting[-1]["opening"]:
            waiting.pop()
        elif found["opening"] or found["closing"]:
            waiting.append(found)
    return (found.start() for found in reversed(waiting))


def _open_brackets(text: str) -> Iterator[int]:
    return (where for where in _unpaired(text) if text[where] in "([{")
