"""The explorer as a widget: its selection goes both ways, new inputs redraw it."""

import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import neural_attn
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.page import ExplorerPage
from neural_attn.maps.attention_maps import AttentionMaps
from tests.browser import CHROMIUM

ROOT = Path(__file__).resolve().parent.parent

# What Jupyter gives a widget's script: a model whose changes Python hears of.
NOTEBOOK = """<!doctype html><div id="one"></div><div id="two"></div>
<script type="module">
const { default: { render } } = await import(URL.createObjectURL(
  new Blob([SCRIPT], { type: "text/javascript" })));
const model = (state) => {
  const listeners = {};
  return {
    state, saved: 0,
    get: (name) => state[name],
    set(name, value) { state[name] = value; listeners[name]?.forEach((f) => f()); },
    on: (event, f) => (listeners[event.split(":")[1]] ??= []).push(f),
    off: () => {},
    save_changes() { this.saved += 1; },
  };
};
for (const id of ["one", "two"]) {
  window[id + "Model"] = model({ page: PAGE, selection: {}, height: 700 });
  render({ model: window[id + "Model"], el: document.getElementById(id) });
}
</script>"""


def maps_of(size=6):
    draw = np.random.default_rng(0).random((3, 1, 4, size, size))
    shares = draw / draw.sum(-1, keepdims=True)
    arrays = {f"layer_{n}": own for n, own in enumerate(shares)}
    return AttentionMaps.from_arrays(arrays, [f"t{n}" for n in range(size)])


def test_new_inputs_redraw_it():
    pytest.importorskip("anywidget")
    file = ROOT / "examples" / "attention_examples" / "basic_transformer.neural"
    ids = np.arange(20)[None]
    shown = neural_attn.widget(str(file), ids[:, :5], backend="numpy")
    first, page = next(iter(shown.maps.values())), shown.page
    shown.inputs = ids[:, :9]
    assert shown.page != page
    assert next(iter(shown.maps.values())).shape[-1] != first.shape[-1]
    page = shown.page
    with pytest.raises(NeuralError):  # not of this network's vocabulary
        shown.inputs = ids[:, :9] + 10**9
    assert shown.page == page
    np.testing.assert_array_equal(shown.inputs, ids[:, :9])


def test_without_anywidget_it_is_the_page(monkeypatch):
    from neural_attn import notebook

    notebook._kind.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.warns(UserWarning, match=r"neural-attn\[widget\]"):
        shown = neural_attn.widget(maps_of())
    assert isinstance(shown, ExplorerPage)
    notebook._kind.cache_clear()


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_selection_goes_both_ways_and_two_stand_apart(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    script = files("neural_attn.explorer").joinpath("widget.js").read_text("utf-8")
    page_text = neural_attn.explore(maps_of()).html

    def literal(text):
        return json.dumps(text).replace("<", "\\u003c")

    path = tmp_path / "notebook.html"
    text = NOTEBOOK.replace("SCRIPT", literal(script))
    path.write_text(text.replace("PAGE", literal(page_text)), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        # the page tells where it opened
        page.wait_for_function("window.oneModel?.saved && window.twoModel?.saved")
        # from Python to the page
        page.evaluate(
            "oneModel.set('selection', { layer: 2, head: 3, query: 4, example: 0 })"
        )
        one, two = (
            next(f for f in page.frames[1:] if f.frame_element().evaluate(WHERE) == w)
            for w in ("one", "two")
        )
        state = "document.documentElement.explorer.scene.store.state"
        one.wait_for_function(f"{state}.map === 2 && {state}.query === 4")
        assert one.evaluate(f"{state}.head") == 3
        assert two.evaluate(f"{state}.map !== 2 || {state}.query === -1")
        # from the page to Python
        two.select_option("#head", "1")
        page.wait_for_function("twoModel.state.selection.head === 1")
        assert page.evaluate("oneModel.state.selection.head") == 3
        # a part alone, and no query
        page.evaluate("oneModel.set('selection', { layer: 1 })")
        page.wait_for_function("oneModel.state.selection.query === null")
        assert page.evaluate("oneModel.state.selection.layer") == 1
        assert problems == []
        browser.close()


WHERE = "frame => frame.parentElement.id"
