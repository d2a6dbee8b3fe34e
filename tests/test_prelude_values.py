"""Values of the built-in blocks' parameters: refused with their place, or they run."""

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model

ROTARY = (
    "define Own() { layers: b = BLOCK forward(x): "
    "return merge_heads(b(split_heads(x, 2), positions(x))) } "
)
BIAS = (
    "define Own() { layers: b = BLOCK forward(x): h = split_heads(x, 2) "
    "return merge_heads(attend(h, h, h, bias=b(h))) } "
)
NETWORK = "\nnetwork N { input: (none, 8) layers: Own() }"


def text_of(block):
    """A network whose only layer is, or uses, the block."""
    for name, define in (("Rotary", ROTARY), ("Relative", BIAS), ("LinearBias(", BIAS)):
        if block.startswith(name):
            return define.replace("BLOCK", block) + NETWORK
    return NETWORK.replace("Own()", block)


REFUSED = {
    "RotaryPositions(theta=0)": "`theta` of `RotaryPositions` must be above 0",
    "RotaryPositions(theta=-1)": "must be above 0",
    "RotaryPositions(factor=0)": "must be above 0",
    "RotaryPositions(factor=2, original_length=0)": "must be above 0",
    "RotaryPositions(factor=2, original_length=8, low_frequency=4)": "divides by zero",
    "RotaryPositions(rotary_dim=0)": "must be at least 1",
    "RotaryPositions(rotary_dim=3)": "must be a whole number, not 1.5",
    "RotaryPositions(rotary_dim=6)": "parts of 3 and 3 and -2 are not the 4 steps",
    "RotaryPositions(yarn=true)": "`/` needs numbers, but gets none",
    "RotaryPositions(original_length=8, yarn=true, theta=1)": "divides by zero",
    "RotaryPositions(original_length=8, yarn=true, beta_fast=0)": "must be above 0",
    "RMSNorm(-1)": "`epsilon` of `RMSNorm` must be at least 0",
    "DifferentialAttention(2, epsilon=-1e-3)": "must be at least 0",
    "DifferentialAttention(2, depth=-1)": "must be at least 0",
    "DifferentialAttention(3)": "cannot be split into 6 heads",
    "LatentAttention(2, 4, theta=0)": "must be above 0",
    "LatentAttention(2, 4, epsilon=-1)": "must be at least 0",
    "LatentAttention(2, 4, rotary_dim=3)": "must be a whole number",
    "GroupedQueryAttention(2, theta=0)": "must be above 0",
    "GroupedQueryAttention(2, 3)": "have 2 heads, but keys (batch, 3, time, 4) have 3",
    "GroupedQueryAttention(2, qk_norm=true, epsilon=-1)": "must be at least 0",
    "GroupedQueryAttention(2, window=0)": "must be at least 1",
    "GroupedQueryAttention(2, cap=0)": "must be a number above 0",
    "GroupedQueryAttention(2, scale=0)": "must be a number above 0",
    "LlamaDecoder(2, 1, 8, epsilon=-1)": "must be at least 0",
    "LlamaDecoder(2, 1, 8, rotary_dim=8)": "parts of 4 and 4 and -4",
    "RelativePositionBias(2, num_buckets=1)": "divides by zero",
    "RelativePositionBias(2, max_distance=8)": "divides by zero",
    "RelativePositionBias(2, max_distance=-5)": "has no value",
    "LinearBias(0)": "has no value",
    "PositionalEncoding(dropout=-1)": "must be at least 0",
    "TransformerEncoder(2, 8, epsilon=-1)": "must be at least 0",
}
ACCEPTED = [
    "RotaryPositions(theta=0.5)",
    "RotaryPositions(rotary_dim=2)",
    "RotaryPositions(factor=8, original_length=64)",
    "RMSNorm(0)",
    "DifferentialAttention(2, depth=index, epsilon=0) * 2",
    "GroupedQueryAttention(2, 1, rotary_dim=2, window=1, cap=0.1, sinks=true)",
    "LatentAttention(2, 4, query_latent_dim=2, rotary_dim=2)",
    "RelativePositionBias(2, num_buckets=4, max_distance=3)",
    "LinearBias(2)",
]


@pytest.mark.parametrize(("block", "said"), REFUSED.items(), ids=REFUSED)
def test_what_gives_no_numbers_is_refused_at_its_place(block, said):
    with pytest.raises(NeuralError) as caught:
        check_text(text_of(block))
    (found,) = caught.value.diagnostics
    assert said in found.message
    name, (line, column) = block.split("(")[0], (found.span.line, found.span.column)
    text = text_of(block).split("\n")[line - 1]
    assert "Own()" in text[column - 1 :] or name in text[: column + len(name)]


@pytest.mark.parametrize("block", ACCEPTED)
def test_what_is_accepted_runs(block, backend):
    (checked,), _ = check_text(text_of(block))
    loaded = load_model(checked, backend)
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype(np.float32)
    assert np.isfinite(run(loaded.model, loaded.backend, x)[0]).all()


def test_a_whole_number_with_a_point_is_meant_as_one():
    warnings = check_text(text_of("RotaryPositions(rotary_dim=2.0)"))[1]
    assert [w.code for w in warnings] == ["W0119"]
