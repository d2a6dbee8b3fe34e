"""The analysis as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
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
    columns_of_words,
    legend_lines,
    spark,
)
from neural_attn.reports.unbroken import print_line

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
    width = out.width if out.is_terminal else None
    shown = True
    for part in document(analysis):
        if isinstance(part, Heading):
            shown = heads or part.lead or part.asked
        for line in _terminal(part, width) if shown else ():
            print_line(out, line)
    if not heads and analysis.heads:
        out.print()
        print_line(out, Text(f"  {_MORE}", style="dim"))


def _terminal(part: Part, width: int | None) -> list[Text]:
    """The lines of a part; `width` is that of a terminal, None of a file or pipe."""
    if isinstance(part, Heading):
        return [Text(), Text(printable(part.text), style="bold")]
    if isinstance(part, Sentences):
        return [Text(f"  {printable(text)}") for text, _ in part.rows]
    if isinstance(part, Table):
        return _terminal_table(part)
    if isinstance(part, TypeMap):
        return _terminal_types(part, width)
    if isinstance(part, Grid):
        cells = [
            " ".join("  – " if v is None else f"{v:.2f}" for v in row)
            for row in part.values
        ]
        return [Text(f"  {printable(part.caption)}"), *_named(part.rows, cells, width)]
    if isinstance(part, Bars):
        return [
            Text(f"  {printable(part.caption)}"),
            Text(f"    0 {spark(part.counts)} 1"),
        ]
    return [
        Text(f"  {printable(part.caption)}: pictures in the HTML report", style="dim")
    ]


def _named(names: Sequence[str], cells: Sequence[str], width: int | None) -> list[Text]:
    """Rows of cells beside their names; below them where a terminal is too narrow."""
    shown = [printable(name) for name in names]
    wide = max(map(cell_len, shown))
    if width is None or 6 + wide + max(map(cell_len, cells)) <= width:
        return [
            Text(f"    {name}{' ' * (wide - cell_len(name))}  {row}".rstrip())
            for name, row in zip(shown, cells, strict=True)
        ]
    return [
        Text(line)
        for name, row in zip(shown, cells, strict=True)
        for line in (f"    {name}", f"      {row}".rstrip())
    ]


def _terminal_types(part: TypeMap, width: int | None) -> list[Text]:
    columns = 2 * max(map(len, part.cells))
    rows = [
        f"{' '.join(cell.key.letter for cell in cells):<{columns}} "
        f"{entropy:<9}  {greatest}"
        for cells, (entropy, greatest) in zip(part.cells, part.reach, strict=True)
    ]
    head = f"{'heads':<{columns}} entropy¹   greatest weight"
    lines = _named(["layer", *part.rows], [head, *rows], width)
    for line in lines[: len(lines) // (len(rows) + 1)]:
        line.style = "dim"
    below = "¹ normalized (1: uniform), least and greatest of the heads"
    lines += [Text(f"    {line}") for line in legend_lines(part)]
    return [*lines, Text(f"    {below}", "dim")]


def _terminal_table(part: Table) -> list[Text]:
    table = RichTable(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    for name, words in zip(part.header, columns_of_words(part), strict=True):
        side: Any = "left" if words else "right"
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
