"""Whole networks on every runtime: one weights file, one result, one contract.

The networks below are written by hand in the style of the generated ones.
"""

import contextlib
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.every_backend import EVERY, parameters, runtime

requires_torch = pytest.mark.requires_torch
requires_tensorflow = pytest.mark.requires_tensorflow

VOCABULARY, WIDTH, HEADS, HIDDEN, CLASSES = 11, 12, 3, 20, 4
IDS = np.array([[3, 1, 4, 1, 5, 9], [2, 7, 10, 8, 0, 0], [6, 0, 0, 0, 0, 0]])
INPUTS = {"ids": IDS, "attention_mask": (IDS != 0).astype("int64")}
MAPS = ["encoder_0", "encoder_1"]


@contextlib.contextmanager
def keras_dtype(dtype):
    """Make the Keras layers built inside the `with` block compute in `dtype`."""
    keras = importlib.import_module("keras")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def numpy_model(dtype="float32"):
    rt = runtime("numpy")

    class MultiHeadAttention(rt.CausalAttentionLayer):
        def __init__(self, d_model, num_heads, causal=False):
            super().__init__()
            self.num_heads = num_heads
            self.causal = causal
            self.query_projection = rt.Dense(d_model, d_model)
            self.key_projection = rt.Dense(d_model, d_model, use_bias=False)
            self.value_projection = rt.Dense(d_model, d_model)
            self.dropout = rt.Dropout(0.5)

        def forward(self, x, attention_mask=None):
            q = rt.split_heads(self.query_projection(x), self.num_heads)
            k = rt.split_heads(self.key_projection(x), self.num_heads)
            v = rt.split_heads(self.value_projection(x), self.num_heads)
            context = self.attend(
                q, k, v, attention_mask, causal=self.causal, dropout=self.dropout
            )
            return rt.merge_heads(context)

    class Encoder(rt.Layer):
        def __init__(self, d_model, ff_dim, causal):
            self.attention = MultiHeadAttention(d_model, HEADS, causal)
            self.norm = rt.LayerNormalization(d_model, 1e-6)
            self.expand = rt.Dense(d_model, ff_dim)
            self.contract = rt.Dense(ff_dim, d_model)

        def forward(self, x, attention_mask=None):
            x = self.norm(x + self.attention(x, attention_mask))
            return x + self.contract(rt.gelu(self.expand(x)))

    class Classifier(rt.Network):
        def __init__(self):
            self.embedding = rt.Embedding(VOCABULARY, WIDTH)
            self.encoders = [Encoder(WIDTH, HIDDEN, causal) for causal in (False, True)]
            self.output_layer = rt.Dense(WIDTH, CLASSES)

        def attention_layers(self):
            return dict(zip(MAPS, (e.attention for e in self.encoders), strict=True))

        def forward(self, inputs, return_attention=False):
            if return_attention:
                return self.run_with_attention(inputs)
            attention_mask = rt.padding_mask(inputs["attention_mask"])
            x = self.embedding(inputs["ids"])
            x = x + rt.arange(WIDTH, x) / WIDTH
            for encoder in self.encoders:
                x = encoder(x, attention_mask)
            return self.output_layer(rt.masked_mean(x, attention_mask))

    return Classifier().astype(dtype)


def pytorch_model(dtype="float32"):
    rt, torch = runtime("pytorch"), importlib.import_module("torch")
    nn, functional = torch.nn, torch.nn.functional

    class MultiHeadAttention(rt.CausalAttentionLayer):
        def __init__(self, d_model, num_heads, causal=False):
            super().__init__()
            self.num_heads = num_heads
            self.causal = causal
            self.query_projection = nn.Linear(d_model, d_model)
            self.key_projection = nn.Linear(d_model, d_model, bias=False)
            self.value_projection = nn.Linear(d_model, d_model)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x, attention_mask=None):
            q = rt.split_heads(self.query_projection(x), self.num_heads)
            k = rt.split_heads(self.key_projection(x), self.num_heads)
            v = rt.split_heads(self.value_projection(x), self.num_heads)
            context = self.attend(
                q, k, v, attention_mask, causal=self.causal, dropout=self.dropout
            )
            return rt.merge_heads(context)

    class Encoder(nn.Module):
        def __init__(self, d_model, ff_dim, causal):
            super().__init__()
            self.attention = MultiHeadAttention(d_model, HEADS, causal)
            self.norm = nn.LayerNorm(d_model, eps=1e-6)
            self.expand = nn.Linear(d_model, ff_dim)
            self.contract = nn.Linear(ff_dim, d_model)

        def forward(self, x, attention_mask=None):
            x = self.norm(x + self.attention(x, attention_mask))
            return x + self.contract(functional.gelu(self.expand(x)))

    class Classifier(rt.Network):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.encoders = nn.ModuleList(
                Encoder(WIDTH, HIDDEN, causal) for causal in (False, True)
            )
            self.output_layer = nn.Linear(WIDTH, CLASSES)

        def attention_layers(self):
            return dict(zip(MAPS, (e.attention for e in self.encoders), strict=True))

        def forward(self, inputs, return_attention=False):
            if return_attention:
                return self.run_with_attention(inputs)
            attention_mask = rt.padding_mask(inputs["attention_mask"])
            x = self.embedding(inputs["ids"])
            x = x + rt.arange(WIDTH, x) / WIDTH
            for encoder in self.encoders:
                x = encoder(x, attention_mask)
            return self.output_layer(rt.masked_mean(x, attention_mask))

    return Classifier().to(getattr(torch, dtype)).eval()


