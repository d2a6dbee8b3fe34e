"""A diagnosis as lines of text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from neural_attn.diagnosis.faults import Checked, Diagnosis, Fault, Number
from neural_attn.diagnostics.errors import printable

__all__ = ["lines"]

WIDTH = 88
MOST = 12  # labels of heads, and tokens, that are listed


def lines(diagnosis: Diagnosis) -> Iterator[str]:
    """The whole report, a line at a time."""
    yield (
        f"{diagnosis.heads} heads in {_count(diagnosis.layers, 'layer')}, "
        f"{_count(diagnosis.texts, 'text')}, {_count(diagnosis.tokens, 'token')}"
    )
    for note in diagnosis.notes:
        yield from _wrapped(f"note: {printable(note)}", "", "  ")
    for fault in diagnosis.faults:
        yield ""
        yield from _fault(fault)
    yield ""
    clean = [c for c in diagnosis.checked if c.kind not in diagnosis.kinds]
    yield from _clean([c for c in clean if not c.why_not])
    for one in clean:
        if one.why_not:
            yield from _wrapped(f"not looked for: {one.kind} ({one.why_not})", "", "  ")


def _fault(fault: Fault) -> Iterator[str]:
    title = f"{fault.kind} ({fault.cause}): {printable(fault.message)}"
    yield from _wrapped(title, "", "  ")
    if fault.heads:
        layers = ", ".join(map(printable, fault.layers[:MOST]))
        yield from _wrapped(f"where: {_listed(fault.heads)} ({layers})", "  ", "    ")
    if fault.tokens:
        tokens = [f"{t.token!r} (text {t.text}, {t.position})" for t in fault.tokens]
        yield from _wrapped(f"tokens: {_listed(tokens)}", "  ", "    ")
    for number in fault.numbers:
        yield from _wrapped(_number(number), "  ", "    ")
    for remedy in fault.remedies:
        yield from _wrapped(f"try: {remedy}", "  ", "    ")


def _number(number: Number) -> str:
    side = "at least" if number.at_least else "at most"
    chance = ""
    if number.chance is not None:
        chance = f"; {number.chance:.3g} is {number.baseline}"
    return (
        f"{number.name}: {number.value:.3g} ({side} {number.threshold:g}{chance}), "
        f"over {_count(number.rows, 'row')} of {_count(number.texts, 'text')}"
    )


def _clean(checked: Sequence[Checked]) -> Iterator[str]:
    for one in checked:
        looked = (
            f"nothing found: {one.kind}, in {_count(one.heads, 'head')}, "
            f"{_count(one.rows, 'row')} of {_count(one.texts, 'text')}: "
            f"{one.looks_at}"
        )
        yield from _wrapped(looked, "", "  ")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(map(printable, names[:MOST])) + more


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
