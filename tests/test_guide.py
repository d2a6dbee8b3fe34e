"""The calls and commands of the attention guide run as they stand in it.

Only the import line differs: `from neural_attn import AttentionVisualizer`. The calls
are written the way a reader of the guide types them, down to file names and shapes.
"""

# ruff: noqa: T201 - the guide prints

import glob
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import neural_attn.cli
from neural_attn import AttentionVisualizer, load_model

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "attention_examples"
PICTURES = ["attention_heatmap.png", "attention_interactive.html"]

MODEL = """
network {name} {{
  input: (50, 256)
  layers:
    Embedding(input_dim=10000, output_dim=256)
    {encoders}
    GlobalAveragePooling1D()
    Output(units=10, activation="softmax")
}}
"""
ENCODER = "TransformerEncoder(num_heads=4, ff_dim=512, dropout=0.1)"

# the network that the guide shows, with every setting that it has
MY_TRANSFORMER = """
network MyTransformer {
  input: (100, 512)
  layers:
    Embedding(input_dim=10000, output_dim=512)
    TransformerEncoder(num_heads=8, ff_dim=2048, dropout=0.1)
    GlobalAveragePooling1D()
    Dense(units=128, activation="relu")
    Output(units=10, activation="softmax")

  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.0001)
}
"""

