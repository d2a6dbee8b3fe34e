"""The explorer as a widget: its selection goes both ways, new inputs redraw it."""

import json
import os
import re
import subprocess
import sys
import time
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest

import neural_attn
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.page import ExplorerPage
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.notebook import VIEWS
from tests.conftest import installed

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "examples" / "attention_examples" / "basic_transformer.neural"


def test_new_inputs_redraw_it():
    pytest.importorskip("anywidget")
    ids = np.arange(20)[None]
    shown = neural_attn.widget(str(FILE), ids[:, :5], backend="numpy")
    first, page = next(iter(shown.maps.values())), shown.page
    shown.inputs = ids[:, :9]
    assert shown.page != page
    assert next(iter(shown.maps.values())).shape[-1] != first.shape[-1]
    page = shown.page
    with pytest.raises(NeuralError):  # not of this network's vocabulary
        shown.inputs = ids[:, :9] + 10**9
    assert shown.page == page
    np.testing.assert_array_equal(shown.inputs, ids[:, :9])


def test_a_selection_of_what_is_not_there_is_refused():
    pytest.importorskip("anywidget")
    half = np.full((1, 4, 2, 2), 0.5)
    maps = AttentionMaps.from_arrays({"a": half, "b": half}, ["x", "y"])
    shown = neural_attn.widget(maps)
    shown.selection = kept = {"layer": 1, "head": 3, "query": None, "view": "token"}
    for wrong, said in (
        ({"layer": 99}, "layer is 99; it may be 0, 1"),
        ({"head": -1}, "head is -1; it may be 0 to 3"),
        ({"layer": 0, "query": 2}, "query is 2; it may be 0, 1"),
        ({"example": 1, "key": 0}, "example is 1; it may be 0"),
        ({"kind": "cross"}, "kind is 'cross'; it may be encoder_self"),
        ({"model": True}, "model is True; it may be 0"),
        (
            {"view": "nosense"},
            "view is 'nosense'; it may be model, matrix, head, token, m",
        ),
        ({"view": "compare"}, "view is 'compare'; it may be model"),
        ({"nolayer": 2}, "no part of a selection 'nolayer': .*; did you mean 'layer'"),
    ):
        with pytest.raises(ValueError, match=said):
            shown.selection = wrong
        assert shown.selection == kept


def test_views_are_named_as_the_page_names_them():
    state = (ROOT / "neural_attn" / "explorer" / "state.js").read_text("utf-8")
    views = re.search(r"VIEWS = (\[.*?\]);", state)[1]
    assert json.loads(views) == list(VIEWS)


def test_without_anywidget_it_is_the_page(monkeypatch):
    from neural_attn import notebook

    notebook._kind.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    maps = AttentionMaps.from_arrays({"a": np.full((1, 2, 2), 0.5)}, ["a", "b"])
    with pytest.warns(UserWarning, match=r"neural-attn\[widget\]"):
        shown = neural_attn.widget(maps)
    assert isinstance(shown, ExplorerPage)
    notebook._kind.cache_clear()


# --- in JupyterLab ----------------------------------------------------------------

CELLS = [
    f"""import numpy as np
from neural_attn import widget
ids = np.arange(9)[None]
one = widget({str(FILE)!r}, ids[:, :5], backend="numpy")
one""",
    """from neural_attn import AttentionMaps
shares = np.random.default_rng(0).dirichlet(np.ones(6), (3, 4, 6))
layers = {f"layer_{n}": heads for n, heads in enumerate(shares)}
two = widget(AttentionMaps.from_arrays(layers, list("abcdef")))
two.selection = {"layer": 2, "head": 3}
two""",
]
# where Jupyter keeps what is the user's
FOLDERS = [
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
]
# a dark notebook, where the system's theme is light; and no question about news
SETTINGS = {
    "themes": {"theme": "JupyterLab Dark"},
    "notification": {"fetchNews": "false"},
}
STATE = "document.documentElement.explorer.scene.store.state"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own: the folder of its notebooks, and its address."""
    for package in ("jupyterlab", "anywidget"):
        if not installed(package):
            pytest.skip(f"{package} is not installed")
    home = tmp_path_factory.mktemp("jupyter")
    folders = {name: str(home / name) for name in FOLDERS}
    chosen = Path(folders["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab/apputils-extension")
    chosen.mkdir(parents=True)
    for name, value in SETTINGS.items():
        chosen.joinpath(f"{name}.jupyterlab-settings").write_text(json.dumps(value))
    notebooks = tmp_path_factory.mktemp("notebooks")
    options = {
        "ServerApp.port": "0",  # a free one
        "ServerApp.root_dir": str(notebooks),
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             *(f"--{name}={value}" for name, value in options.items())],
            env=os.environ | folders | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            runtime = Path(folders["JUPYTER_RUNTIME_DIR"])
            (about,) = wait_for(lambda: [*runtime.glob("jpserver-*.json")])
            said = json.loads(about.read_text("utf-8"))
            yield (
                notebooks,
                runtime,
                f"{said['url']}doc/tree/{{}}?token={said['token']}",
            )
        finally:
            server.terminate()
            server.wait(20)
    sys.stdout.write((home / "log").read_text("utf-8"))  # shown where a test fails


def wait_for(condition, seconds=30):
    """What a condition gives once it holds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


