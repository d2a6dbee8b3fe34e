"""One weights file, every backend: the same output and the same attention.

The NumPy backend in float64 is the referee. Weights are random in every tensor, also
biases and scales, so that a backend that leaves one out is found.
"""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neural_attn.compile import check_text, choose
from neural_attn.models.capture import capture, run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected
from tests.test_generated_code import WRITERS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TOLERANCE = {"float32": 1e-5, "float64": 1e-8}

DECODER = """
network Decoder {
  input: (none,)
  layers:
    Embedding(input_dim=50, output_dim=16, mask_zero=true)
    PositionalEncoding(encoding_type="learned", max_len=20)
    TransformerDecoder(num_heads=2, ff_dim=24, activation="gelu", norm_first=true) * 2
    LayerNormalization()
    Output(units=50)
}
"""
LLAMA = """
network Llama {
  input: (none,)
  layers:
    Embedding(input_dim=50, output_dim=16, mask_zero=true)
    LlamaDecoder(num_heads=4, num_kv_heads=2, ff_dim=24) * 2
    LlamaDecoder(
      4, 1, 24, head_dim=6, activation="gelu", window=3, cap=5, qk_norm=true,
      use_bias=true, sandwich_norm=true, rotary_dim=4, factor=4, original_length=8
    )
    RMSNorm()
    Output(units=50)
}
"""
OWN = "reactions"  # of 12 layers: with its trained weights in test_real_models.py
TEXTS = {
    **{
        path.stem: path.read_text("utf-8")
        for path in EXAMPLES.rglob("*.neural")
        if path.parent.name not in (OWN, *WRITERS)  # see test_generation.py
    },
    "decoder": DECODER,
    "llama": LLAMA,
}
PADDED = ("text_classification", "alibi_attention", "decoder", "llama")


@cache
def checked_network(name):
    return choose(check_text(TEXTS[name], f"{name}.neural")[0], None)


def sample_ids(name):
    """Two texts, or three of which one is shorter and one is nothing but padding."""
    rows = np.random.default_rng(1).integers(1, 50, (3, 11))
    if name not in PADDED:
        return rows[:2]
    rows[1, 7:] = 0
    rows[2] = 0
    return rows


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory):
    """A file of random weights for each network."""
    files = {}
    for name in TEXTS:
        random = np.random.default_rng(2)
        tensors = {
            tensor: random.normal(0.0, 0.3, shape)
            + (1.0 if "norm" in tensor and tensor.endswith("weight") else 0.0)
            for tensor, shape in expected(checked_network(name)).items()
        }
        files[name] = tmp_path_factory.mktemp(name) / "weights.safetensors"
        save_file(tensors, files[name])
    return files


@pytest.fixture(scope="module")
def load(weight_files):
    """load(name, backend, dtype): the network with its weights, built once."""

    @cache
    def load_once(name, backend, dtype="float32"):
        checked, path = checked_network(name), weight_files[name]
        return load_model(checked, backend, path, dtype=dtype)

    return load_once


@pytest.fixture(scope="module")
def captured(load):
    """captured(name, backend, dtype): one run of a network, made once."""

    @cache
    def run_once(name, backend, dtype):
        return capture(load(name, backend, dtype), sample_ids(name))

    return run_once


@pytest.mark.thorough("tensorflow", but=("float64", "llama"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TEXTS)
def test_output_and_maps_agree_with_numpy_float64(captured, name, backend, dtype):
    reference = captured(name, "numpy", "float64")
    found = captured(name, backend, dtype)
    assert found.output.dtype == dtype
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(found.output, reference.output, rtol=0, atol=tolerance)
    assert list(found.maps) == list(reference.maps)
    assert len(found.maps) == len(checked_network(name).attentions) > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TEXTS)
def test_exact_maps_agree_with_numpy_float64(load, name, backend, dtype):
    # AttentionMaps hold float32, so the float64 weights are taken from the layers
    exact = {}
    for target, precision in (("numpy", "float64"), (backend, dtype)):
        loaded = load(name, target, precision)
        _, exact[target, precision] = run(
            loaded.model, loaded.backend, sample_ids(name)
        )
    reference, found = exact["numpy", "float64"], exact[backend, dtype]
    for map_name, (weights, _) in found.items():
        assert weights.dtype == dtype
        np.testing.assert_allclose(
            weights, reference[map_name][0], rtol=0, atol=TOLERANCE[dtype]
        )


@pytest.mark.parametrize("name", TEXTS)
def test_rows_sum_to_one_over_visible_keys_and_hidden_keys_get_zero(
    captured, name, backend
):
    for item in captured(name, backend, "float32").maps.maps:
        seen = item.allowed.any(axis=-1)
        np.testing.assert_allclose(item.weights.sum(axis=-1), seen, rtol=0, atol=1e-6)
        assert (item.weights[~item.allowed] == 0).all()
        assert (item.weights >= 0).all()


@pytest.mark.parametrize("name", PADDED)
def test_padding_gets_exactly_zero_and_an_empty_text_gives_no_nan(
    captured, name, backend
):
    found = captured(name, backend, "float32")
    padding = sample_ids(name) == 0
    for weights in found.maps.values():
        by_key = np.moveaxis(weights, -1, 1)  # [batch, keys, heads, queries]
        assert (by_key[padding] == 0).all()
        assert (by_key[~padding] > 0).any()
        assert (weights[2] == 0).all(), "nothing to attend to"
    assert np.isfinite(found.output).all()


