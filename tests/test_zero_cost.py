"""Attention that is not asked for costs nothing: no tensor of queries x keys."""

import importlib

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

pytestmark = pytest.mark.requires_torch

LENGTH = 4096
FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu"

NETWORK = """\
network Long {{
  input: {{
    ids: (None,)
    attention_mask: (None,)
  }}
  layers:
    Embedding(input_dim=50, output_dim=16)
    {layer} * 2
}}
"""

LAYERS = {
    "encoder": "TransformerEncoder(num_heads=2, ff_dim=16, dropout=0)",
    "pre-norm encoder": "TransformerEncoder(num_heads=2, ff_dim=16, norm_first=true)",
    "decoder": "TransformerDecoder(num_heads=2, ff_dim=16, dropout=0)",
    "attention": "MultiHeadAttention(num_heads=2)",
    "causal attention": "MultiHeadAttention(num_heads=2, causal=true)",
}


@pytest.fixture
def torch():
    """PyTorch on one thread: each has scratch memory of its own in the kernel."""
    module = importlib.import_module("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)


def build(layer):
    checked = check_text(NETWORK.format(layer=LAYERS[layer]))[0][0]
    return load_model(checked, "pytorch").model


def inputs(torch, padded, length=LENGTH):
    """Ids of one example; with padding at its start and its end."""
    values = {"ids": torch.arange(length)[None] % 50}
    if padded:
        mask = torch.ones(1, length, dtype=torch.int64)
        mask[:, :3] = mask[:, -length // 4 :] = 0
        values["attention_mask"] = mask
    return values


def profile(torch, work):
    """Names of the operations of `work`, and the bytes of its largest allocation."""
    profiler = importlib.import_module("torch.profiler")
    activities = [profiler.ProfilerActivity.CPU]
    with profiler.profile(activities=activities, profile_memory=True) as profiled:
        work()
    events = profiled.events()
    names = {event.name for event in events}
    return names, max(event.self_cpu_memory_usage for event in events)


# One byte for each query and key is the least that a tensor of that shape could take.
# Causal and padded at once needs a mask, which comes for 512 queries at a time, in
# float32 as the kernel wants it.
def allowed(layer, padded):
    causal = layer in ("decoder", "causal attention")
    return 4 * 512 * LENGTH if causal and padded else LENGTH * LENGTH // 8


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_of_queries_by_keys_is_allocated(torch, layer, padded):
    model, values = build(layer), inputs(torch, padded)
    with torch.inference_mode():
        names, largest = profile(torch, lambda: model(values))
    assert FUSED in names
    assert "aten::softmax" not in names
    assert LENGTH * 16 * 4 <= largest <= allowed(layer, padded) < LENGTH * LENGTH


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("layer", ["encoder", "decoder"])
def test_nothing_of_queries_by_keys_is_allocated_in_training(torch, layer, padded):
    model, values = build(layer).train(), inputs(torch, padded)
    names, largest = profile(torch, lambda: model(values).sum().backward())
    assert f"{FUSED}_backward" in names
    assert "aten::softmax" not in names
    assert LENGTH * 16 * 4 <= largest <= allowed(layer, padded) < LENGTH * LENGTH


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_asked_for_is_seen_by_the_same_measure(torch, layer):
    length = 1024
    model, values = build(layer), inputs(torch, True, length)
    with torch.inference_mode():
        names, largest = profile(torch, lambda: model(values, return_attention=True))
    assert FUSED not in names
    assert largest >= 4 * 2 * length * length


@pytest.mark.parametrize("layer", LAYERS)
def test_asking_changes_no_output(torch, layer):
    model, values = build(layer), inputs(torch, True, 1100)
    with torch.inference_mode():
        output, _ = model(values, return_attention=True)
        torch.testing.assert_close(model(values), output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "shape", [None, (2, 1, 1, 900), (2, 1, 700, 900), (700, 900)], ids=str
)
@pytest.mark.parametrize("queries", [700, 900])
def test_blocks_of_queries_give_what_a_whole_gives(torch, shape, queries):
    generator = np.random.default_rng(0)
    runtime = importlib.import_module("neural_attn.backends.pytorch.runtime.core")
    layer = runtime.CausalAttentionLayer()
    query, key, value = (
        torch.from_numpy(generator.normal(size=(2, 3, time, 4)))
        for time in (queries, 900, 900)
    )
    mask = None
    if shape is not None:
        shape = tuple(queries if size == 700 else size for size in shape)
        mask = torch.from_numpy(generator.random(shape) < 0.5)
    found = layer.attend(query, key, value, mask, causal=True)
    layer.store_attention = True
    expected = layer.attend(query, key, value, mask, causal=True)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    hidden = torch.ones(queries, 900, dtype=torch.bool).triu(901 - queries)
    assert (layer.attention_weights[..., hidden] == 0).all()
