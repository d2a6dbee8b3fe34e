"""The input doctor finds what would make a picture lie, and is quiet otherwise."""

import re

import numpy as np
import pytest

from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.validation import ADVICE, admit, codes, examine, usable

N = 12


def good(heads=2, length=N, causal=False):
    random = np.random.default_rng(0)
    scores = np.exp(2 * random.standard_normal((1, heads, length, length)))
    if causal:
        scores = scores * np.tri(length)
    return scores / scores.sum(-1, keepdims=True)


def with_nan():
    weights = good()
    weights[0, 1, 3] = np.nan
    return weights


def pad_mask():
    mask = np.ones((1, 1, 1, N), dtype=bool)
    mask[..., 9:] = False
    return mask


CODES = codes()
STOPS = set(CODES) - ADVICE
BAD = [
    ("W0801", {"a": with_nan()}, {}, r"12 weights are NaN or infinite \(heads 1\)"),
    ("W0802", {"a": good() - 0.1}, {}, "negative, down to -0.1"),
    ("W0803", {"a": good() * 3}, {}, "100% of the rows do not sum to 1.*sums to 3"),
    ("W0804", {"a": good()}, {"causal": True}, "said to be causal"),
    ("W0805", {"a": good()}, {"mask": pad_mask()}, "keys that the mask hides"),
    ("W0806", {"a": good().swapaxes(-1, -2)}, {}, "axes look transposed"),
    ("W0807", {"a": good()}, {"tokens": ["a", "b"]}, "2 tokens for 12 keys"),
    ("W0808", (), {}, "no attention weights"),
    ("W0808", {"a": None}, {}, "no weights"),
    ("W0809", {"a": np.full((1, 2, N, N), 1 / N)}, {}, "almost evenly"),
    ("W0810", {"a": good()}, {"tokens": ["a"] * 9 + ["[PAD]"] * 3}, "to padding"),
    ("W0811", {"a": np.ones(3)}, {}, "cannot hold attention"),
    ("W0811", {"a": np.ones((1, 1, 3, 3), int)}, {}, "cannot hold attention"),
    ("W0812", {"a": good()[0]}, {}, r"shape \(2, 12, 12\) may be \[heads"),
]


@pytest.mark.parametrize(("code", "arrays", "options", "message"), BAD)
def test_what_is_wrong_is_found(code, arrays, options, message):
    maps, findings = admit(arrays, **options)
    assert [f.code for f in findings] == [code]
    (finding,) = findings
    rendered = finding.diagnostic.render()
    assert rendered.startswith(f"warning[{code}]")
    assert finding.hint
    assert re.search(message, rendered)
    assert finding.stops == (code in STOPS)
    assert len(maps) == (0 if finding.stops else 1)


def test_every_code_has_a_case():
    assert {case[0] for case in BAD} == set(CODES)


@pytest.mark.parametrize("causal", [False, True])
def test_good_weights_give_no_finding(causal):
    maps, findings = admit({"a": good(causal=causal)}, causal=causal)
    assert findings == []
    assert len(maps) == 1


def test_a_padding_token_may_start_what_a_decoder_writes():
    start = {"tokens": ["[PAD]", *"abcdefghijk"]}
    assert admit({"a": good(causal=True)}, **start)[1] == []
    assert [one.code for one in admit({"a": good()}, **start)[1]] == ["W0810"]


def test_float16_weights_are_good():
    assert admit({"a": good(length=100).astype(np.float16)})[1] == []


def test_an_empty_tuple_names_the_remedy():
    (finding,) = admit(())[1]
    assert "fused kernel" in finding.hint
    assert 'attn_implementation="eager"' in finding.hint


def test_one_bad_layer_leaves_the_others():
    maps, findings = admit([good(), with_nan(), None, good()])
    assert list(maps) == ["layer_0", "layer_3"]
    assert maps.layer_numbers == (0, 3)  # as the model has them
    assert [f.map for f in findings] == ["layer_1"]
    assert maps.notes == ("layer_2: no attention (None), so no map",)


def test_a_fully_masked_row_is_no_finding():
    mask = np.ones((1, 1, N, N), dtype=bool)
    mask[..., 4, :] = False
    weights = np.where(mask, good(), 0)
    one = AttentionMap("a", weights, "encoder_self", mask)
    maps = AttentionMaps([one])
    assert examine(maps) == []
    assert usable(maps, []) == maps


def test_known_random_weights_are_not_told_twice():
    # The report says that they are untrained; the doctor need not guess.
    uniform = {"a": np.full((1, 2, N, N), 1 / N)}
    assert admit(uniform, trained=False)[1] == []


@pytest.mark.requires_torch
def test_tensors_are_taken():
    import torch

    tensor = torch.tensor(good(), dtype=torch.bfloat16, requires_grad=True)
    maps, findings = admit((tensor,))
    assert findings == []
    assert maps["layer_0"].dtype == np.float32


NETWORK = """
network Tiny {
  input: (6, 8)
  layers:
    TransformerEncoder(num_heads=2, ff_dim=16) * 2
}
"""


def test_a_picture_that_would_lie_is_not_drawn(tmp_path, monkeypatch):
    from neural_attn import pipeline
    from neural_attn.diagnostics.errors import NeuralError
    from neural_attn.models import capture as capture

    source = tmp_path / "tiny.neural"
    source.write_text(NETWORK, encoding="utf-8")
    run = capture.run

    def spoiled(*arguments):
        output, found = run(*arguments)
        name = "transformer_encoder_0"
        weights, mask = found[name]
        found[name] = (np.full_like(weights, np.nan), mask)
        return output, found

    monkeypatch.setattr(capture, "run", spoiled)
    folder = tmp_path / "out"
    request = pipeline.Request(source, backend="numpy", output_dir=folder)
    with pytest.raises(NeuralError) as caught:
        pipeline.visualize(request)
    codes = [d.code for d in caught.value.diagnostics]
    assert codes == ["W0801", "E0421"]
    assert not folder.exists()