class Kernel:
    """The kernel behind a notebook, asked past the page."""

    def __init__(self, connection):
        from jupyter_client import BlockingKernelClient

        self.client = BlockingKernelClient(connection_file=str(connection))
        self.client.load_connection_file()
        self.client.start_channels()

    def run(self, code, **asked):
        """Run code; the reply to it."""
        reply = self.client.execute(
            code, reply=True, timeout=30, user_expressions=asked
        )
        assert reply["content"]["status"] == "ok", reply
        return reply["content"]["user_expressions"]

    def __call__(self, expression):
        """The value of an expression, which is plain data."""
        said = self.run("", it=expression)["it"]["data"]["text/plain"]
        return literal_eval(said)


def frame_of(page, place):
    """The frame of one of the widgets, once it is drawn."""
    shown = page.locator("iframe[title='Attention explorer']").nth(place)
    frame = shown.element_handle().content_frame()
    frame.wait_for_selector("html[data-thumbnails=done]", state="attached")
    return frame


@pytest.fixture(scope="module")
def notebook(lab, browser):
    """A notebook of two widgets, run: the frame of each, and the kernel."""
    nbformat = pytest.importorskip("nbformat").v4
    folder, runtime, address = lab
    written = nbformat.new_notebook(cells=[*map(nbformat.new_code_cell, CELLS)])
    written.metadata.kernelspec = {"name": "python3", "display_name": "Python"}
    folder.joinpath("two.ipynb").write_text(json.dumps(written))
    page = browser.new_page(viewport={"width": 1280, "height": 2000})
    page.set_default_timeout(15_000)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address.format("two.ipynb"))
    page.get_by_text(re.compile(r"Python 3 .*\| Idle")).wait_for()
    for item in ("Run", "Run All Cells"):
        page.get_by_role("menuitem", name=item, exact=True).click()
    frames = [frame_of(page, place) for place in range(2)]
    (connection,) = runtime.glob("kernel-*.json")
    kernel = Kernel(connection)
    yield page, frames, kernel
    kernel.client.stop_channels()
    page.close()
    assert problems == []


def selected(frame):
    """What a page has selected: layer, head, query."""
    return tuple(frame.evaluate(f"[{STATE}.map, {STATE}.head, {STATE}.query]"))


def test_it_opens_on_the_selection_and_in_the_theme_of_the_notebook(notebook):
    _, (_, two), kernel = notebook
    wait_for(lambda: selected(two) == (2, 3, -1))
    assert kernel("two.selection")["head"] == 3
    ground = "getComputedStyle(document.body).backgroundColor"
    assert two.evaluate(ground) == "rgb(20, 23, 26)"
    assert two.inner_text("#theme") == "Theme: dark"


def test_a_choice_on_a_page_is_the_selection_in_the_kernel(notebook):
    _, (one, two), kernel = notebook
    two.select_option("#layer", "1")
    two.select_option("#head", "2")
    two.get_by_role("button", name="e", exact=True).click()
    asked = "two.selection"
    wait_for(lambda: kernel(asked)["query"] == 4)
    expected = {"layer": 1, "head": 2, "query": 4, "key": None, "example": 0}
    assert kernel(asked) == expected | {"view": "matrix"}
    assert kernel("one.selection")["query"] is None  # each has its own
    assert selected(one) == (0, 0, -1)


def test_a_selection_in_the_kernel_moves_its_page_alone(notebook):
    _, (one, two), kernel = notebook
    before = selected(two)
    kernel.run("one.selection = {'head': 3, 'query': 1}")
    wait_for(lambda: selected(one) == (0, 3, 1))
    wait_for(lambda: kernel("one.selection").get("layer") == 0)  # it tells the rest
    assert selected(two) == before


def test_quick_choices_end_with_the_last(notebook):
    _, (_, two), kernel = notebook
    two.evaluate("""async () => {
      const { store } = document.documentElement.explorer.scene;
      for (let n = 0; n < 40; n++) {
        store.set({ query: n % 5, head: n % 3 });
        await new Promise((done) => setTimeout(done, 2));
      }
    }""")
    wait_for(lambda: kernel("two.selection")["query"] == 4)
    time.sleep(0.5)  # for what is still under way
    assert selected(two)[1:] == (0, 4)
    assert kernel("two.selection")["query"] == 4


def test_new_inputs_redraw_the_page_and_keep_the_selection(notebook):
    page, _, kernel = notebook
    kernel.run("one.selection = {'head': 2, 'query': 3}; one.inputs = ids")
    frame = frame_of(page, 0)
    rows = "document.documentElement.explorer?.scene.about().example.rows"
    wait_for(lambda: frame.evaluate(rows) == 9)
    wait_for(lambda: selected(frame) == (0, 2, 3))
    assert kernel("next(iter(one.maps.values())).shape[-2:]") == (9, 9)
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")  # another theme
    wait_for(lambda: frame_of(page, 0).inner_text("#theme") == "Theme: light")
    wait_for(lambda: selected(frame_of(page, 0)) == (0, 2, 3))
