"""The analysis as a page."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import NeuralError, printable
from neural_attn.reports.document import document
from neural_attn.reports.elements import (
    Bars,
    Grid,
    Heading,
    Image,
    Part,
    Sentences,
    Table,
    TypeCell,
    TypeMap,
)
from neural_attn.reports.json import to_json
from neural_attn.reports.svg import bars_svg, grid_svg, squares_svg

__all__ = ["to_html"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_html(analysis: Analysis) -> str:
    """The report as one page that loads nothing and runs no script.

    Links lead from sentences to the rows of their heads. The JSON of the analysis is
    inside, in `<script type="application/json">`, which browsers do not run.
    """
    body = _body([*document(analysis), *_drawn(analysis)])
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


def _drawn(analysis: Analysis) -> list[Part]:
    """How entropy is spread over heads, where seaborn is there to draw it."""
    known = any("normalized_entropy" in head.statistics for head in analysis.heads)
    title = Heading(2, "Spread over heads")
    if not known:
        return []
    try:
        from neural_attn.figures.statistics import plot_distributions

        figure = plot_distributions(analysis, "normalized_entropy")
    except NeuralError as missing:  # the rest of the report needs no seaborn
        return [title, Sentences(((f"not drawn: {missing}", ()),))]
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    caption = "Normalized entropy (1: uniform) by layer: a point is a head"
    return [title, Image(stream.getvalue(), caption)]


def _body(parts: Sequence[Part]) -> str:
    """What comes first side by side, then the contents, then all else folded."""
    sections: list[tuple[Heading, list[Part]]] = []
    for part in parts:
        if isinstance(part, Heading):
            sections.append((part, []))
        else:
            sections[-1][1].append(part)
    (title, about), *rest = sections
    first = [_section(*one) for one in rest if one[0].lead]
    folded = [one for one in rest if not one[0].lead]
    contents = "".join(
        f'<li><a href="#{_anchor(heading)}">{_safe(heading.text)}</a></li>'
        for heading, _ in folded
    )
    return "\n".join(
        (
            f"<header><h1>{_safe(title.text)}</h1>{_all(about)}</header>",
            f'<main><div class="first">{"".join(first)}</div>',
            f'<nav aria-label="Contents"><ul>{contents}</ul></nav>' if folded else "",
            *(_folded(*one) for one in folded),
            "</main>",
        )
    )


def _all(parts: Sequence[Part]) -> str:
    return "\n".join(map(_html, parts))


def _anchor(heading: Heading) -> str:
    return re.sub(r"\W+", "-", heading.text.lower()).strip("-")


def _section(heading: Heading, parts: Sequence[Part]) -> str:
    return f"<section><h2>{_safe(heading.text)}</h2>{_all(parts)}</section>"


def _folded(heading: Heading, parts: Sequence[Part]) -> str:
    opened = " open" if heading.asked else ""
    return (
        f"<details{opened}><summary><h2>{_safe(heading.text)}</h2></summary>"
        # a link to what is folded away unfolds it
        f'<div class="folded" id="{_anchor(heading)}">{_all(parts)}</div></details>'
    )


def _html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{_safe(part.text)}</h{part.level}>"
    if isinstance(part, TypeMap):
        return _html_types(part)
    if isinstance(part, Sentences):
        return "<ul>" + "".join(_html_sentence(*row) for row in part.rows) + "</ul>"
    if isinstance(part, Table):
        return _html_table(part)
    caption = _safe(part.caption)
    if isinstance(part, Image):
        source = f"data:image/png;base64,{b64encode(part.png).decode()}"
        picture = f'<img src="{source}" alt="{caption}">'
    elif isinstance(part, Grid):
        picture = grid_svg(part)
    elif isinstance(part, Bars):
        picture = bars_svg(part)
    else:
        picture = squares_svg(part)
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _html_sentence(text: str, labels: Sequence[str]) -> str:
    links = ", ".join(
        f'<a href="#{_safe(one)}">{_safe(one)}</a>' for one in labels[:12]
    )
    more = f" and {len(labels) - 12} more" if len(labels) > 12 else ""
    return f"<li>{_safe(text)}{f' ({links}{more})' if links else ''}</li>"


def _html_types(part: TypeMap) -> str:
    """A table of letters, each of which leads to its head and names its sentence."""
    columns = max(map(len, part.cells))
    head = "".join(f'<th scope="col">{number}</th>' for number in range(columns))
    rows = []
    for name, cells, reach in zip(part.rows, part.cells, part.reach, strict=True):
        letters = "".join(
            f'<td><a class="{"whole" if cell.whole else "partly"} {cell.kind}" '
            f'href="#{_safe(cell.label)}" title="{_safe(cell.sentence)}" '
            f'aria-label="{_safe(cell.label)}: {_said(cell)}">{cell.letter}</a></td>'
            for cell in cells
        )
        letters += "<td></td>" * (columns - len(cells))
        ends = "".join(f"<td>{end}</td>" for end in reach)
        rows.append(f'<tr><th scope="row">{_safe(name)}</th>{letters}{ends}</tr>')
    legend = ", ".join(f"<span>{_safe(one)}</span>" for one in part.legend)
    table = (
        f'<table class="types"><caption>{_safe(part.caption)}'
        f'</caption><thead><tr><th scope="col">layer</th>{head}'
        '<th scope="col">entropy</th><th scope="col">greatest</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return (
        f'{_scrolling(table, part.caption)}<p class="legend">{legend}. '
        "Entropy (1: uniform) and greatest weight: least and greatest of the heads.</p>"
    )


def _said(cell: TypeCell) -> str:
    return cell.kind if cell.whole else f"partly {cell.kind}"


def _html_table(part: Table) -> str:
    head = "".join(f'<th scope="col">{_safe(name)}</th>' for name in part.header)
    rows = []
    for row in part.rows:
        cells = "".join(f"<td>{_safe(cell)}</td>" for cell in row)
        name = f' id="{_safe(row[0])}"' if part.anchor else ""
        rows.append(f"<tr{name}>{cells}</tr>")
    return _scrolling(
        f"<table><caption>{_safe(part.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
        part.caption,
    )


def _scrolling(table: str, caption: str) -> str:
    """A table in a box that scrolls where it is too wide, by the keyboard too."""
    named = f'role="region" tabindex="0" aria-label="{_safe(caption)}"'
    return f'<div class="scroll" {named}>{table}</div>'


def _safe(text: str) -> str:
    return html.escape(printable(text).replace("\n", " "))
