"""What one addition touches: each kind is added from outside, and seen everywhere."""

import json
import re

import numpy as np
import pytest

from neural_attn import AttentionMaps
from neural_attn.metrics.registry import REGISTRY, STATISTICS
from tests.outside import neural_with, outside_package, run_with

METRIC = """
import numpy as np
from neural_attn.metrics.registry import Metric

QUARTER = Metric(
    "quarter_share",
    "Share of attention on the first quarter of the keys.",
    lambda m: np.concatenate([
        one[:, :, : max(1, m.geometry.keys // 4)].sum(axis=2).mean(axis=1)
        for one in m.weights
    ]),
    formula="mean over queries of the sum over the first keys // 4 keys of w",
    range="0 to 1",
    reading="High: heads look at the beginning.",
    source="an example",
)
"""


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metric")
    weights = np.random.default_rng(0).dirichlet(np.ones(8), (1, 2, 8))
    maps = AttentionMaps.from_arrays(
        {"a": weights.astype(np.float32)}, list("abcdefgh")
    )
    maps.save(folder / "maps.npz")
    expected = [float(x) for x in weights[0, :, :, :2].sum(-1).mean(-1)]
    entry = {"neural_attn.metrics": {"quarter": "outside_metric:QUARTER"}}
    return outside_package(folder, {"outside_metric.py": METRIC}, entry), expected


def test_a_metric_from_outside_is_in_every_report(metric):
    folder, expected = metric
    file, page = folder / "maps.npz", folder / "report.html"
    shown = [f"{value:.3f}" for value in expected]
    found = json.loads(neural_with(folder, "analyze", file, "--json", "--html", page))
    values = [head["statistics"]["quarter_share"]["mean"] for head in found["heads"]]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    texts = {
        "terminal": neural_with(folder, "analyze", file, "--heads"),
        "markdown": neural_with(folder, "analyze", file, "--markdown"),
        "html": page.read_text("utf-8"),
    }
    for name, text in texts.items():
        plain = text.replace("\\_", "_")
        assert "quarter_share" in plain or "quarter_" in plain, name
        for value in shown:
            assert value in text or value.lstrip("0") in text, name


def test_a_metric_from_outside_is_on_the_page_and_in_the_docs(metric):
    folder, expected = metric
    program = (
        "import json, sys, pathlib\n"
        "from neural_attn import AttentionMaps, explore\n"
        "from neural_attn.explorer.measures import HeadMeasurer\n"
        f"maps = AttentionMaps.load({str(folder / 'maps.npz')!r})\n"
        "html = explore(maps, metrics='quick').html\n"
        "header = html.partition('id=\"header\">')[2].partition('</script>')[0]\n"
        "found = HeadMeasurer().measure(maps.item('a'))\n"
        "print(json.dumps([json.loads(header)['measures'],"
        " [one['quarter_share'] for one in found]]))\n"
    )
    measures, values = json.loads(run_with(folder, "-c", program))
    (told,) = [one for one in measures if one["key"] == "quarter_share"]
    assert told["label"] == "Quarter share"
    assert told["help"].startswith("Share of attention on the first quarter")
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    program = (
        "import sys; sys.path.insert(0, 'docs/analysis')\n"
        "import make; print(make.metrics_page())"
    )
    page = run_with(folder, "-c", program)
    section = page.partition("## quarter_share")[2].partition("\n## ")[0]
    assert "mean over queries of the sum over the first keys // 4 keys of w" in section
    assert re.search(r"quarter_share of this head: 0\.\d{3}", section)


FAMILY = """
from neural_attn.pretrained.conversion.family import Family, Layer, Plan, Rule


def plan(config):
    width = config.size("width")
    return Plan(
        summary="one dense layer",
        inputs=[("x", f"({width},)")],
        layers=[Layer("Dense", {"units": config.size("units")})],
        rules=[Rule(r"linear\\.(weight|bias)", r"dense_0.\\1")],
        body=("linear.",),
    )


FAMILY = Family(("tiny-linear",), plan)
"""


