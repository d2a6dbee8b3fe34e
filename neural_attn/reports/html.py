"""The analysis as a page."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import printable
from neural_attn.reports.document import document
from neural_attn.reports.drawn import drawn
from neural_attn.reports.elements import (
    Bars,
    Grid,
    Heading,
    Image,
    Part,
    Sentences,
    Table,
    TypeKey,
    TypeMap,
    columns_of_words,
)
from neural_attn.reports.json import to_json
from neural_attn.reports.svg import bars_svg, grid_svg, squares_svg
from neural_attn.reports.unbroken import UNBROKEN

__all__ = ["to_html"]

_LABEL = re.compile(r"\bL\d+H\d+(?:\.\w+)*")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_html(analysis: Analysis) -> str:
    """The report as one page that loads nothing and runs no script.

    Links lead from sentences to the rows of their heads. The JSON of the analysis is
    inside, in `<script type="application/json">`, which browsers do not run.
    """
    body = _body([*document(analysis), *drawn(analysis)])
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
    wide = ""
    if isinstance(part, Image):
        picture = _picture(part)
        wide = f' style="max-width: min(100%, {part.width}px)"'
    elif isinstance(part, Grid):
        picture = grid_svg(part)
    elif isinstance(part, Bars):
        picture = bars_svg(part)
    else:
        picture = squares_svg(part)
    caption = f"<figcaption>{_prose(part.caption)}</figcaption>"
    return f"<figure{wide}>{picture}{caption}</figure>"


def _picture(part: Image) -> str:
    """An image for the reader's colours: light on paper too, whatever these are."""
    light, dark = (
        f"data:image/png;base64,{b64encode(png).decode()}"
        for png in (part.light, part.dark)
    )
    return _scrolling(
        '<picture><source media="screen and (prefers-color-scheme: dark)" '
        f'srcset="{dark}"><img src="{light}" width="{part.width}" '
        f'alt="{_safe(part.title)}"></picture>',
        part.title,
    )


def _html_sentence(text: str, labels: Sequence[str]) -> str:
    """A sentence with links to its heads: where it names all of them, or at its end."""
    shown = _prose(text)
    if labels and set(labels) == set(_LABEL.findall(shown)):
        return f"<li>{_LABEL.sub(lambda found: _link(found[0]), shown)}</li>"
    links = ", ".join(map(_link, labels[:12]))
    more = f" and {len(labels) - 12} more" if len(labels) > 12 else ""
    return f"<li>{shown}{f' ({links}{more})' if links else ''}</li>"


def _link(label: str) -> str:
    return f'<a href="#{_safe(label)}">{_safe(label)}</a>'


def _html_types(part: TypeMap) -> str:
    """A table of letters, each of which leads to its head and names its sentence."""
    columns = max(map(len, part.cells))
    head = "".join(f'<th scope="col">{number}</th>' for number in range(columns))
    rows = []
    for name, cells, reach in zip(part.rows, part.cells, part.reach, strict=True):
        letters = "".join(
            f'<td><a class="{_look(cell.key)}" '
            f'href="#{_safe(cell.label)}" title="{_safe(cell.sentence)}" '
            f'aria-label="{_safe(cell.label)}: {cell.key.words}">{cell.key.letter}</a>'
            "</td>"
            for cell in cells
        )
        letters += "<td></td>" * (columns - len(cells))
        ends = "".join(f"<td>{end}</td>" for end in reach)
        rows.append(f'<tr><th scope="row">{_safe(name)}</th>{letters}{ends}</tr>')
    table = (
        f'<table class="types"><caption>{_prose(part.caption)}'
        f'</caption><thead><tr><th scope="col">layer</th>{head}'
        '<th scope="col">entropy</th><th scope="col">greatest</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return (
        f"{_scrolling(table, part.caption)}{_legend(part)}"
        '<p class="below">Entropy (1: uniform) and greatest weight: least and greatest '
        "of the heads.</p>"
    )


def _legend(part: TypeMap) -> str:
    """The colours of a map of types, and its letters, each as it stands in a cell."""
    rows = []
    for words, keys in part.legend:
        letters = " ".join(
            f'<span class="n"><i class="{_look(key)}">{key.letter}</i> {key.words} '
            f"{count}</span>"
            for key, count in keys
        )
        rows.append(f"<li><strong>{words}</strong> {letters}</li>")
    return f'<ul class="legend">{"".join(rows)}</ul>'


def _look(key: TypeKey) -> str:
    return f"{'whole' if key.whole else 'partly'} {key.family}"


def _html_table(part: Table) -> str:
    looks = [' class="words"' * words for words in columns_of_words(part)]
    header = zip(part.header, looks, strict=True)
    # on paper the name of a metric may take two lines
    head = "".join(
        f'<th scope="col"{look}>{_safe(name).replace("_", "_<wbr>")}</th>'
        for name, look in header
    )
    rows = []
    for row in part.rows:
        cells = "".join(
            f"<td{look}>{_safe(cell)}</td>"
            for cell, look in zip(row, looks, strict=True)
        )
        name = f' id="{_safe(row[0])}"' if part.anchor else ""
        rows.append(f"<tr{name}>{cells}</tr>")
    return _scrolling(
        f"<table><caption>{_prose(part.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
        part.caption,
    )


def _scrolling(content: str, caption: str) -> str:
    """A table or picture in a box that scrolls, by the keyboard too."""
    named = f'role="region" tabindex="0" aria-label="{_safe(caption)}"'
    return f'<div class="scroll" {named}>{content}</div>'


def _prose(text: str) -> str:
    """A sentence as HTML, whose lines break inside no number."""
    shown, end = [], 0
    plain = printable(text).replace("\n", " ")
    for found in UNBROKEN.finditer(plain):
        shown += [_safe(plain[end : found.start()]),
                  f'<span class="n">{_safe(found[0])}</span>']  # fmt: skip
        end = found.end()
    return "".join((*shown, _safe(plain[end:])))


def _safe(text: str) -> str:
    return html.escape(printable(text).replace("\n", " "))
