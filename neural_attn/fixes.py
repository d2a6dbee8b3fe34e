"""`neural check --fix`: what a hint says, done, where only one thing can be meant.

Only the characters that are wrong are changed: comments and layout stay. A change is
kept where its problem is gone after it and no new mistake of syntax is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from neural_attn.check import check_text
from neural_attn.diagnostics.errors import Diagnostic, Edit, NeuralError, Span

_SIGN = re.compile(r"\s*[=:]\s*")  # between a name and its value
_ROUNDS = 200  # of one change each; a text with more mistakes is mended in part


def mended(text: str, name: str = "<text>") -> tuple[str, list[Diagnostic]]:
    """The text with every certain hint followed, and the problems that were mended."""
    done: list[Diagnostic] = []
    refused: set[tuple[str, str, str]] = set()
    found = _problems(text, name)
    for _ in range(_ROUNDS):
        for problem in found:
            edit = problem.edit or _edit(problem)
            key = (problem.code, problem.message, _line(problem))
            if edit is None or key in refused:
                continue
            changed = text[: edit.start] + edit.text + text[edit.end :]
            after = _problems(changed, name)
            if not _is_better(problem, edit, found, after):
                refused.add(key)
                continue
            text, found = changed, after
            done.append(problem)
            break
        else:
            break
    return text, done


def _problems(text: str, name: str) -> list[Diagnostic]:
    try:
        _, found = check_text(text, name)
    except NeuralError as error:
        found = error.diagnostics
    return sorted(found, key=_start)


def _line(problem: Diagnostic) -> str:
    span = problem.span
    return span.source.line(span.line) if span else ""


def _is_better(
    problem: Diagnostic, edit: Edit, before: list[Diagnostic], after: list[Diagnostic]
) -> bool:
    """Whether a problem is gone, and no mistake of syntax came for it.

    A syntax error hides others behind it, which may come to light.
    """
    if _is_syntax(problem):
        old = sum(_is_syntax(d) and _start(d) <= _start(problem) for d in before)
        new = sum(_is_syntax(d) and _start(d) <= _end(edit) for d in after)
        return new < old
    old, new = (sum(map(_is_syntax, found)) for found in (before, after))
    if new > old or _misfits(edit, after):
        return False
    old, new = (sum(d.code == problem.code for d in found) for found in (before, after))
    return new < old


def _misfits(edit: Edit, after: list[Diagnostic]) -> bool:
    """Whether the value behind a name that was changed is now an error.

    The name that is nearest is then not the one that was meant.
    """
    return any(
        d.is_error
        and d.span
        and _SIGN.fullmatch(d.span.source.text, _end(edit), _start(d))
        for d in after
    )


def _is_syntax(problem: Diagnostic) -> bool:
    return problem.code.startswith("E01")


def _start(problem: Diagnostic) -> int:
    return problem.span.start if problem.span else -1


def _end(edit: Edit) -> int:
    return edit.start + len(edit.text)


def _edit(problem: Diagnostic) -> Edit | None:
    """The change that the hint of a code means at its place."""
    make = _BY_CODE.get(problem.code)
    return make(problem, problem.span) if make and problem.span else None


def _character(problem: Diagnostic, span: Span) -> Edit | None:
    """A character of another language or of a word processor, as it is said here."""
    if "next one on its own line" in problem.hint and span.text in "&|":
        return Edit(span.start, span.end, " ")
    if problem.hint == "strings stand in straight quotes":
        return Edit(span.start, span.end, '"')
    return _as_written(problem, span)


def _as_written(problem: Diagnostic, span: Span) -> Edit | None:
    """The place replaced by what the hint tells to write."""
    said = re.fullmatch(r"write `([^`…]+)`", problem.hint)
    return Edit(span.start, span.end, said[1]) if said else None


def _quote(_: Diagnostic, span: Span) -> Edit | None:
    """A closing quote behind the word that the open one begins."""
    word = re.compile(r"[\w.+:-]*").match(span.source.text, span.start + 1)
    return Edit(word.end(), word.end(), span.text[0]) if word and word[0] else None


def _comma(_: Diagnostic, span: Span) -> Edit:
    return _behind_what_precedes(span, ",")


def _colon(_: Diagnostic, span: Span) -> Edit:
    return _behind_what_precedes(span, ":")


def _parenthesis(_: Diagnostic, span: Span) -> Edit:
    return _behind_what_precedes(span, ")")


def _behind_what_precedes(span: Span, sign: str) -> Edit:
    at = len(span.source.text[: span.start].rstrip())
    return Edit(at, at, sign)


def _colon_behind(_: Diagnostic, span: Span) -> Edit:
    return Edit(span.end, span.end, ":")


def _colon_for_equals(_: Diagnostic, span: Span) -> Edit | None:
    before = span.source.text[: span.start]
    sign = re.search(r"\s*=\s*$", before)
    return Edit(sign.start(), span.start, ": ") if sign else None


def _brace(_: Diagnostic, span: Span) -> Edit:
    text = span.source.text
    return Edit(len(text), len(text), "}\n" if text.endswith("\n") else "\n}\n")


def _gone(problem: Diagnostic, span: Span) -> Edit | None:
    """What the hint calls one too many, left out."""
    if not re.fullmatch(r"is one `.` too many\?", problem.hint):
        return None
    return Edit(span.start, span.end, "")


def _argument_gone(_: Diagnostic, span: Span) -> Edit | None:
    """An argument with a name left out, with one of the commas around it."""
    text, start, end = span.source.text, span.start, span.end
    if not re.match(r"\w+\s*=", span.text):
        named = re.search(r"\w+\s*=\s*$", text[:start])
        if named is None:
            return None
        start = named.start()
    if behind := re.compile(r"\s*,[ \t]*").match(text, end):
        return Edit(start, behind.end(), "")
    before = re.search(r",\s*$", text[:start])
    return Edit(before.start() if before else start, end, "")


_BY_CODE: dict[str, Callable[[Diagnostic, Span], Edit | None]] = {
    "E0107": _character,
    "E0108": _quote,
    "E0110": _gone,
    "E0111": _brace,
    "E0113": _comma,
    "E0123": _parenthesis,
    "E0130": _colon,
    "E0132": _colon_for_equals,
    "E0134": _gone,
    "E0137": _as_written,
    "E0244": _colon_behind,
    "W0105": _argument_gone,
    "W0116": _argument_gone,
    "W0119": _as_written,
}
