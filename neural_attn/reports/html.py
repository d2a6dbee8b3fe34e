"""The analysis as terminal text, Markdown and HTML, from the same parts."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import printable
from neural_attn.reports.document import document
from neural_attn.reports.elements import Bars, Grid, Heading, Part, Sentences, Table
from neural_attn.reports.svg import bars_svg, grid_svg, squares_svg

__all__ = ["print_analysis", "to_html", "to_json", "to_markdown"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_BLOCKS = " ▁▂▃▄▅▆▇█"

_CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d4d9de;
  --muted: #59636e; --accent: #0b5fa5; --odd: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a;
  --line: #3a4149; --muted: #a3acb6; --accent: #7cc4ff; --odd: #1e2328; } }
body { font: 16px/1.5 system-ui, "Noto Sans", "DejaVu Sans", sans-serif;
  margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--ink);
  background: var(--paper); }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
a { color: var(--accent); }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: 0.85rem; }
caption { text-align: left; white-space: nowrap; color: var(--muted);
  padding-bottom: 0.4rem; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .text td { text-align: left; }
tbody tr:nth-child(odd) { background: var(--odd); }
tr:target { outline: 2px solid var(--accent); }
figure { display: inline-block; vertical-align: top; margin: 1rem 2rem 1rem 0; }
figcaption { color: var(--muted); font-size: 0.85rem; }
svg { max-width: 100%; height: auto; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_json(analysis: Analysis) -> str:
    """The analysis as one JSON object; NaN does not occur in it."""
    text = json.dumps(analysis.to_dict(), ensure_ascii=False, allow_nan=False)
    # Tokens may hold lone surrogates, which no encoding takes; JSON has escapes.
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# --- terminal ---------------------------------------------------------------------


def print_analysis(
    analysis: Analysis, console: Console | None = None, *, heads: bool = False
) -> None:
    """Print the report; `heads` prints every head, else only the clearest."""
    out = console or Console(highlight=False)
    for part in document(analysis):
        if isinstance(part, Heading) and part.text.startswith("Every head"):
            if not heads:
                hint = "every head: --heads, --markdown, --json or --html PAGE"
                out.print(Text(f"\n  {hint}", style="dim"), soft_wrap=True)
                return
        for line in _terminal(part):
            # A line of data stays one line when it goes to a file or a pipe.
            out.print(line, soft_wrap=True, highlight=False)


def _terminal(part: Part) -> list[Any]:
    if isinstance(part, Heading):
        return [Text(), Text(printable(part.text), style="bold")]
    if isinstance(part, Sentences):
        return [Text(f"  {printable(text)}") for text, _ in part.rows]
    if isinstance(part, Table):
        return _terminal_table(part)
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


def spark(counts: Sequence[int]) -> str:
    """Counts as a row of blocks, the greatest at full height."""
    top = max(max(counts, default=0), 1)
    return "".join(_BLOCKS[-(-8 * count // top)] for count in counts)


# --- Markdown -----------------------------------------------------------------------


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
        rule = ["---", *("---:" for _ in part.header[1:])]
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


# --- HTML ---------------------------------------------------------------------------


def to_html(analysis: Analysis) -> str:
    """The report as one page that loads nothing and runs no script.

    Links lead from sentences to the rows of their heads. The JSON of the analysis is
    inside, in `<script type="application/json">`, which browsers do not run.
    """
    body = "\n".join(_html(part) for part in document(analysis))
    data = to_json(analysis).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Attention analysis</title>\n<style>{_CSS}</style></head>\n<body>\n"
        f'{body}\n<script type="application/json" id="analysis">{data}</script>\n'
        "</body></html>\n"
    )


def _html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{_safe(part.text)}</h{part.level}>"
    if isinstance(part, Sentences):
        return "<ul>" + "".join(_html_sentence(*row) for row in part.rows) + "</ul>"
    if isinstance(part, Table):
        return _html_table(part)
    if isinstance(part, Grid):
        picture = grid_svg(part)
    elif isinstance(part, Bars):
        picture = bars_svg(part)
    else:
        picture = squares_svg(part)
    caption = _safe(part.caption)
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _html_sentence(text: str, labels: Sequence[str]) -> str:
    links = ", ".join(
        f'<a href="#{_safe(one)}">{_safe(one)}</a>' for one in labels[:12]
    )
    more = f" and {len(labels) - 12} more" if len(labels) > 12 else ""
    return f"<li>{_safe(text)}{f' ({links}{more})' if links else ''}</li>"


def _html_table(part: Table) -> str:
    head = "".join(f'<th scope="col">{_safe(name)}</th>' for name in part.header)
    rows = []
    for row in part.rows:
        cells = "".join(f"<td>{_safe(cell)}</td>" for cell in row)
        name = f' id="{_safe(row[0])}"' if part.anchor else ""
        rows.append(f"<tr{name}>{cells}</tr>")
    return (
        f'<div class="scroll"><table><caption>{_safe(part.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _safe(text: str) -> str:
    return html.escape(printable(text).replace("\n", " "))
