"""The Python API beyond the guide: selection, pictures, tokens, models of one's own."""

from pathlib import Path

import numpy as np
import pytest

from neural_attn import AttentionMaps, AttentionVisualizer, load_model
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_source

TEXT = """
network Small {
  input: (6, 8)
  layers:
    Embedding(input_dim=20, output_dim=8, mask_zero=true)
    TransformerEncoder(num_heads=4, ff_dim=8) * 2
    MultiHeadAttention(num_heads=2, causal=true)
    Output(3)
}
"""
NAMES = ["transformer_encoder_0", "transformer_encoder_1", "multi_head_attention_0"]
TOKENS = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture(scope="module")
def checked():
    return check_text(TEXT)[0][0]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.neural").write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(1, 20, (2, 6))


def test_names_and_prefixes_choose_layers(checked, ids):
    visualizer = AttentionVisualizer(load_model(checked, "numpy"))
    assert list(visualizer.extract_attention_weights(ids)) == NAMES
    for chosen, found in [
        ([NAMES[1]], [NAMES[1]]),
        (["transformer_encoder"], NAMES[:2]),
        (["-1"], NAMES[2:]),
        ([0], NAMES[:1]),
        ([NAMES[2], NAMES[0]], [NAMES[2], NAMES[0]]),
        ([], []),
    ]:
        assert list(visualizer.extract_attention_weights(ids, chosen)) == found
    with pytest.raises(NeuralError, match="transformer_encoder_1"):
        visualizer.extract_attention_weights(ids, ["transformer_encoder_7"])


def test_a_bare_model_gives_the_weights_of_a_loaded_one(checked, ids, backend):
    loaded = load_model(checked, backend)
    whole = AttentionVisualizer(loaded).extract_attention_weights(ids)
    bare = AttentionVisualizer(loaded.model).extract_attention_weights(ids)
    assert list(bare) == list(whole)
    for name, weights in whole.items():
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(bare[name], weights)


def test_a_model_from_a_file_that_stands_alone(checked, ids, backend, folder):
    loaded = load_model(checked, backend)
    loaded.model.save_weights("w.safetensors")
    module = load_source(loaded.source, "standalone")
    model = module.create_model()
    model.load_weights("w.safetensors")
    found = AttentionVisualizer(model).extract_attention_weights(ids)
    whole = AttentionVisualizer(loaded).extract_attention_weights(ids)
    for name, weights in whole.items():
        np.testing.assert_array_equal(found[name], weights)


@pytest.mark.parametrize("model", [object(), 3, lambda x: x])
def test_other_models_are_refused_with_a_reason(model, ids):
    with pytest.raises(NeuralError, match="generated"):
        AttentionVisualizer(model).extract_attention_weights(ids)


def test_without_a_model_there_is_nothing_to_run(ids):
    with pytest.raises(NeuralError, match="visualize_from_dsl"):
        AttentionVisualizer().visualize(ids)


def test_one_picture_per_layer(checked, ids, folder):
    visualizer = AttentionVisualizer(load_model(checked, "numpy"))
    results = visualizer.visualize(ids, tokens=TOKENS, output_path="maps.png")
    assert list(results["visualizations"]) == NAMES
    written = sorted(path.name for path in folder.glob("*.png"))
    assert written == sorted(f"maps_{name}.png" for name in NAMES)


def test_one_head_is_the_weights_of_that_head(checked, ids):
    visualizer = AttentionVisualizer(load_model(checked, "numpy"))
    whole = visualizer.extract_attention_weights(ids)
    results = visualizer.visualize(ids, layer_name=0, head_index=2)
    ((name, weights),) = results["attention_weights"].items()
    assert name == NAMES[0]
    np.testing.assert_array_equal(weights, whole[name][:, 2:3])


@pytest.mark.parametrize("head", [4, -5])
def test_a_head_that_is_not_there(ids, head):
    with pytest.raises(NeuralError, match="head"):
        AttentionVisualizer(None, "numpy").visualize_from_dsl(
            "small.neural", ids, layer_name=0, head_index=head
        )
    assert not Path("attention_outputs").exists()


def test_results_carry_maps_and_notes(ids):
    results = AttentionVisualizer(None, "numpy").visualize_from_dsl("small.neural")
    assert isinstance(results.maps, AttentionMaps)
    assert results.maps.trained is False
    assert any("random sample" in note for note in results.notes)
    assert dict(results) == {
        "attention_weights": dict(results.maps),
        "visualizations": results["visualizations"],
    }
    for path in results["visualizations"].values():
        assert Path(path).is_file()


def test_a_checkpoint_counts_as_trained(checked, ids):
    ids = ids[:1]  # several examples would have a folder each
    load_model(checked, "numpy", seed=5).model.save_weights("w.safetensors")
    visualizer = AttentionVisualizer(None, "numpy")
    trained = visualizer.visualize_from_dsl(
        "small.neural", ids, checkpoint="w.safetensors"
    )
    assert trained.maps.trained is True
    page = Path("attention_outputs/attention_interactive.html").read_text("utf-8")
    assert "untrained" not in page
    for name, weights in visualizer.visualize_from_dsl(
        "small.neural", ids, seed=5
    ).maps.items():
        np.testing.assert_array_equal(weights, trained.maps[name])
    page = Path("attention_outputs/attention_interactive.html").read_text("utf-8")
    assert "untrained" in page


