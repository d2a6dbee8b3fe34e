"""The interactive page: its data, its menus, and what a browser makes of it."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from neural_attn.figures import dashboard
from neural_attn.figures.dashboard import build_dashboard, write_dashboard
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, SelectionError
from tests.browser import axe_source

HOSTILE = [
    "the",
    "the",
    "$x$ $y$",
    "<b>bold</b>",
    "</script><script>document.title='PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\">",
    "&lt;",
    "%{z}",
    "\ud800",
    "7",
]


def softmax(*shape, seed=0):
    exponential = np.exp(np.random.default_rng(seed).normal(size=shape))
    return (exponential / exponential.sum(-1, keepdims=True)).astype(np.float32)


def two_layers(**options):
    """Three heads over 4 tokens; two causal heads over the hostile ones."""
    causal = np.tri(10, dtype=bool)
    maps = [
        AttentionMap("first", softmax(1, 3, 4, 4)),
        AttentionMap(
            "second.self_attention",
            softmax(1, 2, 10, 10) * causal,
            "decoder_self",
            causal,
            True,
            HOSTILE,
            HOSTILE,
        ),
    ]
    return AttentionMaps(maps, **options)


def decoded(spec) -> np.ndarray:
    """The array of a typed array specification."""
    shape = tuple(int(size) for size in spec["shape"].split(","))
    return np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"]).reshape(shape)


def layer_button(figure, index):
    return figure.layout.updatemenus[0].buttons[index].args


def test_there_is_a_trace_for_the_average_and_for_each_head():
    maps = two_layers()
    figure = build_dashboard(maps)
    names = [trace.name for trace in figure.data]
    assert names == ["Average over heads", "Head 0", "Head 1", "Head 2"]
    assert [trace.visible for trace in figure.data] == [True, False, False, False]
    weights = maps["first"][0]
    assert np.array_equal(figure.data[0].z, weights.mean(axis=0))
    for head in range(3):
        assert np.array_equal(figure.data[1 + head].z, weights[head])
        assert figure.data[1 + head].zmax == pytest.approx(weights.max())


def test_a_layer_button_holds_the_data_of_its_layer():
    maps = two_layers()
    data, view = layer_button(build_dashboard(maps), 1)
    z = [decoded(spec) for spec in data["z"]]
    allowed = np.tri(10, dtype=bool)
    for head in range(2):
        assert np.array_equal(np.isnan(z[1 + head]), ~allowed)
        expected = maps["second.self_attention"][0, head]
        assert np.array_equal(z[1 + head][allowed], expected[allowed])
    assert np.isnan(z[3]).all()  # this layer has no third head
    assert "causal decoder self-attention, 2 heads" in view["title.text"]


def test_head_buttons_show_one_trace_each():
    menu = build_dashboard(two_layers()).layout.updatemenus[1]
    for index, button in enumerate(menu.buttons):
        assert button.args[0]["visible"] == [i == index for i in range(4)]


def test_tokens_that_repeat_stay_apart_and_are_escaped():
    data, _ = layer_button(build_dashboard(two_layers()), 1)
    (labels,) = data["x"]
    assert len(set(labels)) == len(HOSTILE)
    assert labels[:2] == ["0 the", "1 the"]
    assert labels[3] == "3 &lt;b&gt;bold&lt;/b&gt;"
    assert "$" not in labels[2]
    assert build_dashboard(two_layers()).layout.xaxis.type == "category"


@pytest.mark.parametrize(("trained", "said"), [(False, True), (True, False)])
def test_untrained_is_said_in_every_title(trained, said):
    figure = build_dashboard(two_layers(trained=trained))
    titles = [figure.layout.title.text, layer_button(figure, 1)[1]["title.text"]]
    for title in titles:
        assert ("untrained (random) weights" in title) is said


def test_one_chosen_head_is_shown_as_that_head():
    figure = build_dashboard(two_layers().select("first", head=2))
    (trace,) = figure.data
    assert trace.name == "Head 2"
    assert [menu.visible for menu in figure.layout.updatemenus] == [False, False]


def test_a_page_that_would_be_too_large_has_averages_and_says_so(monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_MEGABYTES", 0.001)
    figure = build_dashboard(two_layers())
    assert [trace.name for trace in figure.data] == ["Average over heads"]
    assert "averages only" in figure.layout.title.text


def test_a_long_text_is_drawn_in_blocks_and_says_so(monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_CELLS", 4)
    tokens = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    weights = softmax(1, 2, 10, 10) * np.tri(10, dtype=np.float32)
    one = AttentionMap("a", weights, "decoder_self", None, True, tokens)
    figure = build_dashboard(AttentionMaps([one]))
    told = re.sub(r"<[^>]+>|\s|\u26a0", "", figure.layout.title.text)
    assert "greatestweightof3×3positions" in told
    z = figure.data[1].z
    assert z.shape == (4, 4)
    assert z[1, 0] == weights[0, 0, 3:6, :3].max()
    assert z[3, 2] == weights[0, 0, 9:, 6:9].max()
    assert np.isnan(z[0, 1])  # all of it is hidden by the mask
    assert not np.isnan(z[1, 1])  # some of it is
    assert figure.data[1].y[::3] == ("0–2 a…c", "9 j")
    assert figure.data[0].z[1, 0] == weights[0].mean(axis=0)[3:6, :3].max()


def test_all_heads_of_a_long_text_are_drawn_in_larger_blocks(monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_CELLS", 8)
    maps = AttentionMaps.from_arrays({"a": softmax(16, 20, 20)})
    assert build_dashboard(maps).data[1].z.shape == (7, 7)
    monkeypatch.setattr(dashboard, "MOST_MEGABYTES_IN_BLOCKS", 0.005)
    figure = build_dashboard(maps)
    assert figure.data[1].z.shape == (4, 4)
    assert len(figure.data) == 17


def test_negative_weights_keep_their_sign_in_blocks(monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_CELLS", 1)
    weights = np.array([[[[0.1, -0.9], [0.5, 0.2]]]], np.float32)
    maps = AttentionMaps([AttentionMap("a", weights, rows="signed")])
    assert build_dashboard(maps).data[0].z == np.float32(-0.9)


def test_a_page_of_many_long_texts_is_not_large(monkeypatch):
    # as many cells as 100 layers of 4,000 tokens have beside the limit
    monkeypatch.setattr(dashboard, "MOST_MEGABYTES", 0.02)
    long = np.broadcast_to(np.float32(1 / 64), (2, 64, 64))
    layers = {f"{number}": long for number in range(9)}
    figure = build_dashboard(AttentionMaps.from_arrays(layers))
    buttons = figure.layout.updatemenus[0].buttons
    assert sum(len(one.args[0]["z"][0]["bdata"]) for one in buttons) < 0.02e6
    assert "averages only" in figure.layout.title.text
    assert "positions" in figure.layout.title.text


def test_padding_is_left_out():
    visible = np.array([1, 1, 0, 0], bool)
    maps = AttentionMaps([AttentionMap("a", softmax(1, 1, 4, 4), mask=visible)])
    assert build_dashboard(maps).data[0].z.shape == (2, 2)


@pytest.mark.parametrize(("maps", "batch"), [(AttentionMaps([]), 0), (two_layers(), 1)])
def test_nothing_to_draw_is_refused(maps, batch):
    with pytest.raises(SelectionError):
        build_dashboard(maps, batch)


# --- the file ---------------------------------------------------------------------


def test_the_file_is_about_as_large_as_its_data(tmp_path):
    empty = AttentionMaps.from_arrays({"a": softmax(1, 2, 2)})
    code = write_dashboard(empty, tmp_path / "empty.html").stat().st_size
    layers = {f"layer_{i}": softmax(8, 64, 64) for i in range(6)}
    page = write_dashboard(AttentionMaps.from_arrays(layers), tmp_path / "a.html")
    weights = 6 * 8 * 64 * 64
    # base64 of float32 is 5.3 bytes; the average, the first layer and what bars name
    # come on top
    assert (page.stat().st_size - code) / weights < 7.55


def test_the_same_maps_give_the_same_page(tmp_path):
    pages = [write_dashboard(two_layers(), tmp_path / name) for name in "ab"]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_the_page_names_no_foreign_address_to_load(tmp_path):
    page = write_dashboard(two_layers(source="<x>"), tmp_path / "a.html")
    text = page.read_text(encoding="utf-8")
    # Plotly's own code holds addresses (map tiles, its makers); the policy forbids
    # to follow them.
    assert "Content-Security-Policy" in text
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=", text)
    assert "<title>Attention in &lt;x&gt;</title>" in text


# --- in a browser -----------------------------------------------------------------

LOOK = """async () => {
  const page = document.getElementById("attention");
  for (const [list, at] of [["Layer", 1], ["Head", 2]]) {
    const select = document.querySelector(`#choices [aria-label=${list}]`)
      .parentElement.querySelector("select");
    select.value = at;
    select.dispatchEvent(new Event("input"));
  }
  await new Promise(done => setTimeout(done, 500));
  Plotly.Fx.hover(page, [{xval: 2, yval: 4, curveNumber: 2}]);
  const trace = page._fullData[2];
  const ticks = [...page.querySelectorAll(".ytick text")].map(t => t.textContent)
    .sort();
  return {
    title: document.title,
    heading: document.getElementById("heading").textContent,
    lists: [...document.querySelectorAll("#choices select")]
      .map(list => list.selectedOptions[0].text),
    sliders: [...document.querySelectorAll("#choices input")]
      .map(slider => slider.getAttribute("aria-valuetext")),
    visible: page._fullData.map(t => t.visible),
    z: Array.from(trace.z, row => Array.from(row, v => isNaN(v) ? null : v)),
    ticks,
    hover: page.querySelector(".hoverlayer").textContent,
    loaded: performance.getEntriesByType("resource").map(r => r.name)
      .filter(name => !/^(data|blob):/.test(name)),
    ink: page._fullLayout.font.color,
  };
}"""
# What pointing at a cell, [query, key], tells
POINT = """([y, x]) => {
  const page = document.getElementById("attention");
  Plotly.Fx.hover(page, [{ xval: x, yval: y, curveNumber: 0 }]);
  return page.querySelector(".hoverlayer").textContent;
}"""
# What is drawn of the first map: the matrix, and the names at the bar and the axes.
PLACES = """() => {
  const box = (one) => one.getBoundingClientRect().toJSON();
  const all = (names) => [...document.querySelectorAll(names)].map(box);
  return {
    matrix: box(document.querySelector("#attention .heatmaplayer image")),
    names: all(".cbaxis text, .cbtitle text, .xtick text, .ytick text"),
    header: document.querySelector("header").getBoundingClientRect().bottom,
    height: document.documentElement.scrollHeight,
    width: document.documentElement.scrollWidth,
  };
}"""


@pytest.fixture(scope="module")
def visit(browser):
    contexts, problems = [], []

    def go(path, size=(1200, 900), scheme="light"):
        viewport = dict(zip(("width", "height"), size, strict=True))
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda m: problems.append(m.text) if m.type == "error" else None
        )
        page.goto(path.as_uri())
        page.wait_for_selector("#attention .heatmaplayer image")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []  # what the page's policy forbids is one, too


@pytest.fixture(scope="module")
def seen(visit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    page = write_dashboard(two_layers(trained=False), folder / "a.html")
    return visit(page).evaluate(LOOK)


def test_the_browser_shows_the_weights_of_the_chosen_head(seen):
    weights = two_layers()["second.self_attention"][0, 1]
    shown = np.array(seen["z"], dtype=float)
    allowed = np.tri(10, dtype=bool)
    assert seen["visible"] == [False, False, True, False]
    assert np.isnan(shown[~allowed]).all()
    assert np.array_equal(shown[allowed].astype(np.float32), weights[allowed])
    assert "untrained (random) weights" in seen["heading"]


def test_the_browser_shows_tokens_as_they_are_written(seen):
    assert seen["ticks"][:4] == ["0 the", "1 the", "2 $x$␣$y$", "3 <b>bold</b>"]
    assert seen["ticks"][6:] == ["6 &lt;", "7 %{z}", "8 \\ud800", "9 7"]
    assert len(seen["ticks"]) == len(HOSTILE)


def test_hovering_names_query_key_and_weight(seen):
    weight = two_layers()["second.self_attention"][0, 1, 4, 2]
    assert "query 4 </script>" in seen["hover"]
    assert "key 2 $x$␣$y$" in seen["hover"]
    assert f"weight {weight:.4f}" in seen["hover"]


def test_tokens_run_nothing_and_the_page_loads_nothing(seen):
    assert seen["title"] == "Attention"
    assert seen["loaded"] == []


def test_lists_and_sliders_say_what_is_shown(seen):
    assert seen["lists"] == seen["sliders"] == ["second.self_attention", "Head 1"]


def test_the_name_of_a_map_is_text(visit, tmp_path):
    shares = {name: softmax(2, 3, 3) for name in (HOSTILE[5], HOSTILE[4])}
    path = write_dashboard(AttentionMaps.from_arrays(shares), tmp_path / "a.html")
    page = visit(path)
    heading = page.locator("#heading")
    assert "<img␣src=x␣onerror=" in heading.inner_text()
    page.select_option("#list-0", "1")
    assert "</script><script>" in heading.inner_text()
    assert page.title() == "Attention"


@pytest.mark.parametrize(
    ("size", "scheme", "least", "left_out"),
    [((390, 844), "dark", 270, 12), ((1280, 900), "light", 520, 0)],
)
def test_the_matrix_has_the_room_that_there_is(
    size, scheme, least, left_out, visit, tmp_path
):
    tokens = "[CLS] the animal did not cross the street , it was too tired ;".split()
    tokens += "it waited until the long night was over . [SEP]".split()
    shares = {"encoder_0": softmax(12, len(tokens), len(tokens))}
    maps = AttentionMaps.from_arrays(shares, tokens)
    page = visit(write_dashboard(maps, tmp_path / "a.html"), size, scheme)
    seen = page.evaluate(PLACES)
    assert (seen["width"], seen["height"]) == size
    matrix = seen["matrix"]
    assert matrix["width"] > least
    assert min(one["top"] for one in seen["names"]) - seen["header"] < 16
    assert matrix["width"] == pytest.approx(matrix["height"], abs=1)
    for n, one in enumerate(seen["names"]):
        assert 0 <= one["left"] <= one["right"] <= size[0]
        for other in [matrix, *seen["names"][:n]]:
            wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
            high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            assert min(wide, high) <= 1
    told = page.locator("#left-out").inner_text()
    sides = f"{left_out} of 24 query labels and {left_out} of 24 key labels"
    assert told.startswith(f"No room for {sides}: " if left_out else "")
    assert bool(told) == bool(left_out)
    assert page.locator(".xtick text").count() == 24 - left_out
    assert "query 1 the" in page.evaluate(POINT, [1, 3])
    assert "key 3 did" in page.evaluate(POINT, [1, 3])
    page.evaluate(axe_source())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert page.locator("main h1").inner_text() == page.title() == "Attention"


def test_labels_that_have_room_again_are_not_called_left_out(visit, tmp_path):
    # of this text Plotly draws fewer labels at first
    tokens = "[CLS] when the sun rose over the hills , the farmers went out to".split()
    tokens += "their fields , and the children who had slept until then went".split()
    tokens += "to the river to play in the cold water until noon . [SEP]".split()
    maps = AttentionMaps.from_arrays(
        {"transformer_encoder_0": softmax(12, 39, 39)}, tokens
    )
    page = visit(write_dashboard(maps, tmp_path / "a.html"), (390, 844))
    told = page.locator("#left-out")
    page.wait_for_timeout(300)  # Plotly draws the labels twice
    left_out = 39 - page.locator(".ytick text").count()
    assert left_out > 12
    assert f"{left_out} of 39 query labels and " in told.inner_text()
    page.evaluate(
        "Plotly.relayout('attention', {'xaxis.range': [-0.5, 5.5],"
        " 'yaxis.range': [5.5, -0.5]})"
    )
    assert told.inner_text() == ""


def test_the_page_follows_a_dark_system(visit, tmp_path, seen):
    page = write_dashboard(two_layers(), tmp_path / "dark.html")
    assert seen["ink"] == "#1b1f24"
    assert visit(page, scheme="dark").evaluate(LOOK)["ink"] == "#e6e8eb"
