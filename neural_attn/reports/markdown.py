"""The analysis as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence

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

__all__ = ["to_markdown"]


def to_markdown(analysis: Analysis) -> str:
    """The report as GitHub-flavoured Markdown; nothing in tokens is markup."""
    lines: list[str] = []
    for part in document(analysis):
        lines += [*_markdown(part), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(part: Part) -> list[str]:
    if isinstance(part, Heading):
        return [f"{'#' * part.level} {_plain(part.text)}"]
    if isinstance(part, Sentences):
        return [f"- {_plain(text)}{_names(text, labels)}" for text, labels in part.rows]
    if isinstance(part, Table):
        rule = ["---" if words else "---:" for words in columns_of_words(part)]
        rows = [part.header, rule, *part.rows]
        cells = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
        cells[1] = "| " + " | ".join(rule) + " |"
        return [f"*{_plain(part.caption)}*", "", *cells]
    if isinstance(part, Grid):
        count = max(map(len, part.values))
        header = ("layer", *(f"head {index}" for index in range(count)))
        rows_ = [
            (name, *("–" if v is None else f"{v:.2f}" for v in row),
             *("" for _ in range(count - len(row))))
            for name, row in zip(part.rows, part.values, strict=True)
        ]  # fmt: skip
        return _markdown(Table(header, tuple(rows_), part.caption))
    if isinstance(part, TypeMap):
        letters = [
            [name, " ".join(cell.key.letter for cell in cells), *reach]
            for name, cells, reach in zip(
                part.rows, part.cells, part.reach, strict=True
            )
        ]
        header = ("layer", "heads", "normalized entropy", "greatest weight")
        table = Table(header, tuple(map(tuple, letters)), part.caption)
        return [*_markdown(table), "", _plain("; ".join(legend_lines(part)))]
    if isinstance(part, Bars):
        return [f"*{_plain(part.caption)}*", "", f"`0 {spark(part.counts)} 1`"]
    return [f"*{_plain(part.caption)}: pictures in the HTML report*"]


def _plain(text: str) -> str:
    """`text` with everything that Markdown or HTML inside it would read as markup."""
    shown = html.escape(printable(text).replace("\n", " "), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]#|~$" else c for c in shown)


def _names(text: str, labels: Sequence[str], most: int = 12) -> str:
    if len(labels) < 2:
        return ""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return f" ({', '.join(labels[:most])}{more})"
