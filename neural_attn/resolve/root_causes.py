"""One mistake, one message: leaves out what only follows from another problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neural_attn.diagnostics.errors import Diagnostic, Span

# Warnings that something is not used: with an error in the file, that may be why.
_OF_ABSENCE = ("W0102", "W0106", "W0108", "W0110", "W0116", "W0120")
_SEARCH, _BAD_SEARCH = "W0103", "E0231"
# What a call lacks may be what an unknown parameter in it was meant to be.
_LACKING, _UNKNOWN_PARAMETER = ("E0215", "E0230"), "E0203"
# A name that stands for nothing is often misspelled where it is declared.
_UNKNOWN_NAME = "E0223"
_UNKNOWN = ("E0204", "E0221", _UNKNOWN_NAME)


def first_causes(
    problems: Sequence[Diagnostic], broken: Sequence[Span] = ()
) -> list[Diagnostic]:
    """The problems without those that would go with another one.

    `broken` are the places of search spaces that have no value: what is said of the
    value there follows from that.
    """
    errors = [d.span for d in problems if d.is_error and d.span]
    unknown = [d.span for d in problems if d.code == _UNKNOWN_PARAMETER and d.span]

    declared_as = {_meant(d) for d in problems if d.code == _UNKNOWN_NAME}

    def follows(problem: Diagnostic) -> bool:
        if problem.code in _OF_ABSENCE:
            return any(d.is_error for d in problems)
        if problem.span is None:
            return False
        if problem.code == _SEARCH:
            return any(_overlap(problem.span, span) for span in errors)
        if problem.code in _LACKING:
            return any(_overlap(problem.span, span) for span in unknown)
        if problem.code == _UNKNOWN_PARAMETER and _meant(problem) in declared_as:
            return True
        if problem.is_error and problem.code != _BAD_SEARCH:
            return any(_overlap(problem.span, span) for span in broken)
        return False

    return _once_each([problem for problem in problems if not follows(problem)])


def _once_each(problems: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The problems, with each unknown name reported where it is noted first."""
    found: dict[object, list[Diagnostic]] = {}
    for problem in problems:
        unknown = problem.code in _UNKNOWN
        key = (problem.code, problem.message) if unknown else id(problem)
        found.setdefault(key, []).append(problem)
    return [_with_count(alike) for alike in found.values()]


def _with_count(alike: Sequence[Diagnostic]) -> Diagnostic:
    first, more = alike[0], len(alike) - 1
    if not more:
        return first
    where = f"{more} more place{'s'[: more > 1]}"
    return replace(first, hint=f"{first.hint} (also at {where})")


def _meant(problem: Diagnostic) -> tuple[str, str]:
    """The unknown name that a problem ends on, and what it may be meant for."""
    return problem.message.split("`")[-2], problem.hint


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
