"""Padding is known as long as its steps stand where they stood, or it is said."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model

DEFINES = """
define Down(n) { Conv1D(n, 3) MultiHeadAttention(2) }
define Keep(n) { Conv1D(n, 3, padding="same") MultiHeadAttention(2) }
define Deep(n) { MultiHeadAttention(2) Down(n) }
"""
IDS = "Embedding(9, 4, mask_zero=true)"
SAME = 'padding="same"'


def check(layers, shape="(8,)"):
    text = f"{DEFINES}\nnetwork N {{ input: {shape} layers: {layers} }}"
    (checked,), warnings = check_text(text)
    # of a source that no layer of the target reads
    warnings = [w for w in warnings if w.code != "W0120"]
    assert {w.code for w in warnings} <= {"W0107"}
    return checked, warnings


LOST = {  # the layers, and what is named: what loses the steps, and what asks for them
    f"{IDS} MaxPooling1D(2) TransformerEncoder(2, 4) TransformerEncoder(2, 4)": (
        "MaxPooling1D",
        "TransformerEncoder",
    ),
    f"{IDS} Conv1D(4, 2) GlobalMaxPooling1D()": ("Conv1D", "GlobalMaxPooling1D"),
    f"{IDS} Conv1D(4, 3, strides=2, {SAME}) LSTM(3)": ("Conv1D", "LSTM"),
    f"{IDS} AveragePooling1D(2, {SAME}) LSTM(3)": ("AveragePooling1D", "LSTM"),
    f"{IDS} SeparableConv1D(4, 2) GRU(3)": ("SeparableConv1D", "GRU"),
    f"{IDS} Permute((2, 1)) MultiHeadAttention(2)": ("Permute", "MultiHeadAttention"),
    f"{IDS} LSTM(4, return_sequences=true, go_backwards=true) GRU(2)": ("LSTM", "GRU"),
    f"{IDS} Down(4)": ("Conv1D", "MultiHeadAttention"),
    f"{IDS} Deep(4)": ("Conv1D", "MultiHeadAttention"),
    f"{IDS} Down(4) * 2": ("Conv1D", "MultiHeadAttention"),
}
REPEATED = ["Deep(4) * 2", "LSTM(4, return_sequences=true, go_backwards=true) * 2"]
KNOWN = [
    f"{IDS} Conv1D(4, 3, {SAME}) TransformerEncoder(2, 4)",
    f'{IDS} Conv1D(4, 3, padding="causal") LSTM(3)',
    f"{IDS} DepthwiseConv1D(3, {SAME}) LSTM(3)",
    f"{IDS} MaxPooling1D(3, strides=1, {SAME}) LSTM(3)",
    f"{IDS} Keep(4) LSTM(3)",
    # nobody asks for padding behind these
    f"{IDS} MaxPooling1D(2) Flatten() Dense(2)",
    f"{IDS} LSTM(4) Dense(4) Reshape((2, 2)) MultiHeadAttention(1)",
    f"{IDS} GlobalAveragePooling1D() Dense(2)",
    # there is no padding
    "Embedding(9, 4) Down(4) Deep(4) Flatten()",
]


@pytest.mark.parametrize(("layers", "named"), LOST.items())
def test_padding_that_is_not_known_any_more_is_said_once(layers, named):
    _, (warning,) = check(layers)
    lost, taker = named
    assert warning.message.startswith(f"after `{lost}` it is not known")
    assert f"`{taker}` treats" in warning.message


@pytest.mark.parametrize("layers", REPEATED)
def test_the_mask_reaches_no_repeat_of_a_layer_behind_which_it_does_not_fit(layers):
    _, (warning,) = check(f"{IDS} {layers}")
    assert "the next of its repeats treats all" in warning.message


@pytest.mark.parametrize("layers", KNOWN)
def test_nothing_is_said_where_padding_is_known_or_nobody_asks(layers):
    assert check(layers)[1] == []


TWO = "{ source: (8,) target: (8,) }"
DECODE = "target: { Embedding(9, 4) TransformerDecoder(2, 4) }"


@pytest.mark.parametrize(
    ("encode", "after", "count"),
    [
        ("TransformerEncoder(2, 4) Conv1D(4, 2)", DECODE, 1),
        ("Conv1D(4, 2) TransformerEncoder(2, 4)", DECODE, 1),
        (f"TransformerEncoder(2, 4) Conv1D(4, 2, {SAME})", DECODE, 0),
        ("TransformerEncoder(2, 4) Conv1D(4, 2)", "target: { Embedding(9, 4) }", 0),
    ],
)
def test_the_padding_of_a_memory(encode, after, count):
    assert len(check(f"source: {{ {IDS} {encode} }} {after}", TWO)[1]) == count


def test_kept_padding_gets_no_attention_behind_a_window(backend):
    layers = f"{IDS} Conv1D(4, 3, {SAME}) MaxPooling1D(2, strides=1, {SAME}) Keep(4)"
    checked, _ = check(layers)
    loaded = load_model(checked, backend)
    _, maps = run(loaded.model, loaded.backend, np.array([[3, 4, 5, 6, 7, 0, 0, 0]]))
    ((weights, _),) = maps.values()
    assert (weights[..., 5:] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert (weights[..., :5] > 0).all()


@pytest.mark.parametrize(
    "window",
    [
        'Conv1D(4, 3, padding="causal", dilation_rate=2) * 2',
        f"Conv1D(4, 4, {SAME}) Keep(4)",
        f'DepthwiseConv1D(3, {SAME}, activation="relu")',
    ],
)
def test_padding_is_0_to_a_window_that_keeps_the_steps(window, backend):
    """As what is beyond a text: it is the same with padding before or behind it."""
    checked, _ = check(f"{IDS} {window}", "(none,)")
    loaded = load_model(checked, backend, dtype="float64")
    ids = np.array([[3, 4, 5, 6], [2, 2, 7, 1]])
    expected, _ = run(loaded.model, loaded.backend, ids)
    for before, behind in ((2, 0), (1, 3)):
        padded = np.pad(ids, ((0, 0), (before, behind)))
        output, _ = run(loaded.model, loaded.backend, padded)
        np.testing.assert_allclose(output[:, before:][:, :4], expected, atol=1e-12)


def test_a_window_that_moves_the_steps_takes_padding_as_it_is():
    for options in ("", f", strides=2, {SAME}"):
        checked, _ = check(f"{IDS} Conv1D(4, 2{options})")
        assert "hide_steps" not in emit(checked, get("pytorch"))


def test_the_second_of_two_branches_is_no_mask_of_the_first():
    layers = f"source: {{ {IDS} }} target: {{ Embedding(9, 4) }} "
    for layer in ("LSTM(4)", f"Conv1D(4, 3, {SAME})", "GlobalMaxPooling1D()"):
        checked, _ = check(layers + layer, TWO)
        (made, *_) = [p for ps in checked.root.children.values() for p in ps][2:]
        assert len(made.inputs) == 1


NO_MASKS = {"x": "the mask of", "1": "the mask of", "x > 0": "a mask of shape"}


@pytest.mark.parametrize("layer", ["LSTM(4)", "GlobalMaxPooling1D()", "Conv1D(4, 2)"])
@pytest.mark.parametrize("mask", NO_MASKS)
def test_what_is_no_mask_of_steps_is_refused(mask, layer):
    text = f"""define Own() {{
      layers: layer = {layer}
      forward(x): return layer(x, attention_mask={mask})
    }}
    network N {{ input: (8, 4) layers: Own() }}"""
    with pytest.raises(NeuralError, match=NO_MASKS[mask]):
        check_text(text)


MASKED = f"{IDS} TransformerEncoder(2, 4)"
PLAIN = "Embedding(9, 4) TransformerEncoder(2, 4)"
STEPS = "LSTM(4, return_sequences=true)"
# inputs, layers, and the cross-attention of each: the input whose padding its keys have
MEMORIES = {
    "a branch without attention": (
        "{ a: (8,) t: (6,) }",
        f"a: {{ {IDS} {STEPS} }} "
        "t: { Embedding(9, 4) MultiHeadAttention(2, memory=a) }",
        ["a"],
    ),
    "a decoder of such a branch": (
        "{ a: (8,) t: (6,) }",
        f"a: {{ {IDS} {STEPS} }} "
        f"t: {{ {IDS} {STEPS} TransformerDecoder(2, 4, memory=a) }}",
        ["a"],
    ),
    "two encoders": (
        "{ a: (8,) b: (8,) t: (6,) }",
        f"a: {{ {MASKED} }} b: {{ {MASKED} }} t: {{ Embedding(9, 4) "
        "TransformerDecoder(2, 4, memory=a) TransformerDecoder(2, 4, memory=b) "
        "TransformerDecoder(2, 4, memory=a) }",
        ["a", "b", "a"],
    ),
    "one of two has padding": (
        "{ a: (8,) b: (8,) t: (6,) }",
        f"a: {{ {PLAIN} }} b: {{ {MASKED} }} t: {{ Embedding(9, 4) "
        "TransformerDecoder(2, 4, memory=a) MultiHeadAttention(2, memory=b) }",
        [None, "b"],
    ),
    "behind branches": (
        "{ a: (8,) t: (8,) }",
        f"a: {{ {MASKED} }} t: {{ {PLAIN} }} TransformerDecoder(2, 4)",
        ["a"],
    ),
    "behind a branch alone": (
        "{ a: (8,) t: (8,) }",
        f"a: {{ {IDS} }} t: {{ {MASKED} }} TransformerDecoder(2, 4)",
        ["t"],
    ),
    "an input as it is": (
        "{ a: (8, 4) a_mask: (8,) t: (6,) }",
        "t: { Embedding(9, 4) MultiHeadAttention(2, memory=a) }",
        ["a"],
    ),
}


@pytest.mark.thorough("tensorflow", but="two encoders")
@pytest.mark.parametrize("case", MEMORIES.values(), ids=MEMORIES)
def test_a_memory_is_masked_by_the_padding_of_its_own_input(case, backend):
    shapes, layers, padded = case
    checked, _ = check(layers, shapes)
    loaded = load_model(checked, backend)
    draw = np.random.default_rng(0)
    inputs = {}
    for given in checked.network.inputs:
        size = (1, *given.shape)
        inputs[given.name] = draw.integers(1, 9, size)
        if given.dtype != "int":
            inputs[given.name] = draw.normal(size=size).astype("float32")
    ends = {"a": 5, "b": 3, "t": 7}
    for name, end in ends.items():
        mask = f"{name}_mask"
        if mask in inputs:
            inputs[mask] = (np.arange(8) < end)[None].astype(np.int64)
        elif name in inputs and len(inputs[name].shape) == 2:
            inputs[name][:, end:] = 0
    _, found = run(loaded.model, loaded.backend, inputs)
    kinds = ("cross", "multi_head")
    cross = [one[0] for name, one in found.items() if any(k in name for k in kinds)]
    assert len(cross) == len(padded)
    for weights, name in zip(cross, padded, strict=True):
        beyond = weights[..., ends[name] :] if name else np.zeros(1)
        assert np.all(beyond == 0)
        inside = weights[..., : ends[name]] if name else weights
        assert np.all(inside > 0)