def test_a_pretrained_family_from_outside_is_imported(tmp_path):
    from safetensors.numpy import save_file

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(
        json.dumps({"model_type": "tiny-linear", "width": 3, "units": 2})
    )
    tensors = {"linear.weight": np.ones((2, 3), "f"), "linear.bias": np.zeros(2, "f")}
    save_file(tensors, model / "model.safetensors")
    entry = {"neural_attn.families": {"tiny": "outside_family:FAMILY"}}
    outside_package(tmp_path, {"outside_family.py": FAMILY}, entry)
    neural_with(tmp_path, "import", model, "-o", tmp_path / "tiny.neural")
    text = (tmp_path / "tiny.neural").read_text("utf-8")
    assert "Dense(units=2)" in text
    assert "ok" in neural_with(tmp_path, "check", tmp_path / "tiny.neural").lower()


LAYER = """
from neural_attn.backends.emit.base import Row
from neural_attn.catalogue import NativeLayer, Parameter
from neural_attn.catalogue.base import Kind


def shape(arguments, inputs):
    (x,) = inputs
    return x.like(*x.dims)


SQUARE = NativeLayer(
    "Squared",
    "Each number times itself, and a factor.",
    (Parameter("factor", Kind("float"), "what the square is multiplied by", 1.0),),
    shape,
    keeps_time=True,
    rows={
        "numpy": Row("", "{factor} * {x} ** 2"),
        "pytorch": Row("", "{factor} * torch.square({x})"),
    },
    example=("(4,)", "Squared(factor=2.0)"),
)
"""


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layer")
    (folder / "n.neural").write_text(
        "network N { input: (3,) layers: Squared(factor=3.0) }", encoding="utf-8"
    )
    entry = {"neural_attn.layers": {"squared": "outside_layer:SQUARE"}}
    return outside_package(folder, {"outside_layer.py": LAYER}, entry)


def test_a_native_layer_from_outside_is_checked_compiled_and_run(layer):
    assert "error" not in neural_with(layer, "check", layer / "n.neural")
    text = neural_with(layer, "compile", layer / "n.neural", "-b", "numpy")
    assert "3.0 * inputs ** 2" in text or "3.0 * inputs**2" in text
    program = (
        "import numpy as np\n"
        "from neural_attn import load_model\n"
        f"model = load_model({str(layer / 'n.neural')!r}, 'numpy').model\n"
        "print(model(np.array([[1.0, 2.0, 3.0]])).tolist())"
    )
    assert json.loads(run_with(layer, "-c", program)) == [[3.0, 12.0, 27.0]]


def test_a_native_layer_from_outside_is_in_the_help_and_the_docs(layer):
    shown = neural_with(layer, "layers", "Squared")
    assert "what the square is multiplied by" in shown
    assert "Squared(factor=2.0)" in shown
    assert "Squared" in neural_with(layer, "layers")
    program = "import runpy; print(runpy.run_path('docs/make_language.py')['page']())"
    page = run_with(layer, "-c", program)
    assert "### Squared" in page


def test_a_backend_that_a_layer_does_not_know_says_so(layer):
    with pytest.raises(AssertionError, match="E0503"):
        neural_with(layer, "compile", layer / "n.neural", "-b", "tensorflow")


PAGE = """## E9001 A thing of another package

```message
the thing `{name}` is broken
hint: mend it
```

```message twice
the thing `{name}` is there {count:,} times
```

It says what went wrong there, and what to do.

```neural wrong
network N { input: (3,) layers: Dence(2) }
```
"""