@pytest.mark.parametrize("name", PADDED[:2])
def test_padding_changes_no_result(captured, load, name, backend):
    loaded = load(name, backend)
    alone = capture(loaded, sample_ids(name)[1:2, :7])
    batch = captured(name, backend, "float32")
    np.testing.assert_allclose(batch.output[1], alone.output[0], rtol=0, atol=1e-5)
    for map_name, weights in alone.maps.items():
        np.testing.assert_allclose(
            batch.maps[map_name][1, :, :7, :7], weights[0], rtol=0, atol=1e-5
        )


def test_a_causal_decoder_sees_nothing_ahead(captured, backend):
    maps = captured("decoder", backend, "float32").maps
    ahead = np.triu(np.ones((11, 11), bool), k=1)
    for item in maps.maps:
        assert item.causal
        assert item.kind == "decoder_self"
        assert (item.weights[:, :, ahead] == 0).all()
        assert (item.weights[0][:, ~ahead] > 0).all()


@pytest.mark.parametrize("name", TEXTS)
def test_asking_for_attention_changes_nothing_else(load, name, backend):
    loaded = load(name, backend)
    model, target = loaded.model, loaded.backend
    inputs = target.tensor(sample_ids(name))
    with target.inference():
        plain = target.array(model(inputs))
        output, attention = model(inputs, return_attention=True)
    layers = model.attention_layers()
    assert all(layer.attention_weights is None for layer in layers.values())
    stored_output, stored = run(model, target, sample_ids(name))
    assert list(attention) == list(stored) == list(loaded.checked.attentions)
    for map_name, weights in attention.items():
        np.testing.assert_array_equal(target.array(weights), stored[map_name][0])
    np.testing.assert_allclose(plain, target.array(output), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(target.array(output), stored_output)


def test_stored_weights_stay_on_the_layers_until_dropped(load, backend):
    name = "multi_layer_transformer"
    loaded = load(name, backend)
    model, target = loaded.model, loaded.backend
    layers = model.attention_layers()
    model.set_store_attention(True)
    with target.inference():
        model(target.tensor(sample_ids(name)))
    shapes = {tuple(layer.attention_weights.shape) for layer in layers.values()}
    assert shapes == {(2, 8, 11, 11)}
    model.set_store_attention(False)
    assert all(layer.attention_weights is None for layer in layers.values())


@pytest.mark.parametrize("name", ["text_classification", "alibi_attention"])
def test_weights_saved_by_one_backend_load_in_the_others(
    tmp_path, captured, load, weight_files, available_backends, name, backend
):
    path = tmp_path / "saved.safetensors"
    writer = load(name, backend)
    writer.model.save_weights(str(path))
    assert list(tmp_path.iterdir()) == [path]
    saved, given = load_file(path), load_file(weight_files[name])
    assert saved.keys() == given.keys()
    for tensor, values in given.items():
        np.testing.assert_array_equal(saved[tensor], values.astype(np.float32))
    for reader in available_backends:
        loaded = load_model(checked_network(name), reader, path)
        output, _ = run(loaded.model, loaded.backend, sample_ids(name))
        np.testing.assert_allclose(
            output, captured(name, "numpy", "float64").output, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("name", ["basic_transformer", "multi_layer_transformer"])
def test_vectors_from_the_embedding_table_give_what_their_ids_give(
    captured, load, weight_files, name, backend
):
    ids = sample_ids(name)
    table = load_file(weight_files[name])["embedding_0.weight"]
    loaded = load(name, backend)
    vectors = capture(loaded, table[ids].astype(np.float32))
    by_ids = captured(name, backend, "float32")
    np.testing.assert_allclose(vectors.output, by_ids.output, rtol=0, atol=1e-6)
    for map_name, weights in by_ids.maps.items():
        np.testing.assert_allclose(vectors.maps[map_name], weights, rtol=0, atol=1e-6)


# --- ALiBi, computed a second time from its paper ------------------------------------


def alibi_map(tensors, prefix, x, mask, heads):
    """Press et al. (2022), section 3: softmax(q k^T / sqrt(d) - m |i - j|)."""
    part = SimpleNamespace(
        **{
            kind: {
                end: tensors[f"{prefix}.{path}.{end}"].astype(np.float64)
                for end in ("weight", "bias")
            }
            for kind, path in (
                ("norm", "attention_norm"),
                ("query", "attention.query_projection"),
                ("key", "attention.key_projection"),
            )
        }
    )
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    x = x * part.norm["weight"] + part.norm["bias"]
    query = x @ part.query["weight"].T + part.query["bias"]
    key = x @ part.key["weight"].T + part.key["bias"]
    size = x.shape[-1] // heads
    weights = np.zeros((len(x), heads, x.shape[1], x.shape[1]))
    for b, h, i in np.ndindex(weights.shape[:3]):
        if not mask[b].any():
            continue
        columns = slice(h * size, (h + 1) * size)
        logits = key[b, :, columns] @ query[b, i, columns] / np.sqrt(size)
        distance = np.abs(np.arange(x.shape[1]) - i)
        logits = logits - 2.0 ** (-8 * (h + 1) / heads) * distance
        powers = np.where(mask[b], np.exp(logits - logits.max()), 0.0)
        weights[b, h, i] = powers / powers.sum()
    return weights


def test_alibi_is_what_its_paper_says(captured, weight_files, backend):
    ids = sample_ids("alibi_attention")
    tensors = load_file(weight_files["alibi_attention"])
    x = tensors["embedding_0.weight"].astype(np.float64)[ids]
    expected_map = alibi_map(
        tensors, "linear_biased_encoder_layers.0", x, ids != 0, heads=8
    )
    found = captured("alibi_attention", backend, "float32").maps
    assert list(found) == ["linear_biased_encoder_0", "linear_biased_encoder_1"]
    np.testing.assert_allclose(
        found["linear_biased_encoder_0"], expected_map, rtol=0, atol=1e-5
    )
    assert expected_map.max() > 0.5, "sharp enough to tell a wrong slope"
