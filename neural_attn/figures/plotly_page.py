"""A page of Plotly plots that needs no network, and follows the reader's colours."""

from __future__ import annotations

import html
from collections.abc import Sequence
from string import Template

import plotly.graph_objects as go

from neural_attn.figures.choices import ThemeName
from neural_attn.figures.palette import SANS, page_colors
from neural_attn.figures.token_labels import readable

__all__ = [
    "CHOOSE",
    "LEFT_OUT",
    "TITLE_PLACE",
    "controls",
    "escaped",
    "page_of",
    "plain",
    "plot_of",
]

LABEL_LENGTH = 28
TITLE_PLACE = {
    "x": 0.02,
    "xanchor": "left",
    "y": 1,
    "yref": "container",
    "yanchor": "top",
    "pad": {"t": 24},
}

# Colours are those that `page_colors` gives the page. `{plot_id}` is the plot's, and
# other braces are of the script.
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
"""

# The lists and sliders of a page do what the buttons of its figure's menus do, and its
# heading is the figure's title, which HTML can wrap. Both are markup that is escaped.
CHOOSE = """
document.querySelectorAll("#choices > div").forEach((row) => {
  const { buttons } = page.layout.updatemenus[row.dataset.menu];
  const [list, slider] = row.querySelectorAll("select, input");
  const tell = (at) => {
    list.value = slider.value = at;
    slider.setAttribute("aria-valuetext", list.options[at].text);
  };
  const choose = ({ target }) => {
    tell(target.value);
    const { args } = buttons[target.value];
    const [data, { "title.text": title, ...layout } = {}] = args;
    if (title) document.getElementById("heading").innerHTML = title;
    Plotly.update(page, data, layout);
  };
  tell(0);
  list.addEventListener("input", choose);
  slider.addEventListener("input", choose);
});
"""

# Where labels are left out, as there is no room, the page says how many. What it says
# takes room, too: the plot is then made smaller, and never larger again, lest the two
# go on for ever.
LEFT_OUT = """
const leftOut = document.getElementById("left-out");
function tellLeftOut() {
  const trace = page._fullData.find((one) => one.visible === true);
  const told = [["y", "query"], ["x", "key"]].flatMap(([axis, side]) => {
    const [low, high] = [...page.layout[`${axis}axis`].range].sort((a, b) => a - b);
    const count = trace[axis].filter((_, at) => low <= at && at <= high).length;
    const left = count - page.querySelectorAll(`.${axis}tick text`).length;
    return left > 0 ? [`${left} of ${count} ${side} labels`] : [];
  });
  leftOut.textContent = told.length
    ? `No room for ${told.join(" and ")}: a cell names its own when pointed at.` : "";
  const height = leftOut.offsetHeight;
  if (height > parseFloat(leftOut.style.minHeight || 0)) {
    leftOut.style.minHeight = `${height}px`;
    Plotly.relayout(page, { autosize: true });
  }
}
// Plotly draws labels anew after the last event that it tells of.
new MutationObserver(tellLeftOut).observe(
  page.querySelector(".cartesianlayer"), { childList: true, subtree: true });
tellLeftOut();
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
font-src data:">
<title>$title</title>
<style>
  $colors
  html, body { height: 100%; margin: 0; background: var(--ground); color: var(--ink);
    font: 14px/1.4 $sans; }
  h1 { font-size: 1.15rem; line-height: 1.3; margin: .6rem 1.2rem;
    overflow-wrap: anywhere; }
  header p { font-size: 13px; margin: 0; }
  header { padding: .6rem 1.2rem 0; }
  header h1 { margin: 0; }
  .title { margin: 1.2rem 1.2rem 0; overflow-wrap: anywhere; }
  #heading { margin: .8rem 0 0; }
  /* one plot below its choices fills the window */
  main:has(header) { height: 100%; display: flex; flex-direction: column; }
  header + div { flex: 1; min-height: 32rem; }
  #choices { display: flex; flex-wrap: wrap; gap: .5rem 2rem; align-items: center; }
  #choices > div { display: flex; gap: .5rem; align-items: center; min-width: 0; }
  #choices label { width: 3rem; }
  #choices select { font: inherit; color: inherit; background: var(--raised);
    padding: .3rem; border: 1px solid var(--line); border-radius: 6px; min-width: 0; }
  #choices input { accent-color: var(--accent); width: 9rem; min-width: 4rem; }
  @media (max-width: 600px) {
    #choices > * { width: 100%; }
    #choices select { flex: 1; }
    #choices input { width: 6rem; }
  }
  /* below the plot, where no title is */
  @media (max-width: 600px) {
    .modebar-container { top: auto !important; bottom: 0; height: 2rem !important; }
  }
</style>
</head>
<body>
<main>
$plot
</main>
</body>
</html>
""")


def controls(figure: go.Figure, title: str, names: Sequence[str], axes: str) -> str:
    """What stands above a figure: see `CHOOSE` and `LEFT_OUT`.

    The page's title, which may be any text, a list and a slider for each menu that has
    a choice, the figure's title, a line that says what its axes are, and room for one
    that says which labels there was no room for.
    """
    rows = []
    for place, (name, menu) in enumerate(
        zip(names, figure.layout.updatemenus, strict=True)
    ):
        # A button's label is as Plotly reads it, which is as HTML does.
        options = [f"<option value={at}>{button.label}</option>"
                   for at, button in enumerate(menu.buttons)]  # fmt: skip
        if len(options) > 1:
            rows.append(
                f'<div data-menu="{place}"><label for="list-{place}">{name}</label>'
                f'<select id="list-{place}">{"".join(options)}</select>'
                f'<input type="range" min="0" max="{len(options) - 1}" value="0" '
                f'aria-label="{name}"></div>'
            )
    heading = f'<div id="heading" aria-live="polite">{figure.layout.title.text}</div>'
    return (
        f'<header><div id="choices"><h1>{html.escape(title)}</h1>{"".join(rows)}</div>'
        f'{heading}<p>{axes}</p><p id="left-out" aria-live="polite"></p></header>'
    )


def plain(text: str, length: int = LABEL_LENGTH) -> str:
    """A token as text that Plotly shows as it is."""
    return escaped(readable(text, length))


def escaped(text: str) -> str:
    """Escape what Plotly would read as markup, or MathJax beside it as mathematics."""
    # Quotes stay: Plotly knows no &quot;.
    return html.escape(text, quote=False).replace("$", "&#36;")


def plot_of(
    figure: go.Figure, name: str, height: str, *, first: bool = True, script: str = ""
) -> str:
    """A figure as part of a page, whose first plot brings the library along."""
    made: str = figure.to_html(
        full_html=False,
        include_plotlyjs=first,
        div_id=name,
        default_height=height,
        config={"responsive": True, "displaylogo": False, "scrollZoom": True},
        post_script=SCRIPT + script,
    )
    return made


def page_of(title: str, plots: str, theme: ThemeName | None = None) -> str:
    """The whole page round its plots; `title` may be any text.

    `theme` "dark" is dark for every reader; else the page follows their system.
    """
    return PAGE.substitute(
        title=html.escape(title),
        plot=plots,
        colors=page_colors(theme),
        sans=SANS,
    )