def test_a_diagnostic_from_outside_has_its_page(tmp_path):
    modules = {"outside_codes/__init__.py": "", "outside_codes/codes.md": PAGE}
    entry = {"neural_attn.diagnostics": {"codes": "outside_codes"}}
    folder = outside_package(tmp_path, modules, entry)
    shown = neural_with(folder, "explain", "E9001")
    assert shown.startswith("E9001: A thing of another package\n")
    assert "Dence(2)" in shown
    assert "the thing" not in shown
    assert "E9001" in neural_with(folder, "explain")
    program = """if True:
        from neural_attn.diagnostics.errors import NeuralError, Problems, fail
        found = Problems()
        found.add("E9001.twice", name="a{b}", count=1234)
        print(found.diagnostics[0].render())
        try:
            fail("E9001", name="c")
        except NeuralError as error:
            print(error)
    """
    assert run_with(folder, "-c", program).splitlines() == [
        "error[E9001]: the thing `a{b}` is there 1,234 times",
        "error[E9001]: the thing `c` is broken",
        "  hint: mend it",
    ]


# Each entry point of `broken` raises when it is imported; one gives what is no metric,
# and one a metric of a name that is taken.
ADDED = (
    "backends",
    "commands",
    "diagnostics",
    "families",
    "layers",
    "metrics",
    "models",
)
GOOD = (
    METRIC
    + """
import dataclasses
TAKEN = dataclasses.replace(QUARTER, name="entropy")
NOTHING = 3
"""
)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failing")
    modules = {
        "broken.py": "raise RuntimeError('no such device')",
        "outside_metric.py": GOOD,
    }
    entries = {f"neural_attn.{group}": {"broken": "broken:X"} for group in ADDED}
    entries["neural_attn.diagnostics"] = {"broken": "broken"}
    entries["neural_attn.metrics"] |= {
        "good": "outside_metric:QUARTER",
        "taken": "outside_metric:TAKEN",
        "nothing": "outside_metric:NOTHING",
    }
    weights = np.full((1, 2, 8, 8), 1 / 8, np.float32)
    AttentionMaps.from_arrays({"a": weights}).save(folder / "maps.npz")
    (folder / "n.neural").write_text(
        "network N { input: (3,) layers: Output(2) }", encoding="utf-8"
    )
    return outside_package(folder, modules, entries)


def left_out(text):
    """Plugin and group -> the reason, of each warning."""
    line = r"plugin `(\w+)` of outside \(neural_attn\.(\w+)\) is left out: (.+)"
    found = re.findall(line, text)
    reasons = {(name, group): why for name, group, why in found}
    assert len(found) == len(reasons), text  # one warning each
    return reasons


BROKEN = "RuntimeError: no such device"


@pytest.mark.parametrize(
    ("arguments", "groups"),
    [
        (["--help"], {"commands"}),
        (["check", "n.neural"], {"layers"}),
        (["explain", "E0101"], {"diagnostics"}),
        (["layers"], {"layers"}),
        (["compile", "n.neural", "-b", "np"], {"layers", "backends"}),
    ],
)
def test_a_failing_plugin_is_told_of_and_stops_no_command(failing, arguments, groups):
    _, told = neural_with(failing, *arguments, cwd=failing, warnings="default")
    assert left_out(told) == {("broken", group): BROKEN for group in groups}


def test_failing_metrics_are_left_out_and_the_others_stay(failing):
    text, told = neural_with(
        failing, "analyze", "maps.npz", "--json", cwd=failing, warnings="default"
    )
    statistics = json.loads(text)["heads"][0]["statistics"]
    assert statistics["quarter_share"]["mean"] == pytest.approx(0.25)
    assert statistics["entropy"]["mean"] == pytest.approx(np.log(8))
    assert left_out(told) == {
        ("broken", "metrics"): BROKEN,
        ("nothing", "metrics"): "TypeError: 'int' object is not iterable",
        ("broken", "models"): BROKEN,
        ("broken", "layers"): BROKEN,
    }
    assert "`entropy` of the plugin `taken` (neural_attn.metrics) is left out" in told


def test_a_failing_family_is_left_out(failing):
    program = (
        "from neural_attn.pretrained.conversion.families import known_families\n"
        "print('bert' in known_families())"
    )
    text, told = run_with(failing, "-c", program, warnings="default")
    assert text == "True\n"
    assert left_out(told)["broken", "families"] == BROKEN


def test_no_two_metrics_of_ours_have_one_name():
    assert len(REGISTRY) == len(STATISTICS)
