"""A page of Plotly plots that needs no network, and follows the reader's colours."""

from __future__ import annotations

import html
from string import Template

import plotly.graph_objects as go

from neural_attn.figures.token_labels import readable

__all__ = ["TITLE_PLACE", "escaped", "page_of", "plain", "plot_of"]

LABEL_LENGTH = 28
TITLE_PLACE = {
    "x": 0.02,
    "xanchor": "left",
    "y": 1,
    "yref": "container",
    "yanchor": "top",
    "pad": {"t": 24},
}

# Colours follow the reader's system, also while the page is open.
SCRIPT = """
const page = document.getElementById("{plot_id}");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function follow() {
  const [ink, paper, empty, hover] = dark.matches
    ? ["#e6e8eb", "#14171a", "#2b3036", "#262b31"]
    : ["#1b1f24", "#ffffff", "#eceef1", "#f4f5f7"];
  const changes = {
    "font.color": ink, paper_bgcolor: paper, plot_bgcolor: empty,
    "hoverlabel.bgcolor": hover, "hoverlabel.font.color": ink,
  };
  (page.layout.updatemenus || []).forEach((menu, index) => {
    changes[`updatemenus[${index}].bgcolor`] = dark.matches ? "#b9c0c8" : "#f4f5f7";
    // Plotly draws the arrow of a menu, and the choice under the pointer, for dark
    // text on light ground alone.
    changes[`updatemenus[${index}].font.color`] = "#1b1f24";
  });
  Plotly.relayout(page, changes);
}
dark.addEventListener("change", follow);
follow();
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
font-src data:">
<title>$title</title>
<style>
  html, body { height: 100%; margin: 0; background: #ffffff; }
  body > div { height: 100%; min-height: 30rem; }
  @media (prefers-color-scheme: dark) { html, body { background: #14171a; } }
</style>
</head>
<body>
$plot
</body>
</html>
""")


def plain(text: str, length: int = LABEL_LENGTH) -> str:
    """A token as text that Plotly shows as it is."""
    return escaped(readable(text, length))


def escaped(text: str) -> str:
    """Escape what Plotly would read as markup, or MathJax beside it as mathematics."""
    # Quotes stay: Plotly knows no &quot;.
    return html.escape(text, quote=False).replace("$", "&#36;")


def plot_of(figure: go.Figure, name: str, height: str, *, first: bool = True) -> str:
    """A figure as part of a page, whose first plot brings the library along."""
    made: str = figure.to_html(
        full_html=False,
        include_plotlyjs=first,
        div_id=name,
        default_height=height,
        config={"responsive": True, "displaylogo": False, "scrollZoom": True},
        post_script=SCRIPT,
    )
    return made


def page_of(title: str, plots: str) -> str:
    """The whole page round its plots; `title` may be any text."""
    return PAGE.substitute(title=html.escape(title), plot=plots)
