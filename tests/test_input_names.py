"""An author may give an input any name, also the one of the generated parameter."""

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

NETWORK = """\
network Named {{
  input: {{
    {first}: (None, 8)
    attention_mask: (None,)
  }}
  layers:
    MultiHeadAttention(num_heads=2)
}}
"""


@pytest.mark.parametrize("name", ["inputs", "x", "outputs", "query"])
def test_one_of_several_inputs(name, backend):
    checked = check_text(NETWORK.format(first=name))[0][0]
    loaded = load_model(checked, backend)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    target = loaded.backend
    given = {name: target.tensor(x), "attention_mask": target.tensor(mask)}
    with target.inference():
        _, maps = loaded.model(given, return_attention=True)
    (weights,) = maps.values()
    weights = target.array(weights)
    assert weights.shape == (2, 2, 5, 5)
    assert (weights[1, :, :, 2:] == 0).all()
    assert (weights[0] > 0).all()
