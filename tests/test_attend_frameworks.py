"""The options of attend in each framework: gradients, capture, symbols, memory."""

import importlib

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.models.generated import load_source

NETWORK = """
define Own(num_heads, d_model = width(x)) {{
  layers:
    q = Dense(d_model)
    k = Dense(d_model)
    v = Dense(d_model)
    slope = Dense(num_heads)
    table = Dense(num_heads)
    weight_dropout = Dropout({rate})

  forward(x, attention_mask = none):
    query = split_heads(q(x), num_heads)
    key = split_heads(k(x), num_heads)
    value = split_heads(v(x), num_heads)
    one = reshape(arange(1, x) + 1, (1, 1))
    sink = reshape(table(one), (num_heads,))
    slopes = reshape(slope(one), (num_heads, 1))
    distances = slopes * abs(relative_positions(query, key))
    n = length(x)
    pairs = reshape(slopes, (1, num_heads, 1, 1)) * reshape(arange(n, x), (1, 1, 1, n))
    context = attend(
      query, key, value, attention_mask, dropout=weight_dropout{options}
    )
    return x + merge_heads(context)
}}
network Options {{
  input: (none,)
  layers:
    Embedding(9, 8, mask_zero=true)
    Own(2) * {count}
    GlobalAveragePooling1D()
    Output(3, "softmax")
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.01)
}}
"""
OPTIONS = [
    "window=3",
    "bias=distances",
    "bias=pairs",
    "cap=2.0",
    "sink=sink",
    "causal=true, window=4, bias=distances, cap=3.0, sink=sink, scale=1",
    "causal=true, bias=distances, sink=sink",
]


def module(options, backend, rate=0.0, count=2):
    text = NETWORK.format(options=f", {options}", rate=rate, count=count)
    return load_source(emit(check_text(text)[0][0], get(backend)), "generated")


def ids(*shape):
    values = np.random.default_rng(0).integers(1, 9, shape)
    values[0, shape[1] // 2 :] = 0
    return values


def used(options):
    """The weights that a gradient must reach."""
    names = {"q", "k", "v"}
    names |= {"slope"} if "bias" in options else set()
    names |= {"table"} if "sink=" in options else set()
    return names


@pytest.mark.requires_torch
@pytest.mark.parametrize("options", OPTIONS)
def test_pytorch_gradients_are_those_of_the_maps(options):
    torch = importlib.import_module("torch")
    torch.manual_seed(0)
    model = module(options, "pytorch").create_model("float64").train()
    x = torch.from_numpy(ids(3, 150))
    gradients = []
    for kept in (False, True):
        model.set_store_attention(kept)
        model.zero_grad()
        loss = (model.forward_logits(x) ** 2).sum()
        loss.backward()
        found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        gradients.append(found)
    reached = {name.split(".")[2] for name in gradients[0] if "own_" in name}
    assert reached == used(options)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-9, atol=1e-12)
        key_bias = name.endswith(".k.bias") and "cap" not in options
        assert key_bias or gradient.abs().max() > 0, name


@pytest.mark.thorough(but="scale")
@pytest.mark.requires_torch
@pytest.mark.parametrize("options", OPTIONS)
def test_pytorch_captures_it_whole(options):
    torch = importlib.import_module("torch")
    torch.manual_seed(0)
    model = module(options, "pytorch", count=1).create_model()
    x = torch.from_numpy(ids(3, 150))
    with torch.no_grad():
        expected = model(x)
        whole = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(whole(x), expected)
        exported = torch.export.export(
            model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)
        ).module()
        more = torch.from_numpy(ids(5, 150))
        torch.testing.assert_close(exported(more), model(more))


@pytest.mark.requires_torch
@pytest.mark.parametrize("options", OPTIONS)
def test_pytorch_half_precision_gives_no_nan(options):
    torch = importlib.import_module("torch")
    model = module(options, "pytorch").create_model("bfloat16")
    values = ids(2, 40)
    values[1] = 0
    with torch.no_grad():
        for asked in (False, True):
            found = model(torch.from_numpy(values), return_attention=asked)
            output = found[0] if asked else found
            assert output.isfinite().all()


@pytest.mark.thorough(but="scale")
@pytest.mark.requires_torch
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_pytorch_holds_nothing_of_queries_by_keys(options, training):
    """One byte for each query and key is the least that a tensor of that shape takes.

    Blocks of 128 queries and 2 heads, in float32, hold half of that here.
    """
    torch = importlib.import_module("torch")
    profiler = importlib.import_module("torch.profiler")
    length = 2048
    model = module(options, "pytorch", count=1).create_model().train(training)
    x = torch.from_numpy(ids(1, length))
    with (
        torch.set_grad_enabled(training),
        profiler.profile(
            activities=[profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profiled,
    ):
        output = model.forward_logits(x)
        if training:
            output.sum().backward()
    largest = max(event.self_cpu_memory_usage for event in profiled.events())
    assert largest <= 4 * 2 * 128 * length + 4 * length < length * length


@pytest.mark.thorough(but=("scale", "window=3"))
@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("options", OPTIONS)
def test_keras_gradients_are_those_of_the_maps(options):
    tf = importlib.import_module("tensorflow")
    model = module(options, "tensorflow").create_model("float64")
    x, gradients = ids(3, 150), []
    for kept in (False, True):
        model.set_store_attention(kept)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x) ** 3)
        weights = {v.path: v.value for v in model.trainable_variables}
        found = tape.gradient(loss, weights)
        gradients.append(
            {n: tf.convert_to_tensor(g) for n, g in found.items() if g is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    reached = {name.split("/")[-2] for name in gradients[0] if "own" in name}
    assert len(reached) >= len(used(options))
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradient, gradients[1][name], rtol=1e-8, atol=1e-12)


@pytest.mark.thorough(but="scale")
@pytest.mark.requires_tensorflow
@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of unused options
@pytest.mark.parametrize("options", OPTIONS)
def test_keras_fits_and_takes_symbols(options):
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(0)
    made = module(options, "tensorflow", rate=0.1, count=1)
    model = made.create_model()
    inputs = keras.Input((None,), dtype="int64")
    assert model(inputs).shape == (None, 3)
    model.compile(made.create_optimizer(), made.create_loss())
    x = ids(64, 6)
    history = model.fit(x, x[:, 0] % 3, epochs=4, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    outputs = model.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, model(x), rtol=0, atol=1e-5)
