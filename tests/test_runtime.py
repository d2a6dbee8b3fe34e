"""The functions and layers of every runtime, against formulas and frameworks."""

import importlib
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from tests.every_backend import EVERY, parameters, tensor
from tests.every_backend import runtime as runtime_of

requires_torch = pytest.mark.requires_torch
requires_tensorflow = pytest.mark.requires_tensorflow
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


class Runtime:
    """One runtime module, and the way from NumPy arrays to its tensors and back."""

    def __init__(self, name):
        self.name = name
        self.module = runtime_of(name)

    def tensor(self, array):
        return tensor(self.name, array)

    def array(self, tensor):
        return EVERY[self.name].array(tensor)

    def call(self, function, *arrays, **options):
        """Call a function of the runtime on arrays; return an array."""
        tensors = [self.tensor(array) for array in arrays]
        return self.array(getattr(self.module, function)(*tensors, **options))

    def attention_layer(self, dtype="float32", store=False, causal=False):
        """An attention layer; with `causal`, one that can hide the future."""
        kind = "CausalAttentionLayer" if causal else "AttentionLayer"
        # the framework whose layers have a dtype of their own is given it
        options = {"dtype": dtype} if EVERY[self.name].shared == "dtype" else {}
        layer = getattr(self.module, kind)(**options)
        layer.store_attention = store
        return layer


@pytest.fixture(params=parameters())
def runtime(request):
    return Runtime(request.param)


