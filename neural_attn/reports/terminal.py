"""The analysis as text for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import printable
from neural_attn.reports.document import document
from neural_attn.reports.elements import (
    Bars,
    Grid,
    Heading,
    Part,
    Sentences,
    Table,
    TypeMap,
    spark,
)

__all__ = ["print_analysis"]

_MORE = (
    "more: --heads (entropy and greatest weight of every head, and all tables), "
    "--markdown, --json, --html PAGE"
)


def print_analysis(
    analysis: Analysis, console: Console | None = None, *, heads: bool = False
) -> None:
    """Print what comes first, and what was asked for; `heads` prints all."""
    out = console or Console(highlight=False)
    shown = True
    for part in document(analysis):
        if isinstance(part, Heading):
            shown = heads or part.lead or part.asked
        for line in _terminal(part) if shown else ():
            # A line of data stays one line when it goes to a file or a pipe.
            out.print(line, soft_wrap=True, highlight=False)
    if not heads and analysis.heads:
        out.print(Text(f"\n  {_MORE}", style="dim"), soft_wrap=True)


def _terminal(part: Part) -> list[Any]:
    if isinstance(part, Heading):
        return [Text(), Text(printable(part.text), style="bold")]
    if isinstance(part, Sentences):
        return [Text(f"  {printable(text)}") for text, _ in part.rows]
    if isinstance(part, Table):
        return _terminal_table(part)
    if isinstance(part, TypeMap):
        return _terminal_types(part)
    if isinstance(part, Grid):
        lines = [Text(f"  {printable(part.caption)}")]
        for name, row in zip(part.rows, part.values, strict=True):
            cells = " ".join("  – " if v is None else f"{v:.2f}" for v in row)
            lines.append(Text(f"    {printable(name):<28} {cells}"))
        return lines
    if isinstance(part, Bars):
        return [
            Text(f"  {printable(part.caption)}"),
            Text(f"    0 {spark(part.counts)} 1"),
        ]
    return [
        Text(f"  {printable(part.caption)}: pictures in the HTML report", style="dim")
    ]


def _terminal_types(part: TypeMap) -> list[Any]:
    columns = max(map(len, part.cells))
    wide = max(map(len, part.rows))
    head = f"    {'layer':<{wide}}  {'heads':<{2 * columns}}"
    lines = [Text(f"{head} entropy¹   greatest weight", style="dim")]
    for name, cells, (entropy, greatest) in zip(
        part.rows, part.cells, part.reach, strict=True
    ):
        letters = " ".join(cell.letter for cell in cells)
        row = f"    {printable(name):<{wide}}  {letters:<{2 * columns}} "
        lines.append(Text(f"{row}{entropy:<9}  {greatest}"))
    below = "¹ normalized (1: uniform), least and greatest of the heads"
    return [*lines, Text(f"    {', '.join(part.legend)}"), Text(f"    {below}", "dim")]


def _terminal_table(part: Table) -> list[Any]:
    table = RichTable(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    for index, name in enumerate(part.header):
        side: Any = "left" if index == 0 else "right"
        # As `Text`: rich would obey markup in a plain string.
        table.add_column(Text(printable(name)), justify=side, no_wrap=True)
    for row in part.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # Rendered at its natural width: a narrow terminal must not cut numbers.
    wide = Console(width=2000, file=None, color_system=None)
    with wide.capture() as captured:
        wide.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return [
        Text(f"  {printable(part.caption)}"),
        *(Text(f"    {line}") for line in lines),
    ]
