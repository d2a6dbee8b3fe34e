"""Names of the author's that generated code also uses: kept apart, never clashing."""

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.inputs.arrays import prepare
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model

# A define named like a native layer and like runtime classes, variables named like
# runtime functions, and a network named like a runtime class.
CLASHES = """
define Dense(split_heads, softmax = 2) {
  layers:
    a = Output(split_heads)
    m = MultiHeadAttention(num_heads=softmax)
  forward(length, relu = length):
    total = a(length) + a(relu)
    padding_mask = m(total)
    masked_mean = padding_mask * softmax
    return masked_mean
}
define Network(u) { Embedding(50, $u) }
network Layer {
  input: { math2: (none,) }
  layers:
    Network(8)
    Dense(split_heads=8, softmax=4)
    Dense(split_heads=8)
    GlobalAveragePooling1D()
}
"""

# The built-in encoder keeps its own attention beside the author's of the same name.
OWN_ATTENTION = """
define MultiHeadAttention(d_model, heads) {
  Dense(d_model)
  LayerNormalization()
}
network Both {
  input: (5,)
  layers:
    Embedding(9, 8)
    MultiHeadAttention(8, 2)
    TransformerEncoder(num_heads=2, ff_dim=8)
}
"""


@pytest.mark.parametrize("text", [CLASHES, OWN_ATTENTION])
def test_clashing_names_run_alike_everywhere(text, available_backends):
    checked = check_text(text)[0][0]
    inputs = prepare(checked).inputs
    outputs = {}
    for name in available_backends:
        loaded = load_model(checked, name, dtype="float64")
        outputs[name], maps = run(loaded.model, loaded.backend, inputs)
        assert list(maps) == list(checked.attentions)
    for output in outputs.values():
        np.testing.assert_allclose(output, outputs["numpy"], atol=1e-8)


def test_a_network_may_be_named_like_a_block_it_uses():
    text = """
    network TransformerEncoder {
      input: (4, 8)
      layers: TransformerEncoder(num_heads=2, ff_dim=8)
    }
    """
    loaded = load_model(check_text(text)[0][0], "numpy")
    assert "class TransformerEncoderModel(Network):" in loaded.source