def keras_model(dtype="float32", build=True):
    rt, keras = runtime("tensorflow"), importlib.import_module("keras")
    layers = keras.layers

    class MultiHeadAttention(rt.CausalAttentionLayer):
        def __init__(self, d_model, num_heads, causal=False):
            super().__init__()
            self.num_heads = num_heads
            self.causal = causal
            self.query_projection = layers.Dense(d_model)
            self.key_projection = layers.Dense(d_model, use_bias=False)
            self.value_projection = layers.Dense(d_model)
            self.dropout = layers.Dropout(0.5)

        def call(self, x, attention_mask=None, training=None):
            q = rt.split_heads(self.query_projection(x), self.num_heads)
            k = rt.split_heads(self.key_projection(x), self.num_heads)
            v = rt.split_heads(self.value_projection(x), self.num_heads)
            context = self.attend(
                q,
                k,
                v,
                attention_mask,
                causal=self.causal,
                dropout=self.dropout,
                training=training,
            )
            return rt.merge_heads(context)

    class Encoder(layers.Layer):
        def __init__(self, d_model, ff_dim, causal):
            super().__init__()
            self.attention = MultiHeadAttention(d_model, HEADS, causal)
            self.norm = layers.LayerNormalization(epsilon=1e-6)
            self.expand = layers.Dense(ff_dim)
            self.contract = layers.Dense(d_model)

        def call(self, x, attention_mask=None):
            x = self.norm(x + self.attention(x, attention_mask))
            return x + self.contract(rt.gelu(self.expand(x)))

    class Classifier(rt.Network):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(VOCABULARY, WIDTH)
            self.encoders = [Encoder(WIDTH, HIDDEN, causal) for causal in (False, True)]
            self.output_layer = layers.Dense(CLASSES)

        def attention_layers(self):
            return dict(zip(MAPS, (e.attention for e in self.encoders), strict=True))

        def call(self, inputs, return_attention=False):
            if return_attention:
                return self.run_with_attention(inputs)
            attention_mask = rt.padding_mask(inputs["attention_mask"])
            x = self.embedding(inputs["ids"])
            x = x + rt.arange(WIDTH, x) / WIDTH
            for encoder in self.encoders:
                x = encoder(x, attention_mask)
            return self.output_layer(rt.masked_mean(x, attention_mask))

    with keras_dtype(dtype):
        model = Classifier()
        if build:
            model({name: np.zeros((1, 2), "int64") for name in INPUTS})
    return model


# A network in each framework's own style: a backend without one is not tested here.
MODELS = {"numpy": numpy_model, "pytorch": pytorch_model, "tensorflow": keras_model}