def random_heads(queries, keys, dtype="float64", size=8, value_size=8):
    rng = np.random.default_rng(queries * 1000 + keys)
    shapes = [(2, 3, queries, size), (2, 3, keys, size), (2, 3, keys, value_size)]
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def random_mask(kind, queries, keys):
    """A mask with one batch row, or one query, that may attend to nothing."""
    rng = np.random.default_rng(7)
    if kind is None:
        return None
    if kind == "padding":
        mask = rng.random((2, 1, 1, keys)) > 0.4
        mask[0] = False
    else:
        mask = rng.random((2, 1, queries, keys)) > 0.4
        mask[1, :, queries // 2] = False
    return mask


def reference_weights(query, key, mask=None, causal=False):
    """Attention weights, row by row from the definition, in float64."""
    batch, heads, queries, _ = query.shape
    keys = key.shape[2]
    weights = np.zeros((batch, heads, queries, keys))
    shown = np.ones(weights.shape, bool) if mask is None else mask
    shown = np.broadcast_to(shown, weights.shape)
    for b, h, i in itertools.product(range(batch), range(heads), range(queries)):
        past = keys - queries + i if causal else keys - 1
        visible = [j for j in range(keys) if shown[b, h, i, j] and j <= past]
        scores = [
            math.fsum(query[b, h, i] * key[b, h, j]) / math.sqrt(query.shape[-1])
            for j in visible
        ]
        powers = [math.exp(score - max(scores)) for score in scores]
        for j, power in zip(visible, powers, strict=True):
            weights[b, h, i, j] = power / math.fsum(powers)
    return weights


# --- attention -------------------------------------------------------------------


# How a layer is made, and what is asked of each call.
CAUSES = [(False, {}), (True, {}), (True, {"causal": False}), (True, {"causal": True})]


@pytest.mark.parametrize(("can_hide", "options"), CAUSES)
@pytest.mark.parametrize("mask_kind", [None, "padding", "full"])
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (4, 7), (7, 4), (1, 6)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_attend_is_its_definition(
    runtime, dtype, queries, keys, mask_kind, can_hide, options
):
    query, key, value = random_heads(queries, keys, dtype)
    mask = random_mask(mask_kind, queries, keys)
    weights = reference_weights(query, key, mask, **options)
    tensors = [runtime.tensor(x) for x in (query, key, value, mask)]
    for store in (False, True):
        layer = runtime.attention_layer(dtype, store, can_hide)
        context = runtime.array(layer.attend(*tensors, **options))
        assert context.dtype == dtype
        np.testing.assert_allclose(context, weights @ value, 0, 2 * TOLERANCE[dtype])
    stored = runtime.array(layer.attention_weights)
    assert stored.dtype == dtype
    np.testing.assert_allclose(stored, weights, 0, TOLERANCE[dtype])
    assert np.all(stored[weights == 0] == 0)
    sums, nothing = stored.sum(-1), (weights == 0).all(-1)
    assert np.all(np.abs(sums[~nothing] - 1) <= 1e-6)
    hidden = np.zeros(weights.shape, bool)
    if layer.attention_mask is not None:
        hidden |= ~runtime.array(layer.attention_mask)
    np.testing.assert_array_equal(hidden, weights == 0)


@pytest.mark.parametrize("mask_kind", [None, "padding", "full"])
@pytest.mark.parametrize("causal", [False, True])
def test_blocks_of_queries_change_nothing(runtime, mask_kind, causal):
    query, key, value = random_heads(600, 600)
    mask = random_mask(mask_kind, 600, 600)
    tensors = [runtime.tensor(x) for x in (query, key, value, mask)]
    contexts = [
        runtime.array(
            runtime.attention_layer("float64", store, True).attend(
                *tensors, causal=causal
            )
        )
        for store in (False, True)
    ]
    np.testing.assert_allclose(contexts[0], contexts[1], 0, 1e-12)


def test_values_may_be_narrower_than_keys(runtime):
    query, key, value = random_heads(4, 6, value_size=5)
    tensors = [runtime.tensor(x) for x in (query, key, value)]
    context = runtime.array(runtime.attention_layer("float64").attend(*tensors))
    np.testing.assert_allclose(context, reference_weights(query, key) @ value, 0, 1e-12)


def test_weights_are_kept_only_when_asked_for(runtime):
    tensors = [runtime.tensor(x) for x in random_heads(3, 3, "float32")]
    layer = runtime.attention_layer()
    layer.attend(*tensors)
    layer.attention_softmax(tensors[0])
    assert layer.attention_weights is None
    assert layer.attention_mask is None


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_softmax_is_stable(runtime, scale, causal):
    logits = scale * np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    logits = logits.astype("float32")
    mask = random_mask("padding", 5, 7)
    layer = runtime.attention_layer(store=True, causal=True)
    weights = runtime.array(
        layer.attention_softmax(
            runtime.tensor(logits), runtime.tensor(mask), causal=causal
        )
    )
    np.testing.assert_array_equal(runtime.array(layer.attention_weights), weights)
    assert np.all(np.isfinite(weights))
    assert np.all(weights[0] == 0)
    assert np.all(np.abs(weights[1].sum(-1) - 1) <= 1e-6)


@requires_torch
@pytest.mark.parametrize("store", [False, True])
def test_pytorch_gradients_survive_rows_that_see_nothing(store):
    runtime = Runtime("pytorch")
    tensors = [runtime.tensor(x).requires_grad_() for x in random_heads(4, 4)]
    mask = runtime.tensor(random_mask("padding", 4, 4))
    layer = runtime.attention_layer(store=store)
    layer.attend(*tensors, mask).square().sum().backward()
    assert all(x.grad.isfinite().all() for x in tensors)
    assert all((x.grad[0] == 0).all() for x in tensors)
    assert not store or not layer.attention_weights.requires_grad


@requires_tensorflow
@pytest.mark.parametrize("store", [False, True])
def test_tensorflow_gradients_survive_rows_that_see_nothing(store):
    tf = importlib.import_module("tensorflow")
    runtime = Runtime("tensorflow")
    tensors = [tf.Variable(x) for x in random_heads(4, 4)]
    mask = tf.constant(random_mask("padding", 4, 4))
    with tf.GradientTape() as tape:
        layer = runtime.attention_layer("float64", store)
        loss = tf.reduce_sum(layer.attend(*map(tf.identity, tensors), mask) ** 2)
    for gradient in tape.gradient(loss, tensors):
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient[0] == 0)


