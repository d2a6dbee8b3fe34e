"""What is at the edge is defined once: no steps, no keys, logits of minus infinity."""

import numpy as np
import pytest
from neural_attn.backends import get

from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.reused import checked_text

NO_STEPS = np.zeros((2, 0), np.int64)

# what treats steps alone, or lets them attend, gives none for none
EMPTY = [
    "AdditiveAttention()",
    "ClassToken()",
    "DifferentialAttention(2)",
    "GroupedQueryAttention(2)",
    "LatentAttention(2, latent_dim=4)",
    "LinearAttention(2)",
    "LinearBiasAttention(2, causal=true)",
    "LlamaDecoder(num_heads=2, num_kv_heads=1, ff_dim=8)",
    'LuongAttention(score="concat")',
    "PositionalEncoding()",
    'PositionalEncoding(encoding_type="learned")',
    "SigmoidAttention(2)",
    "T5Attention(2)",
    "TransformerDecoder(2, 8)",
    "TransformerEncoder(2, 8)",
]
# what goes step by step needs one
STEPS = [
    "Bidirectional(LSTM(8, return_sequences=true))",
    'Conv1D(8, 3, padding="causal")',
    "GRU(8)",
    "LSTM(8, return_sequences=true)",
    "LinearAttention(2, causal=true, observed=false)",
    "SimpleRNN(8)",
]


def loaded(layers, backend):
    text = f"network N {{ input: (none,) layers: Embedding(9, 8) {layers} }}"
    return load_model(checked_text(text)[0], backend, dtype="float64")


@pytest.mark.parametrize("layer", EMPTY)
def test_no_steps_give_no_steps(layer, backend):
    model = loaded(layer, backend)
    output, maps = run(model.model, model.backend, NO_STEPS)
    steps = int(layer == "ClassToken()")
    assert output.shape == (2, steps, 8)
    assert all(weights.shape[2:] == (0, 0) for weights, _ in maps.values())


@pytest.mark.parametrize("layer", STEPS)
@pytest.mark.filterwarnings("ignore")
def test_what_goes_step_by_step_needs_one(layer, backend):
    model = loaded(layer, backend)
    with pytest.raises(
        Exception, match=r"(?i)step|sequence length|slice|kernel|window|convol"
    ):
        model.model(get(backend).tensor(NO_STEPS))


ATTENDED = """
define Attended(num_heads) {{
  layers: sink = Weight(num_heads, "zeros")
  forward(q, k, v, bias, ids):
    return {call}
}}
network N {{
  input: {{
    q: (2, none, 4)  k: (2, none, 4)  v: (2, none, 4)  bias: (2, none, none)
    ids: (none,)
  }}
  layers: Attended(2)
}}
"""
CALLS = [
    f"merge_heads(attend(q, k, v, padding_mask(ids), bias=bias{more}))"
    for more in ("", ", causal=true", ", cap=1.0", ", window=2", ", sink=sink")
]
CALLS.append(
    "merge_heads(attention_softmax(q @ transpose(k) / 2 + bias, padding_mask(ids)) @ v)"
)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a sublayer that one case uses
@pytest.mark.parametrize("call", CALLS)
def test_a_logit_of_minus_infinity_is_hidden_like_a_masked_key(call, backend):
    """A row of which nothing is seen is 0 everywhere, be its map asked for or not."""
    checked, _ = checked_text(ATTENDED.format(call=call))
    model = load_model(checked, backend, dtype="float64")
    draw = np.random.default_rng(0)
    inputs = {name: draw.normal(size=(1, 2, 3, 4)) for name in "qkv"}
    bias = np.zeros((1, 2, 3, 3))
    bias[..., 1, :2] = -np.inf  # and key 2 is padding: row 1 sees nothing
    bias[..., 2, 0] = -np.inf
    inputs |= {"bias": bias, "ids": np.array([[1, 1, 0]])}
    tensors = {name: model.backend.tensor(array) for name, array in inputs.items()}
    with model.backend.inference():
        alone = np.asarray(model.backend.array(model.model(tensors)))
    output, maps = run(model.model, model.backend, inputs)
    ((weights, _),) = maps.values()
    np.testing.assert_allclose(alone, output, rtol=0, atol=1e-12)
    assert (output[0, 1] == 0).all()
    assert (weights[0, :, 1] == 0).all()
    assert (weights[0, :, :, 2] == 0).all()
    assert (weights[0, :, 2, 0] == 0).all()
    assert (weights[0, :, 2, 1] > 0).all()


@pytest.mark.requires_torch
def test_a_row_that_sees_nothing_has_a_gradient_of_0():
    import torch

    checked, _ = checked_text(ATTENDED.format(call=CALLS[-1]))
    model = load_model(checked, "pytorch", dtype="float64").model
    draw = torch.Generator().manual_seed(0)
    inputs = {
        name: torch.randn(1, 2, 3, 4, generator=draw, dtype=torch.float64)
        for name in "qkv"
    }
    inputs["q"].requires_grad_()
    inputs |= {"bias": torch.zeros(1, 2, 3, 3), "ids": torch.tensor([[1, 1, 0]])}
    inputs["bias"][..., 1, :2] = -torch.inf
    model(inputs).sum().backward()
    gradient = inputs["q"].grad
    assert gradient.isfinite().all()
    assert (gradient[0, :, 1] == 0).all()
    assert (gradient[0, :, 0] != 0).any()


def test_an_odd_width_leaves_out_the_last_cosine(backend):
    """The equation of Vaswani et al. (2017, 3.5), whose last pair is half a pair."""
    text = "network N { input: (7, 5) layers: PositionalEncoding() }"
    model = load_model(checked_text(text)[0], backend, dtype="float64")
    tensor = get(backend).tensor(np.zeros((1, 7, 5)))
    with model.backend.inference():
        found = np.asarray(model.backend.array(model.model(tensor)))[0]
    angles = np.arange(7)[:, None] / 10000 ** (2 * (np.arange(6) // 2) / 5)
    expected = np.where(np.arange(6) % 2 == 0, np.sin(angles), np.cos(angles))
    np.testing.assert_allclose(found, expected[:, :5], rtol=0, atol=1e-12)


HALF = {
    "PositionalEncoding()": 2,  # to which it adds numbers up to 2
    "RotaryEncoder(2, 8)": 40,  # its products are rounded too
}


@pytest.mark.parametrize(("layer", "digits"), HALF.items(), ids=HALF)
@pytest.mark.requires_torch
def test_far_positions_are_told_apart_in_half_precision(layer, digits):
    import torch

    checked, _ = checked_text(f"network N {{ input: (none, 8) layers: {layer} }}")
    model = load_model(checked, "pytorch").model
    x = torch.zeros(1, 600, 8)
    x[..., 0] = 1
    with torch.no_grad():
        exact = model(x)
        half = model.bfloat16()(x.bfloat16()).float()
    assert (half - exact).abs().max() < digits * 2**-8


@pytest.mark.requires_tensorflow
def test_far_positions_are_told_apart_in_half_precision_by_keras():
    from neural_attn.backends.emit.emitter import emit

    from neural_attn.models.generated import load_source

    checked, _ = checked_text(
        "network N { input: (none, 8) layers: PositionalEncoding() }"
    )
    made = load_source(emit(checked, get("tensorflow")), "half")
    x = np.zeros((1, 600, 8), np.float32)
    exact, half = (
        np.asarray(made.N(dtype=dtype)(x), np.float32)
        for dtype in ("float32", "bfloat16")
    )
    assert np.abs(half - exact).max() < 2**-8