requires_tensorflow = pytest.mark.requires_tensorflow


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with the files that the guide names."""
    monkeypatch.chdir(tmp_path)
    files = {
        "model.neural": MODEL.format(name="Small", encoders=ENCODER),
        "multilayer_transformer.neural": MODEL.format(
            name="Deep", encoders="\n    ".join([ENCODER] * 3)
        ),
        "examples/transformer.neural": MY_TRANSFORMER,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def input_data():
    return np.random.default_rng(0).standard_normal((1, 50, 256)).astype(np.float32)


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*"))


# --- the Python API ------------------------------------------------------------------


@requires_tensorflow
def test_quick_start(folder, input_data, capsys):
    visualizer = AttentionVisualizer(model=None, backend="tensorflow")
    results = visualizer.visualize_from_dsl(
        dsl_file="model.neural",
        input_data=input_data,
        backend="tensorflow",
        output_dir="attention_outputs",
    )
    for layer_name, weights in results["attention_weights"].items():
        print(f"{layer_name}: {weights.shape}")
        analysis = visualizer.analyze_attention_patterns(weights)
        print(f"  Entropy: {analysis['avg_entropy']:.3f}")
        print(f"  Diagonal strength: {analysis['avg_diagonal_strength']:.3f}")

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "transformer_encoder_0: (1, 4, 50, 50)"
    entropy, strength = (float(line.split(":")[1]) for line in printed[1:])
    assert 0 < entropy <= round(np.log(50), 3)
    assert strength > 0
    assert names_in("attention_outputs") == [
        "attention_explorer.html",  # ours; the guide has the others
        "attention_heads_transformer_encoder_0.png",
        "attention_heatmap.png",
        "attention_interactive.html",
        "compiled_model_tensorflow.py",
    ]
    assert set(results) == {"attention_weights", "visualizations"}


@requires_tensorflow
def test_comparing_multiple_layers(folder, input_data):
    visualizer = AttentionVisualizer(model=None, backend="tensorflow")

    for layer_idx in range(3):
        results = visualizer.visualize_from_dsl(
            dsl_file="multilayer_transformer.neural",
            input_data=input_data,
            layer_name=f"transformer_encoder_{layer_idx}",
            output_dir=f"layer_{layer_idx}_outputs",
        )
        assert list(results["attention_weights"]) == [
            f"transformer_encoder_{layer_idx}"
        ]
        grid = f"attention_heads_transformer_encoder_{layer_idx}.png"
        written = names_in(f"layer_{layer_idx}_outputs")
        assert [name for name in written if "heads" in name] == [grid]


def test_custom_analysis_pipeline(input_data, backend, capsys):
    model = load_model("model.neural", backend).model
    visualizer = AttentionVisualizer(model, backend="tensorflow")
    attention_weights = visualizer.extract_attention_weights(input_data)

    for layer_name, weights in attention_weights.items():
        analysis = visualizer.analyze_attention_patterns(weights)
        sparsity = (weights < 0.01).sum() / weights.size
        print(f"{layer_name}:")
        print(f"  Sparsity: {sparsity:.2%}")
        print(f"  Entropy: {analysis['avg_entropy']:.3f}")

    name, sparsity, entropy = capsys.readouterr().out.splitlines()
    assert name == "transformer_encoder_0:"
    assert sparsity.endswith("%")
    assert 0 < float(entropy.split(":")[1]) <= round(np.log(50), 3)


@pytest.mark.thorough("numpy", "pytorch")
def test_batch_processing(folder, input_data, backend, capsys):
    (folder / "models").mkdir()
    for name in ("model", "multilayer_transformer"):
        (folder / f"{name}.neural").rename(folder / "models" / f"{name}.neural")
    (folder / "models" / "broken.neural").write_text("network B { input: (2,) }")
    visualizer = AttentionVisualizer(model=None, backend=backend)

    for model_file in sorted(glob.glob("models/*.neural")):
        try:
            visualizer.visualize_from_dsl(
                dsl_file=model_file,
                input_data=input_data,
                output_dir=f"outputs/{Path(model_file).stem}",
            )
            print(f"✓ {model_file}")
        except Exception as e:  # noqa: BLE001 - the guide's own words
            print(f"✗ {model_file}: {e}")

    printed = capsys.readouterr().out
    assert "✓ models/model.neural" in printed
    assert "✓ models/multilayer_transformer.neural" in printed
    assert "✗ models/broken.neural: models/broken.neural:1:" in printed
    assert (folder / "outputs" / "model" / "attention_heatmap.png").is_file()
    assert not (folder / "outputs" / "broken").exists()


def test_the_methods_on_a_model(folder, input_data, backend):
    model = load_model("multilayer_transformer.neural", backend)
    visualizer = AttentionVisualizer(model)
    tokens = [f"t{i}" for i in range(50)]
    chosen = visualizer.extract_attention_weights(
        input_data, layer_names=["transformer_encoder_1"]
    )
    assert {name: w.shape for name, w in chosen.items()} == {
        "transformer_encoder_1": (1, 4, 50, 50)
    }
    results = visualizer.visualize(
        input_data,
        layer_name="transformer_encoder_0",
        head_index=2,
        tokens=tokens,
        output_path="head.png",
    )
    assert set(results) == {"attention_weights", "visualizations"}
    assert (folder / "head.png").is_file()
    weights = chosen["transformer_encoder_1"]
    figure = visualizer.plot_attention_heads(
        weights[0], tokens=tokens, output_path="heads.png"
    )
    assert isinstance(figure, Figure)
    assert (folder / "heads.png").is_file()
    path = visualizer.create_interactive_visualization(
        chosen, tokens=tokens, output_path="page.html"
    )
    assert path == "page.html"
    assert "untrained" in (folder / "page.html").read_text("utf-8")


def test_analysis_keys_and_definitions():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3, 6))
    found = AttentionVisualizer().analyze_attention_patterns(weights)
    first = weights[0].astype(np.float64)
    assert found["num_heads"] == 3
    for key, value in {
        "attention_entropy": -(first * np.log(first)).sum(-1).mean(-1),
        "max_attention_per_head": first.max(-1).mean(-1),
        "diagonal_attention_strength": np.diagonal(first, axis1=1, axis2=2).mean(-1)
        / first.mean((1, 2)),
    }.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5)
    for head, weights_of_head in zip(
        found["attention_distribution"], first, strict=True
    ):
        assert head == pytest.approx(
            {
                "mean": weights_of_head.mean(),
                "std": weights_of_head.std(),
                "min": weights_of_head.min(),
                "max": weights_of_head.max(),
            },
            rel=1e-5,
        )
    for average, values in {
        "avg_entropy": "attention_entropy",
        "avg_max_attention": "max_attention_per_head",
        "avg_diagonal_strength": "diagonal_attention_strength",
    }.items():
        assert found[average] == pytest.approx(np.mean(found[values]))


@pytest.mark.parametrize(
    ("method", "parameters"),
    {
        "extract_attention_weights": {"input_data": ..., "layer_names": None},
        "visualize": {
            "input_data": ...,
            "layer_name": None,
            "head_index": None,
            "tokens": None,
            "output_path": None,
        },
        # the backend of the constructor, unless this says otherwise
        "visualize_from_dsl": {
            "dsl_file": ...,
            "input_data": None,
            "backend": None,
            "layer_name": None,
            "head_index": None,
            "tokens": None,
            "output_dir": "attention_outputs",
        },
        "plot_attention_heads": {
            "attention_weights": ...,
            "tokens": None,
            "output_path": None,
        },
        "create_interactive_visualization": {
            "attention_weights": ...,
            "tokens": None,
            "output_path": "attention_interactive.html",
        },
        "analyze_attention_patterns": {"attention_weights": ...},
        "plot_attention_summary": {
            "cross_attn": ...,
            "src_tokens": ...,
            "tgt_tokens": ...,
            "layer_idx": -1,
            "save_path": None,
        },
    }.items(),
)
def test_parameters_and_their_defaults(method, parameters):
    found = inspect.signature(getattr(AttentionVisualizer, method)).parameters
    given = {
        name: ... if parameter.default is parameter.empty else parameter.default
        for name, parameter in found.items()
        if name != "self"
    }
    # more may follow, in the guide's order nothing is moved
    assert list(given.items())[: len(parameters)] == list(parameters.items())


@requires_tensorflow
def test_the_default_backend_is_tensorflow_where_it_is_installed(folder):
    ids = np.ones((1, 6), np.int32)
    results = AttentionVisualizer(None).visualize_from_dsl("model.neural", ids)
    assert "compiled_model_tensorflow.py" in results["visualizations"]


@pytest.mark.thorough("numpy", "pytorch", "embedded")
@pytest.mark.parametrize("kind", ["embedded", "token ids"])
def test_input_data_formats(kind, backend):
    random = np.random.default_rng(0)
    if kind == "embedded":
        data = random.standard_normal((1, 100, 512)).astype(np.float32)
    else:
        data = random.integers(0, 10000, size=(1, 100), dtype=np.int32)
    visualizer = AttentionVisualizer(model=None, backend=backend)
    results = visualizer.visualize_from_dsl("examples/transformer.neural", data)
    shapes = [weights.shape for weights in results["attention_weights"].values()]
    assert shapes == [(1, 8, 100, 100)]


def test_plot_attention_summary(folder):
    cross_attn = np.random.default_rng(0).dirichlet(np.ones(4), (1, 8, 3))
    src_tokens, tgt_tokens = ["안녕", "하", "세요", "."], ["Hello", "!", "</s>"]
    visualizer = AttentionVisualizer()
    fig = visualizer.plot_attention_summary(
        cross_attn, src_tokens, tgt_tokens, layer_idx=-1, save_path="my_plot.png"
    )
    assert isinstance(fig, Figure)
    assert (folder / "my_plot.png").stat().st_size > 10_000


@pytest.mark.requires_torch
def test_plot_attention_summary_takes_tensors_in_training():
    import torch

    logits = torch.randn(1, 8, 3, 4, requires_grad=True)
    cross_attn = torch.softmax(logits, dim=-1)
    AttentionVisualizer().plot_attention_summary(
        cross_attn, ["a", "b", "c", "d"], ["x", "y", "z"]
    )


def test_storing_attention_in_a_loop_of_ones_own(input_data, backend):
    loaded = load_model("multilayer_transformer.neural", backend)
    model = loaded.model
    model.set_store_attention(True)
    model(loaded.backend.tensor(input_data))
    last = list(model.attention_layers().values())[-1]
    assert tuple(last.attention_weights.shape) == (1, 4, 50, 50)
    model.set_store_attention(False)
    assert last.attention_weights is None


# --- the command line ----------------------------------------------------------------


def neural(monkeypatch, *arguments):
    """Run the command line in this process; gives the exit code."""
    monkeypatch.setattr(sys, "argv", ["neural", *arguments])
    with pytest.raises(SystemExit) as stop:
        neural_attn.cli.main()
    return stop.value.code or 0


@pytest.mark.parametrize(
    "command",
    [
        ["examples/transformer.neural"],
        ["model.neural", "--data", "input.npy"],
        ["model.neural", "--tokens", "The,cat,sat,on,the,mat"],
        ["examples/transformer.neural", "--tokens", "The,cat,sat,on,the,mat"],
        ["model.neural", "--layer", "transformer_encoder_0", "--head", "2"],
        pytest.param(
            ["model.neural", "--backend", "pytorch"], marks=pytest.mark.requires_torch
        ),
        pytest.param(
            [
                "multilayer_transformer.neural", "--backend", "pytorch",
                "--data", "input_sequence.npy",
                "--tokens", "Hello,world,this,is,a,test",
                "--layer", "transformer_encoder_1", "--head", "0",
            ],
            marks=pytest.mark.requires_torch,
        ),
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands(command, folder, input_data, monkeypatch, capsys):
    np.save("input.npy", input_data)
    np.save("input_sequence.npy", input_data[:, :6])
    if "--backend" not in command:
        command = [*command, "--backend", "numpy"]
    assert neural(monkeypatch, "visualize", *command, "--attention") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Attention Analysis:")
    for line in ("Num heads:", "Avg entropy:", "Avg max attention:", "Diagonal"):
        assert line in printed
    written = names_in("attention_outputs")
    assert [name for name in written if name in PICTURES] == PICTURES
    assert f"compiled_model_{command[command.index('--backend') + 1]}.py" in written
    listed = [line[4:] for line in printed.splitlines() if line.startswith("  - ")]
    assert sorted(listed) == [f"attention_outputs/{name}" for name in written]


def test_generate_sample_data(folder):
    subprocess.run(
        [sys.executable, EXAMPLES / "generate_sample_data.py"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    assert np.load("sample_data/basic_embedded.npy").shape == (1, 24, 64)
