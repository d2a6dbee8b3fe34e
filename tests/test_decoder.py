"""`model.decoder`, as guides of translators use it, beside what `capture` finds."""

import numpy as np
import pytest

from neural_attn import capture, load_model
from neural_attn.diagnostics.errors import NeuralError
from tests.every_backend import parameters

IDS = {"source": np.array([[5, 6, 7, 8, 0]]), "target": np.array([[1, 8, 7, 6]])}


def network(folder, layers):
    file = folder / "small.neural"
    file.write_text(
        "network Small { input: { source: (none,) target: (none,) } layers: "
        "source: { Embedding(9, 8, mask_zero=true) TransformerEncoder(2, 8) } "
        f"target: {{ Embedding(9, 8, mask_zero=true) {layers} Output(9) }} }}"
    )
    return file


@pytest.mark.parametrize("name", parameters())
def test_a_decoder_keeps_the_weights_that_a_capture_has(name, tmp_path):
    file = network(tmp_path, "TransformerDecoder(2, 8) * 2")
    model = load_model(file, name)
    decoder = model.decoder
    assert decoder.layers[-1].cross_attn_weights is None
    decoder.set_store_attention(True)
    output = model(IDS)
    last = decoder.layers[-1]
    maps = capture(model, IDS)
    pairs = [
        (last.cross_attn_weights, maps["transformer_decoder_1.cross_attention"]),
        (last.self_attn_weights, maps["transformer_decoder_1.self_attention"]),
    ]
    for kept, found in pairs:
        np.testing.assert_allclose(np.asarray(kept), found, rtol=0, atol=1e-6)
    assert (
        model.model.attention_layers()["transformer_encoder_0"].attention_weights
        is None
    )
    decoder.set_store_attention(False)
    assert last.cross_attn_weights is last.self_attn_weights is None
    assert output.shape == (1, 4, 9)


def test_a_network_or_a_layer_without_says_so(tmp_path):
    file = tmp_path / "own.neural"
    file.write_text("network Own { input: (5, 8) layers: TransformerDecoder(2, 8) }")
    (layer,) = load_model(file, "numpy").decoder.layers
    with pytest.raises(NeuralError, match="has no cross-attention"):
        _ = layer.cross_attn_weights
    file.write_text("network Own { input: (5, 8) layers: TransformerEncoder(2, 8) }")
    with pytest.raises(NeuralError, match="no layer that attends to the text written"):
        _ = load_model(file, "numpy").decoder
