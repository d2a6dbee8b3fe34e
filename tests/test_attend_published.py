"""Published attentions written with attend, against the modules of transformers."""

import types

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from neural_attn.models.capture import run
from tests.test_attend_options import prepared, run_alone

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.requires_torch

BARE = """
define Bare() {{
  layers: table = Dense(4)
  forward(x, attention_mask = none):
    q = split_heads(slice(x, 0, 16), 4)
    k = split_heads(slice(x, 16, 24), 2)
    v = split_heads(slice(x, 24, 32), 2)
    one = reshape(arange(1, x) + 1, (1, 1))
    sink = reshape(table(one), (4,))
    slopes = 2 ** -reshape(2 * (arange(4, x) + 1), (4, 1))
    alibi = -slopes * abs(relative_positions(q, k))
    return merge_heads(attend(q, k, v, attention_mask, {options}))
}}
network N {{
  input: {{ x: (none, 32)  attention_mask: (none,) }}
  layers: Bare()
}}
"""
LENGTH = 9


def sample():
    """Queries, keys and values side by side, and padding on the right."""
    x = np.random.default_rng(0).normal(size=(3, LENGTH, 32))
    mask = np.ones((3, LENGTH), int)
    mask[1, 6:] = mask[2, 8:] = 0
    return {"x": x, "attention_mask": mask}


def split(x):
    """As the network splits it: [batch, heads, time, 4] thrice."""
    parts = torch.from_numpy(x).split([16, 8, 8], dim=-1)
    return [part.unflatten(-1, (-1, 4)).transpose(1, 2) for part in parts]


def additive(mask, shown):
    """What is added to logits: a number below all others where a key is hidden."""
    shown = torch.from_numpy(mask).bool()[:, None, None] & shown
    return torch.zeros(shown.shape, dtype=torch.float64).masked_fill(~shown, -1e30)


def gemma2(module, q, k, v, mask, i, j):
    from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

    mask = additive(mask, j <= i)
    return eager_attention_forward(module, q, k, v, mask, scaling=0.3, softcap=1.5)


def gpt_oss(module, q, k, v, mask, i, j):
    from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

    mask = additive(mask, (j <= i) & (j > i - 4))
    return eager_attention_forward(module, q, k, v, mask, scaling=0.5)


def mistral(module, q, k, v, mask, i, j):
    from transformers.masking_utils import sliding_window_causal_mask_function
    from transformers.models.mistral.modeling_mistral import eager_attention_forward

    mask = additive(mask, sliding_window_causal_mask_function(3)(0, 0, i, j))
    return eager_attention_forward(module, q, k, v, mask, scaling=0.5)


def mpt(module, q, k, v, mask, i, j):
    from transformers.models.mistral.modeling_mistral import eager_attention_forward
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    mask = additive(mask, j <= i) + build_mpt_alibi_tensor(4, LENGTH)
    return eager_attention_forward(module, q, k, v, mask, scaling=0.5)


PUBLISHED = {
    "causal=true, scale=0.3, cap=1.5": gemma2,
    "causal=true, window=4, sink=sink": gpt_oss,
    "causal=true, window=3": mistral,
    "causal=true, bias=alibi": mpt,
}


@pytest.mark.parametrize(
    "options", PUBLISHED, ids=[p.__name__ for p in PUBLISHED.values()]
)
def test_it_is_the_attention_of_transformers(options, backend, tmp_path):
    loaded, given = prepared(BARE.format(options=options), backend, "float64"), sample()
    output, maps = run(loaded.model, loaded.backend, given)
    path = tmp_path / "weights.safetensors"
    loaded.model.save_weights(path)
    w = load_file(path)
    sinks = w["bare_0.table.weight"][:, 0] + w["bare_0.table.bias"]
    module = types.SimpleNamespace(num_key_value_groups=2, training=False, sinks=sinks)
    steps = torch.arange(LENGTH)
    q, k, v = split(given["x"])
    expected, weights = PUBLISHED[options](
        module, q, k, v, given["attention_mask"], steps[:, None], steps
    )
    ((found, _),) = maps.values()
    # the softmax of the others is in float32
    tolerance = 1e-10 if PUBLISHED[options] is gpt_oss else 1e-6
    real = given["attention_mask"] == 1  # padding sees nothing: here 0, there a mean
    for ours, exact in (
        (found.swapaxes(1, 2), weights.transpose(1, 2)),
        (output, expected.flatten(2)),
        (run_alone(loaded, given), expected.flatten(2)),
    ):
        np.testing.assert_allclose(ours[real], exact[real], rtol=0, atol=tolerance)


T5 = """
define T5Attention(
  num_heads, key_dim, causal, buckets = 8, far = 20, d_model = width(x)
) {{
  layers:
    q = Dense(num_heads * key_dim, use_bias=false)
    k = Dense(num_heads * key_dim, use_bias=false)
    v = Dense(num_heads * key_dim, use_bias=false)
    o = Dense(d_model, use_bias=false)
    table = Dense(num_heads, use_bias=false)

  forward(x, attention_mask = none):
    query = split_heads(q(x), num_heads)
    key = split_heads(k(x), num_heads)
    value = split_heads(v(x), num_heads)

    # half the buckets are for keys behind the query, or none of them
    steps = relative_positions(query, key)
    if causal {{
      side = 0 * steps
      away = maximum(-steps, 0)
      half = buckets
    }} else {{
      half = buckets / 2
      side = where(steps > 0, half, 0 * steps)
      away = abs(steps)
    }}
    # half of these are exact, the others grow by a factor
    exact = half / 2
    grown = log(maximum(away, 1) / exact) / log(far / exact) * (half - exact)
    bucket = where(away < exact, away, minimum(exact + floor(grown), half - 1))
    one_hot = relu(1 - abs(reshape(side + bucket, (-1, 1)) - arange(buckets, x)))
    bias = transpose(table(one_hot))
    context = attend(
      query, key, value, attention_mask, causal=causal, bias=bias, scale=1
    )
    return o(merge_heads(context))
}}
network N {{
  input: {{ x: (none, 16)  attention_mask: (none,) }}
  layers: T5Attention(4, 4, {causal})
}}
"""


@pytest.mark.parametrize("causal", [False, True])
def test_it_is_t5(causal, backend, tmp_path):
    from transformers.models.t5.modeling_t5 import T5Attention

    torch.manual_seed(0)
    config = transformers.T5Config(
        d_model=16,
        d_kv=4,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        is_decoder=causal,
        dropout_rate=0.0,
    )
    config._attn_implementation = "eager"
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).double()
    weights = {
        f"t5attention_0.{name}.weight": getattr(theirs, name).weight.detach()
        for name in "qkvo"
    }
    weights["t5attention_0.table.weight"] = (
        theirs.relative_attention_bias.weight.detach().T.contiguous()
    )
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    loaded = prepared(T5.format(causal=str(causal).lower()), backend, "float64", path)
    length = 40
    x = np.random.default_rng(0).normal(size=(2, length, 16))
    mask = np.ones((2, length), int)
    mask[1, 30:] = 0
    given = {"x": x, "attention_mask": mask}
    steps = torch.arange(length)
    shown = steps <= steps[:, None] if causal else steps[:, None] >= 0
    with torch.no_grad():
        expected, _, attended = theirs(
            torch.from_numpy(x), mask=additive(mask, shown), output_attentions=True
        )
    output, maps = run(loaded.model, loaded.backend, given)
    ((found, _),) = maps.values()
    np.testing.assert_allclose(found, attended, rtol=0, atol=1e-6)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run_alone(loaded, given), expected, rtol=0, atol=1e-5)