@pytest.fixture(params=parameters(MODELS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def weights_path(tmp_path_factory):
    """A file of weights drawn by NumPy, in float64; no bias is 0."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model = numpy_model("float64").initialize(0)
    rng = np.random.default_rng(1)
    for weight in model.named_weights().values():
        weight += rng.normal(scale=0.1, size=weight.shape)
    model.save_weights(path)
    return path


def run(name, model, inputs=None, **options):
    """Call a model on NumPy arrays; return its output, and the maps if asked for."""
    backend, inputs = EVERY[name], INPUTS if inputs is None else inputs
    inputs = {key: backend.tensor(x) for key, x in inputs.items()}
    with backend.inference():
        result = model(inputs, **options)
    if not options.get("return_attention"):
        return backend.array(result)
    output, attention = result
    return backend.array(output), {k: backend.array(x) for k, x in attention.items()}


# --- one file, one result ----------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)]
)
def test_one_weights_file_gives_one_result(name, weights_path, dtype, tolerance):
    referee = numpy_model("float64")
    referee.load_weights(weights_path)
    expected, expected_maps = run("numpy", referee, return_attention=True)
    model = MODELS[name](dtype)
    model.load_weights(weights_path)
    output, maps = run(name, model, return_attention=True)
    assert list(maps) == MAPS
    for values, reference in zip(
        (output, run(name, model), *maps.values()),
        (expected, expected, *expected_maps.values()),
        strict=True,
    ):
        assert values.dtype == dtype
        np.testing.assert_allclose(values, reference, 0, tolerance)
    assert maps["encoder_0"].shape == (3, HEADS, 6, 6)
    assert np.all(maps["encoder_0"][1, :, :, 4:] == 0)
    assert np.all(np.triu(maps["encoder_1"], 1) == 0)


def test_weights_come_back_bit_for_bit_from_every_backend(name, weights_path, tmp_path):
    model = MODELS[name]("float64")
    model.load_weights(weights_path)
    model.save_weights(tmp_path / "again.safetensors")
    before, after = load_file(weights_path), load_file(tmp_path / "again.safetensors")
    assert before.keys() == after.keys()
    for key, array in before.items():
        np.testing.assert_array_equal(array, after[key])
        assert array.dtype == after[key].dtype == "float64"
    assert [path.name for path in tmp_path.iterdir()] == ["again.safetensors"]


@requires_torch
def test_names_and_shapes_are_those_of_the_pytorch_state_dict(name, tmp_path):
    state = pytorch_model().state_dict()
    MODELS[name]().save_weights(tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert {key: x.shape for key, x in tensors.items()} == shapes


KEY = "encoders.1.attention.query_projection.weight"


def without_a_tensor(tensors):
    del tensors[KEY]


def with_another_tensor(tensors):
    tensors["encoders.1.attention.scale"] = np.ones(3)


def with_another_shape(tensors):
    tensors[KEY] = np.ones((12, 6))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_tensor, KEY),
        (with_another_tensor, r"encoders.1.attention.scale"),
        (with_another_shape, r"12, 6|6, 12"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    name, weights_path, tmp_path, spoil, message
):
    tensors = load_file(weights_path)
    spoil(tensors)
    save_file(tensors, tmp_path / "spoiled.safetensors")
    with pytest.raises((ValueError, RuntimeError), match=message):
        MODELS[name]().load_weights(tmp_path / "spoiled.safetensors")


def test_a_failed_save_leaves_the_old_file(name, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = MODELS[name]()
    model.save_weights(path)
    before = path.read_bytes()

    def full_disk(tensors, filename):
        raise OSError("No space left on device")

    monkeypatch.setattr(runtime(name), "save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        model.save_weights(path)
    assert path.read_bytes() == before


# --- keeping attention -------------------------------------------------------------


def test_nothing_is_kept_after_attention_is_returned(name):
    model = MODELS[name]()
    run(name, model, return_attention=True)
    for layer in model.attention_layers().values():
        assert not layer.store_attention
        assert layer.attention_weights is None
        assert layer.attention_mask is None


def test_attention_is_kept_until_it_is_dropped(name):
    model = MODELS[name]()
    model.set_store_attention(True)
    _, maps = run(name, model, return_attention=True)
    for key, layer in model.attention_layers().items():
        assert layer.store_attention
        np.testing.assert_array_equal(layer.attention_weights, maps[key])
        assert layer.attention_mask is not None
    model.set_store_attention(False)
    run(name, model)
    for layer in model.attention_layers().values():
        assert layer.attention_weights is None
        assert layer.attention_mask is None


@pytest.mark.parametrize("kept", [False, True])
def test_flags_come_back_after_an_error(name, kept):
    model = MODELS[name]()
    model.set_store_attention(kept)
    with pytest.raises(KeyError):
        run(name, model, {"ids": IDS}, return_attention=True)
    for layer in model.attention_layers().values():
        assert layer.store_attention is kept
        assert layer.attention_weights is None


def test_kept_attention_is_no_weight(name, tmp_path):
    model = MODELS[name]()
    model.save_weights(tmp_path / "before.safetensors")
    model.set_store_attention(True)
    run(name, model)
    model.save_weights(tmp_path / "after.safetensors")
    before, after = (
        load_file(tmp_path / f"{when}.safetensors") for when in ("before", "after")
    )
    assert before.keys() == after.keys()


# --- PyTorch -----------------------------------------------------------------------


@requires_torch
def test_pytorch_shared_weights_and_counters_can_be_saved(tmp_path):
    torch, rt = importlib.import_module("torch"), runtime("pytorch")

    class Tied(rt.Network):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 3)
            self.norm = torch.nn.BatchNorm1d(3)
            self.logits = torch.nn.Linear(3, 5, bias=False)
            self.logits.weight = self.embedding.weight

    model = Tied()
    model.save_weights(tmp_path / "tied.safetensors")
    tensors = load_file(tmp_path / "tied.safetensors")
    assert "norm.running_mean" in tensors
    assert "norm.num_batches_tracked" not in tensors
    np.testing.assert_array_equal(tensors["embedding.weight"], tensors["logits.weight"])
    model.load_weights(tmp_path / "tied.safetensors")


# --- Keras -------------------------------------------------------------------------


@pytest.mark.thorough("True")
@requires_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_keras_fit_learns_and_leaks_no_attention(jit_compile):
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(0)
    model = keras_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=jit_compile)
    history = model.fit(
        INPUTS, np.array([0, 1, 2]), epochs=15, batch_size=3, verbose=0
    ).history["loss"]
    assert history[-1] < history[0]
    assert np.asarray(model.predict(INPUTS, verbose=0)).shape == (3, CLASSES)
    for layer in model.attention_layers().values():
        assert layer.attention_weights is None


@requires_tensorflow
def test_keras_graphs_of_unknown_length_give_the_eager_result(weights_path):
    tf = importlib.import_module("tensorflow")
    model = keras_model("float64")
    model.load_weights(weights_path)
    ids = tf.TensorSpec((None, None), tf.int64)
    graph = tf.function(
        lambda inputs: model(inputs, return_attention=True),
        input_signature=[dict.fromkeys(INPUTS, ids)],
    )
    output, maps = graph({key: tf.constant(x) for key, x in INPUTS.items()})
    expected, expected_maps = run("tensorflow", model, return_attention=True)
    np.testing.assert_allclose(output, expected, 0, 1e-12)
    for key, reference in expected_maps.items():
        np.testing.assert_allclose(maps[key], reference, 0, 1e-12)
    plain = tf.function(model, input_signature=[dict.fromkeys(INPUTS, ids)])
    np.testing.assert_allclose(plain(INPUTS), expected, 0, 1e-12)


@requires_tensorflow
def test_keras_dropout_of_attention_follows_training():
    model = keras_model()
    plain = np.asarray(model(INPUTS))
    np.testing.assert_array_equal(model(INPUTS, training=False), plain)
    assert not np.array_equal(model(INPUTS, training=True), plain)


@requires_tensorflow
def test_keras_mixed_precision_keeps_weights_in_float32():
    model = keras_model("mixed_float16")
    output, maps = run("tensorflow", model, return_attention=True)
    assert output.dtype == "float16"
    assert np.all(np.isfinite(output))
    for weights in maps.values():
        assert weights.dtype == "float32"
        np.testing.assert_allclose(weights.sum(-1), 1, 0, 1e-6)


@pytest.mark.thorough
@requires_torch
@requires_tensorflow
def test_keras_runs_unchanged_on_another_framework(weights_path, project_root):
    script = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("networks", sys.argv[1])
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)
import keras, numpy as np
assert keras.backend.backend() == "torch"
# Elsewhere than on TensorFlow, Keras' matmul computes in float32 at most.
model, referee = networks.keras_model("float32"), networks.numpy_model("float64")
for each in (model, referee):
    each.load_weights(sys.argv[2])
expected, expected_maps = referee(networks.INPUTS, return_attention=True)
convert = keras.ops.convert_to_numpy
output, maps = model(networks.INPUTS, return_attention=True)
for each in (output, model(networks.INPUTS)):
    np.testing.assert_allclose(convert(each), expected, 0, 2e-6)
for name, weights in maps.items():
    np.testing.assert_allclose(convert(weights), expected_maps[name], 0, 1e-6)
"""
    subprocess.run(
        [sys.executable, "-c", script, __file__, str(weights_path)],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        cwd=project_root,
        check=True,
    )