@requires_torch
@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_pytorch_attends_as_nn_multihead_attention(store, causal):
    torch = importlib.import_module("torch")
    runtime = Runtime("pytorch").module
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    shown = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    expected, expected_weights = theirs(
        x, x, x, shown == 0, attn_mask=future, average_attn_weights=False
    )
    projected = torch.nn.functional.linear(
        x, theirs.in_proj_weight, theirs.in_proj_bias
    )
    q, k, v = (runtime.split_heads(part, 3) for part in projected.chunk(3, dim=-1))
    layer = runtime.CausalAttentionLayer()
    layer.store_attention = store
    context = layer.attend(q, k, v, runtime.padding_mask(shown), causal=causal)
    output = theirs.out_proj(runtime.merge_heads(context))
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    if store:
        weights = layer.attention_weights
        torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-12)


@requires_tensorflow
@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_keras_attends_as_its_multi_head_attention(store, causal):
    keras = importlib.import_module("keras")
    runtime = Runtime("tensorflow").module
    keras.utils.set_random_seed(0)
    theirs = keras.layers.MultiHeadAttention(3, 4, dtype="float64")
    x = keras.random.normal((2, 5, 12), dtype="float64")
    shown = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    expected, expected_weights = theirs(
        x,
        x,
        attention_mask=shown[:, None] != 0,
        use_causal_mask=causal,
        return_attention_scores=True,
    )
    q, k, v, o = np.split(np.array(theirs.get_weights(), dtype=object)[::2], 4)
    q, k, v = (
        runtime.split_heads(x @ kernel[0].reshape(12, 12).astype("float64"), 3)
        for kernel in (q, k, v)
    )
    layer = runtime.CausalAttentionLayer(dtype="float64")
    layer.store_attention = store
    context = layer.attend(q, k, v, runtime.padding_mask(shown), causal=causal)
    output = runtime.merge_heads(context) @ o[0].reshape(12, 12).astype("float64")
    # Keras' own scale is rounded to float32.
    np.testing.assert_allclose(output, expected, 0, 1e-6)
    if store:
        np.testing.assert_allclose(layer.attention_weights, expected_weights, 0, 1e-6)


# --- what attention that nobody asked for costs ----------------------------------


@pytest.mark.parametrize(
    ("name", "owner", "kernel"),
    [
        pytest.param(
            "pytorch",
            "torch.nn.functional",
            "scaled_dot_product_attention",
            marks=requires_torch,
        ),
        pytest.param(
            "tensorflow",
            "keras.ops",
            "dot_product_attention",
            marks=requires_tensorflow,
        ),
    ],
)
def test_the_fused_kernel_runs_unless_weights_are_asked_for(
    name, owner, kernel, monkeypatch
):
    module, calls = importlib.import_module(owner), []
    original = getattr(module, kernel)

    def spy(*args, **options):
        calls.append(options)
        return original(*args, **options)

    monkeypatch.setattr(module, kernel, spy)
    runtime = Runtime(name)
    tensors = [runtime.tensor(x) for x in random_heads(5, 5, "float32")]
    runtime.attention_layer(store=True).attend(*tensors)
    assert calls == []
    runtime.attention_layer().attend(*tensors)
    assert len(calls) == 1
    runtime.attention_layer(causal=True).attend(*tensors, causal=True)
    assert len(calls) == 2


MEASURE_PEAK = """
import re, sys
import numpy as np
from tests import every_backend
runtime = every_backend.runtime(sys.argv[1])
tensor = lambda x: every_backend.tensor(sys.argv[1], x)

def peak():  # in KiB; getrusage would count the parent process too
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

def heads(length):
    return [tensor(np.ones((1, 4, length, 16), np.float32)) for _ in range(3)]

layer, mask = runtime.CausalAttentionLayer(), tensor(np.ones((1, 1, 1, 4096), bool))
layer.attend(*heads(64), causal=True)
long, before = heads(4096), peak()
layer.attend(*long)
layer.attend(*long, causal=True)
layer.attend(*long, mask)
fused = peak()
layer.store_attention = True
layer.attend(*long)
print(fused - before, peak() - fused)
"""


