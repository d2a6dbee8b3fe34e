"""A page of Plotly plots that needs no network, and follows the reader's colours."""

from __future__ import annotations

import html
from string import Template

import plotly.graph_objects as go

from neural_attn.figures.choices import ThemeName
from neural_attn.figures.palette import DARK, LIGHT, SANS, css_variables
from neural_attn.figures.token_labels import readable

__all__ = ["SLIDERS", "TITLE_PLACE", "escaped", "page_of", "plain", "plot_of"]

LABEL_LENGTH = 28
TITLE_PLACE = {
    "x": 0.02,
    "xanchor": "left",
    "y": 1,
    "yref": "container",
    "yanchor": "top",
    "pad": {"t": 24},
}

# Colours follow the reader's system, also while the page is open, unless the page is
# told which to have; their names are those of `figures.palette`. `{plot_id}` is the
# plot's, and other braces are of the script.
SCRIPT = """
const page = document.getElementById("{plot_id}");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const color = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
function follow() {
  const ink = color("ink");
  const changes = {
    "font.color": ink, paper_bgcolor: color("ground"), plot_bgcolor: color("masked"),
    "hoverlabel.bgcolor": color("raised"), "hoverlabel.font.color": ink,
  };
  const isDark = color("ground") !== "#ffffff";
  (page.layout.updatemenus || []).forEach((menu, index) => {
    // Plotly draws the arrow of a menu, and the choice under the pointer, for dark
    // text on light ground alone.
    changes[`updatemenus[${index}].bgcolor`] = isDark ? "#b9c0c8" : color("raised");
    changes[`updatemenus[${index}].font.color`] = "#1b1f24";
  });
  Plotly.relayout(page, changes);
  // of cells that have other colours on a dark ground
  const scales = page.layout.meta?.colorscales;
  if (scales) Plotly.restyle(page, { colorscale: [scales[isDark ? "dark" : "light"]] });
}
dark.addEventListener("change", follow);
follow();
document.querySelectorAll("#sliders input").forEach((slider, index) => {
  const menu = page.layout.updatemenus[index];
  slider.parentElement.hidden = menu.buttons.length < 2;
  slider.max = menu.buttons.length - 1;
  const tell = (at) => {
    slider.value = at;
    slider.setAttribute("aria-valuetext", menu.buttons[at].label);
  };
  tell(0);
  slider.addEventListener("input", async () => {
    const at = Number(slider.value);
    const { method, args } = page.layout.updatemenus[index].buttons[at];
    await Plotly[method](page, ...args);
    await Plotly.relayout(page, { [`updatemenus[${index}].active`]: at });
    tell(at);
  });
  page.on("plotly_buttonclicked", (event) => {
    if (event.menu._index === index) tell(event.active);
  });
});
"""

# One for each of the two menus; the script says how far they go.
SLIDERS = """<div id="sliders">
<label hidden>Layer <input type="range" min="0" value="0"></label>
<label hidden>Head <input type="range" min="0" value="0"></label>
</div>
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en"$theme>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="$schemes">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
font-src data:">
<title>$title</title>
<style>
  :root { $light }
  @media (prefers-color-scheme: dark) { :root:not([data-theme]) { $dark } }
  :root[data-theme="dark"] { $dark }
  html, body { height: 100%; margin: 0; background: var(--ground); color: var(--ink);
    font: 14px/1.4 $sans; }
  body > div:not(#sliders) { height: 100%; min-height: 32rem; }
  #sliders + div { height: calc(100% - 2.6rem) !important; } /* Plotly says 100% */
  #sliders { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: .5rem 1.2rem 0; }
  #sliders label { display: flex; gap: .5rem; align-items: center; }
  #sliders label[hidden] { display: none; }
  #sliders input { accent-color: var(--accent); width: 9rem; }
  /* below the plot, where no title is */
  @media (max-width: 600px) {
    .modebar-container { top: auto !important; bottom: 0; height: 2rem !important; }
  }
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


def page_of(title: str, plots: str, theme: ThemeName | None = None) -> str:
    """The whole page round its plots; `title` may be any text.

    `theme` "dark" is dark for every reader; else the page follows their system.
    """
    told = theme == "dark"
    return PAGE.substitute(
        title=html.escape(title),
        plot=plots,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        sans=SANS,
        theme=' data-theme="dark"' if told else "",
        schemes="dark" if told else "light dark",
    )