def test_untrained_weights_are_said_where_they_are_known(checked, ids):
    loaded = load_model(checked, "numpy")
    visualizer = AttentionVisualizer(loaded)
    arrays = visualizer.extract_attention_weights(ids)
    visualizer.create_interactive_visualization(arrays, TOKENS, "known.html")
    assert "untrained" in Path("known.html").read_text("utf-8")
    AttentionVisualizer().create_interactive_visualization(arrays, TOKENS, "not.html")
    assert "untrained" not in Path("not.html").read_text("utf-8")
    maps = AttentionVisualizer(None, "numpy").visualize_from_dsl("small.neural").maps
    AttentionVisualizer().create_interactive_visualization(maps, output_path="m.html")
    assert "untrained" in Path("m.html").read_text("utf-8")


def test_running_leaves_the_model_as_it_was(checked, ids, backend):
    loaded = load_model(checked, backend)
    AttentionVisualizer(loaded).extract_attention_weights(ids)
    for layer in loaded.model.attention_layers().values():
        assert not layer.store_attention
        assert layer.attention_weights is None


TRANSLATOR = """
network Translator {
  input: {
    source: (none,)
    target: (none,)
  }
  layers:
    source: {
      Embedding(20, 8)
      TransformerEncoder(2, 8)
    }
    target: {
      Embedding(20, 8)
      TransformerDecoder(2, 8)
    }
}
"""


@pytest.mark.thorough("tensorflow", "pytorch", "numpy-7")
@pytest.mark.parametrize("targets", [5, 7])
def test_tokens_of_the_source_label_the_encoder_side_alone(targets, backend):
    Path("translator.neural").write_text(TRANSLATOR, encoding="utf-8")
    data = {"source": np.ones((1, 5), int), "target": np.ones((1, targets), int)}
    results = AttentionVisualizer(None, backend).visualize_from_dsl(
        "translator.neural", data, tokens=TOKENS[:5]
    )
    numbers = [str(position) for position in range(targets)]
    labels = {
        name: (list(item.query_tokens), list(item.key_tokens))
        for name in results.maps
        for item in [results.maps.item(name)]
    }
    assert labels == {
        "transformer_encoder_0": (TOKENS[:5], TOKENS[:5]),
        "transformer_decoder_0.self_attention": (numbers, numbers),
        "transformer_decoder_0.cross_attention": (numbers, TOKENS[:5]),
    }


@pytest.mark.thorough("tensorflow", "pytorch", "numpy-5")
@pytest.mark.parametrize("targets", [5, 7])
def test_tokens_of_both_sides_label_the_steps_of_their_input(targets, backend):
    Path("translator.neural").write_text(TRANSLATOR, encoding="utf-8")
    target = [f"t{i}" for i in range(targets)]
    results = AttentionVisualizer(None, backend).visualize_from_dsl(
        "translator.neural", tokens={"target": target, "source": TOKENS[:5]}
    )
    labels = {
        name: (list(item.query_tokens), list(item.key_tokens))
        for name in results.maps
        for item in [results.maps.item(name)]
    }
    assert labels == {
        "transformer_encoder_0": (TOKENS[:5], TOKENS[:5]),
        "transformer_decoder_0.self_attention": (target, target),
        "transformer_decoder_0.cross_attention": (target, TOKENS[:5]),
    }


STEPS = {  # layers: which inputs the queries and the keys of the maps stand for
    "TransformerEncoder(2, 8) * 3": [("a", "a")] * 3,
    "ResidualConnection { LSTM(8, return_sequences=true) } MultiHeadAttention(2)": [
        ("a", "a")
    ],
    "LSTM(8, return_sequences=true, go_backwards=true) MultiHeadAttention(2)": [
        ("", "")
    ],
    "Permute((2, 1)) MultiHeadAttention(2)": [("", "")],
    "MultiHeadAttention(2, memory=b) MultiHeadAttention(2)": [("a", "b"), ("a", "a")],
    "Swapped() MultiHeadAttention(2)": [("b", "a"), ("b", "b")],
}
SWAPPED = """define Swapped(heads = 2) {
  layers: attention = MultiHeadAttention(heads)
  forward(x, b): return attention(query=b, key=x)
}
"""


@pytest.mark.parametrize(("layers", "steps"), STEPS.items())
def test_maps_know_whose_steps_their_queries_and_keys_are(layers, steps):
    text = f"network N {{ input: {{ a: (8, 8) b: (8, 8) }} layers: {layers} }}"
    (checked,), _ = check_text(SWAPPED + text)
    found = checked.attentions.values()
    assert [(attention.queries, attention.keys) for attention in found] == steps


def test_tokens_are_left_off_where_a_layer_changes_the_length():
    text = TEXT.replace("    MultiHead", "    Reshape((3, 16))\n    MultiHead")
    Path("halved.neural").write_text(text, encoding="utf-8")
    results = AttentionVisualizer(None, "numpy").visualize_from_dsl(
        "halved.neural", np.ones((1, 6), int), tokens=TOKENS
    )
    found = results.maps.item("multi_head_attention_0")
    assert list(found.key_tokens) == ["0", "1", "2"]