@pytest.mark.thorough("tensorflow", "pytorch")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_no_queries_by_keys_tensor_at_length_4096(runtime, project_root):
    result = subprocess.run(
        [sys.executable, "-c", MEASURE_PEAK, runtime.name],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
    )
    fused, stored = (int(kib) for kib in result.stdout.split())
    one_tensor = 4 * 4096 * 4096 * 4 // 1024
    assert fused < one_tensor / 2
    assert stored > one_tensor / 2  # so the measurement does see such a tensor


@requires_torch
def test_pytorch_drops_attention_weights_only_in_training():
    torch = importlib.import_module("torch")
    runtime = Runtime("pytorch")
    tensors = [runtime.tensor(x) for x in random_heads(5, 5)]
    dropout = torch.nn.Dropout(0.5)
    for store in (False, True):
        layer = runtime.attention_layer(store=store)
        plain = layer.attend(*tensors)
        assert not torch.equal(layer.attend(*tensors, dropout=dropout.train()), plain)
        assert torch.equal(layer.attend(*tensors, dropout=dropout.eval()), plain)
    np.testing.assert_allclose(layer.attention_weights.sum(-1), 1)  # before dropout


@requires_tensorflow
def test_keras_drops_attention_weights_only_in_training():
    keras = importlib.import_module("keras")
    runtime = Runtime("tensorflow")
    tensors = [runtime.tensor(x) for x in random_heads(5, 5, "float32")]
    dropout = keras.layers.Dropout(0.5, seed=0)
    for store in (False, True):
        layer = runtime.attention_layer(store=store)
        plain = layer.attend(*tensors)
        for training, same in ((True, False), (False, True), (None, True)):
            context = layer.attend(*tensors, dropout=dropout, training=training)
            assert np.array_equal(context, plain) is same
    np.testing.assert_allclose(np.sum(layer.attention_weights, -1), 1, 1e-6)


# --- functions -------------------------------------------------------------------


def test_heads_are_consecutive_slices_of_the_width(runtime):
    x = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
    heads = runtime.call("split_heads", x, num_heads=3)
    np.testing.assert_array_equal(heads, np.stack(np.split(x, 3, axis=-1), axis=1))
    np.testing.assert_array_equal(runtime.call("merge_heads", heads.copy()), x)


def test_padding_mask_shows_what_is_not_zero(runtime):
    ids = np.array([[5, 0, 2], [0, 0, 0]])
    mask = runtime.call("padding_mask", ids)
    np.testing.assert_array_equal(mask, (ids != 0).reshape(2, 1, 1, 3))
    assert runtime.module.padding_mask(None) is None


def test_pooling_leaves_hidden_positions_out(runtime):
    x = np.array([[[1, -4], [3, -2], [100, 100]], [[1, 1], [1, 1], [1, 1]]], "float32")
    mask = np.array([[1, 1, 0], [0, 0, 0]], bool).reshape(2, 1, 1, 3)
    mean, top = (runtime.call(f, x, mask) for f in ("masked_mean", "masked_max"))
    np.testing.assert_array_equal(mean, [[2, -3], [0, 0]])
    np.testing.assert_array_equal(top, [[3, -2], [0, 0]])
    assert mean.dtype == top.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positions(runtime, dtype):
    x = np.zeros((2, 3, 4), dtype)
    positions = runtime.call("position_ids", x)
    assert positions.dtype == "int64"
    np.testing.assert_array_equal(positions, [0, 1, 2])
    steps = runtime.array(runtime.module.arange(5, runtime.tensor(x)))
    assert steps.dtype == dtype
    np.testing.assert_array_equal(steps, np.arange(5))
    assert runtime.module.length(runtime.tensor(x)) == 3


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "leaky_relu"])
def test_activations_of_all_runtimes_agree(runtime, name):
    x = np.linspace(-8, 8, 101)
    expected = getattr(Runtime("numpy").module, name)(x)
    np.testing.assert_allclose(runtime.call(name, x), expected, 0, 1e-12)
