"""Every example runs on every backend, as its comments and README say."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from neural_attn import AttentionVisualizer
from neural_attn.compile import check_file
from neural_attn.pipeline import Request, capture
from tests import warm_python
from tests.test_generated_code import WRITERS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GUIDE = EXAMPLES / "attention_examples"
NETWORKS = sorted(EXAMPLES.rglob("*.neural"))
# as `neural import` wrote them, too large to draw here: see test_real_models.py
IMPORTED = {"reactions"}
# networks that write have other pictures: see test_generate.py
WRITTEN = [path for path in NETWORKS if path.parent.name not in IMPORTED.union(WRITERS)]


def layer_types(path):
    """The layers of a network's chain, by name, in order."""
    (checked,), _ = check_file(path)
    return [
        use.target.name
        for use in checked.root.uses.values()
        for _ in checked.root.children[use.name]
    ]


def run(script, *arguments):
    return warm_python.run(GUIDE / script, *arguments)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """The folder of the sample data, and what the script printed."""
    folder = tmp_path_factory.mktemp("samples")
    done = run("generate_sample_data.py", "--output-dir", folder / "first")
    assert done.returncode == 0, done.stderr
    return folder / "first", done.stdout


@pytest.mark.parametrize(
    ("name", "layers"),
    {
        "basic_transformer": [
            "Embedding", "TransformerEncoder", "GlobalAveragePooling1D", "Dense",
            "Output",
        ],
        "multi_layer_transformer": [
            "Embedding", "PositionalEncoding", *["TransformerEncoder"] * 3,
            "GlobalAveragePooling1D", "Dense", "Dropout", "Output",
        ],
        "text_classification": [
            "Embedding", "PositionalEncoding", "Dropout", *["TransformerEncoder"] * 2,
            "GlobalAveragePooling1D", "Dense", "Dropout", "Output",
        ],
    }.items(),
)  # fmt: skip
def test_the_networks_are_those_of_the_guide(name, layers):
    assert layer_types(GUIDE / f"{name}.neural") == layers


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_networks_have_no_problems_not_even_warnings(path):
    (checked,), warnings = check_file(path)
    assert warnings == []
    assert checked.attentions or path.stem == "without_attention"


@pytest.mark.thorough("tensorflow", "pytorch", "multi_layer", but="basic")
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_networks_run_and_are_drawn(path, backend, tmp_path):
    visualizer = AttentionVisualizer(backend=backend)
    results = visualizer.visualize_from_dsl(path, output_dir=tmp_path)
    maps = list(results["attention_weights"])
    assert maps == list(check_file(path)[0][0].attentions)
    written = {file.name for file in tmp_path.iterdir()}
    assert written == {
        "attention_heatmap.png",
        "attention_interactive.html",
        "attention_explorer.html",
        f"compiled_model_{backend}.py",
        *(f"attention_heads_{name}.png" for name in maps),
    }


@pytest.mark.thorough
def test_sample_data_is_reproducible_and_fits(samples, monkeypatch):
    first, printed = samples
    second = first.parent / "second"
    assert run("generate_sample_data.py", "--output-dir", second).returncode == 0
    arrays = sorted(first.glob("*.npy"))
    assert len(arrays) == 6
    for path in arrays:
        assert path.read_bytes() == (second / path.name).read_bytes()
    # the commands that the script suggests
    monkeypatch.chdir(first.parent)
    suggested = re.findall(r"neural visualize .*\n    .*", printed)
    assert len(suggested) == 3
    for command in suggested:
        command = command.replace("\\\n", " ")
        command = re.sub(r"\$\(cat (.*?)\)", lambda m: Path(m[1]).read_text(), command)
        arguments = shlex.split(command)[1:]
        done = warm_python.run("-m", "neural_attn", *arguments, "--backend", "numpy")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("network", "data"),
    [
        ("basic_transformer", "basic_ids"),
        ("basic_transformer", "basic_embedded"),
        ("multi_layer_transformer", "multi_layer_ids"),
        ("multi_layer_transformer", "multi_layer_embedded"),
        ("text_classification", "sentence_ids"),
        ("text_classification", "reviews_ids"),
    ],
)
def test_sample_data_runs(network, data, backend, samples):
    array = np.load(samples[0] / f"{data}.npy")
    request = Request(GUIDE / f"{network}.neural", backend=backend, data=array)
    maps = capture(request).captured.maps
    for name in maps:
        assert maps[name].shape[0] == len(array)
        assert maps[name].shape[2:] == array.shape[1:2] * 2


def test_the_demo_writes_what_it_says(backend, tmp_path):
    done = run(
        "visualize_attention_demo.py", "--backend", backend, "--output-dir", tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"wrote (.*)", done.stdout)
    written = [str(path) for path in tmp_path.rglob("*.*")]
    assert sorted(said) == sorted(written)
    assert len(said) == 9
    for part in ("One call", "Layers", "Heads", "Numbers of your own", "Many networks"):
        assert part in done.stdout


def test_the_readme_names_every_example():
    text = (EXAMPLES / "README.md").read_text("utf-8")
    for path in [*NETWORKS, *GUIDE.glob("*.py")]:
        assert f"`{path.relative_to(EXAMPLES)}`" in text
