"""The analysis as a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.resources import files

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import printable
from neural_attn.reports.document import document
from neural_attn.reports.elements import Bars, Grid, Heading, Part, Sentences, Table
from neural_attn.reports.json import to_json
from neural_attn.reports.svg import bars_svg, grid_svg, squares_svg

__all__ = ["to_html"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_html(analysis: Analysis) -> str:
    """The report as one page that loads nothing and runs no script.

    Links lead from sentences to the rows of their heads. The JSON of the analysis is
    inside, in `<script type="application/json">`, which browsers do not run.
    """
    body = "\n".join(_html(part) for part in document(analysis))
    data = to_json(analysis).replace("<", "\\u003c")
    css = files(__package__).joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Attention analysis</title>\n<style>\n{css}</style></head>\n<body>\n"
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
