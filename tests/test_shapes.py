"""Shapes and parameter counts, compared with the models that are generated."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_source
from neural_attn.shapes.infer import at_shapes

NUMPY = get("numpy")


def checked(text):
    (network,), _ = check_text(text)
    return network


def network(layers, shape="(6, 8)", before=""):
    return checked(f"{before}\nnetwork A {{ input: {shape} layers: {layers} }}")


def shape_of(checked):
    """The output shape, batch first; None where it is not known."""
    return tuple(dim.value for dim in checked.root.output.dims)


def run(checked, *inputs):
    """The output of the generated NumPy model, and its arrays by name."""
    module = load_source(emit(checked, NUMPY), "generated")
    model = module.create_model()
    given = inputs[0] if len(inputs) == 1 else inputs
    return model(given), dict(model.named_weights())


def sample(checked, batch=2, length=6):
    """Random input for a network with one input."""
    (declared,) = checked.network.inputs
    shape = (batch, *(size or length for size in declared.shape))
    rng = np.random.default_rng(0)
    if declared.dtype == "int":
        return rng.integers(0, 11, shape)
    return rng.normal(size=shape).astype("float32")


# --- random chains ---------------------------------------------------------------


@st.composite
def chains(draw):
    """A small network: tokens or vectors, then layers that fit."""
    width = draw(st.sampled_from([4, 8, 12]))
    lines = []
    if draw(st.booleans()):
        shape = draw(st.sampled_from(["(6,)", "(None,)", f"(6, {width})"]))
        lines.append(f"Embedding(11, {width})")
    else:
        shape = f"(6, {width})"
    for _ in range(draw(st.integers(0, 4))):
        heads = draw(st.sampled_from([n for n in (1, 2, 4) if width % n == 0]))
        wide = draw(st.sampled_from([4, 8, 12]))
        layer = draw(
            st.sampled_from(
                [
                    f"Dense({wide}, activation='relu')",
                    f"Dense(units={wide}, use_bias=false)",
                    "LayerNormalization()",
                    "Dropout(0.5)",
                    "Activation('gelu')",
                    "PositionalEncoding()",
                    "PositionalEncoding(max_len=7, encoding_type='learned')",
                    f"FeedForward({wide})",
                    f"MultiHeadAttention({heads}, key_dim=3)",
                    f"TransformerEncoder(num_heads={heads}, ff_dim=5)",
                    f"TransformerEncoder({heads}, 5, norm_first=true) * 2",
                    f"TransformerDecoder(num_heads={heads}, ff_dim=5)",
                ]
            )
        )
        lines.append(layer)
        width = wide if layer.startswith("Dense") else width
    fixed = shape != "(None,)"
    ends = ["", "GlobalAveragePooling1D()", "GlobalMaxPooling1D()"]
    ends += ["Flatten()", f"Reshape(({width}, 6))"] if fixed else []
    lines += [draw(st.sampled_from(ends)), "Dense(3)"]
    return shape, "\n".join(lines)


@given(chains())
@settings(max_examples=60)
def test_inferred_sizes_are_those_of_the_model_that_runs(chain):
    shape, layers = chain
    found = network(layers, shape)
    inputs = sample(found)
    output, arrays = run(found, inputs)
    assert output.ndim == len(shape_of(found))
    for size, inferred in zip(output.shape[1:], shape_of(found)[1:], strict=True):
        assert inferred in (size, None)
    named = {name: weight.shape for name, weight in found.root.named_weights()}
    assert named == {name: array.shape for name, array in arrays.items()}
    count = sum(array.size for array in arrays.values())
    assert found.root.parameter_count == count


# --- inputs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "layers", "declared", "output"),
    [
        ("(6,)", "Embedding(11, 4)", (6,), (None, 6, 4)),
        ("(None,)", "Embedding(11, 4)", (None,), (None, None, 4)),
        ("(6, 4)", "Embedding(11, 4)", (6,), (None, 6, 4)),
        ("(None, 4)", "Embedding(11, 4)", (None,), (None, None, 4)),
        ("(None, 6)", "Embedding(11, 4)", (6,), (None, 6, 4)),
        ("(None, 4)", "Dense(3)", (None, 4), (None, None, 3)),
        ("(None, 6, 4)", "Dense(3)", (6, 4), (None, 6, 3)),
        ("(6, 4)", "Dense(3)", (6, 4), (None, 6, 3)),
        ("(4)", "Dense(3)", (4,), (None, 3)),
        ("4", "Dense(3)", (4,), (None, 3)),
    ],
)
def test_input_shapes(shape, layers, declared, output):
    found = network(layers, shape)
    assert found.network.inputs[0].shape == declared
    assert shape_of(found) == output


def test_another_length_can_be_asked_for():
    found = network("Embedding(11, 4) TransformerEncoder(2, 5)", "(6,)")
    longer = at_shapes(found.network, {"inputs": (9,)})
    assert shape_of(longer) == (None, 9, 4)
    assert longer.root.parameter_count == found.root.parameter_count


def test_a_length_that_some_layer_needs_cannot_be_changed():
    found = network("Flatten() Reshape((8, 6))", "(6, 8)")
    with pytest.raises(NeuralError, match=r"72 numbers are not 48"):
        at_shapes(found.network, {"inputs": (9, 8)})


# --- defines ---------------------------------------------------------------------

GATED = """
define Gated(units, hidden = units * 2, gate = "none") {
  layers:
    expand = Dense(hidden, activation="relu")
    contract = Dense(units)
    if gate == "learned" { weigh = Dense(units, activation="sigmoid") }
  forward(x):
    y = contract(expand(x))
    if gate == "learned" { y = y * weigh(x) }
    return x + y
}
define Twice(n) { layers: inner = Gated(n) * 2 forward(x): return inner(x) }
define Macro(d, h) {
  Dense(units=$d * 2) Dense($d)
  Add()
  MultiHeadAttention(num_heads=$h, key_dim=$d / $h)
  LayerNormalization()
}
define Dense3(units = 3) { Dense(units=$units) }
define Cross(heads, width = width(memory)) {
  layers:
    keys = Dense(8, use_bias=false)
    attention = MultiHeadAttention(heads, key_dim=4)
  forward(x, memory):
    return attention(x, memory)
}
define Pair(heads) {
  layers:
    down = Dense(4)
    cross = Cross(heads)
  forward(x):
    return cross(x, down(x))
}
"""
DENSE_8_16_8 = 8 * 16 + 16 + 16 * 8 + 8


@pytest.mark.parametrize(
    ("layers", "parameters"),
    [
        ("Gated(8)", DENSE_8_16_8),
        ("Gated(8, hidden=4)", 8 * 4 + 4 + 4 * 8 + 8),
        ('Gated(8, gate="learned")', DENSE_8_16_8 + 72),
        ('Gated(8) Gated(8, gate="learned")', 2 * DENSE_8_16_8 + 72),
        ("Twice(8) * 3", 6 * DENSE_8_16_8),
        ("Macro(8, 2)", DENSE_8_16_8 + 4 * 72 + 16),
        ("Dense3()", 27),
        ("Dense3(5) Dense3()", 45 + 18),
        # queries from 8, keys and values from 4 wide vectors, back to 8
        ("Pair(2)", 36 + 72 + 40 + 40 + 72),
    ],
)
def test_parameters_of_defines(layers, parameters):
    found = network(layers, before=GATED)
    assert found.root.parameter_count == parameters
    output, arrays = run(found, sample(found))
    assert sum(array.size for array in arrays.values()) == parameters
    assert output.shape[1:] == shape_of(found)[1:]


def test_a_residual_adds_what_came_before():
    found = network("LayerNormalization() Dense(8) Add()")
    x = sample(found)
    output, arrays = run(found, x)
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    dense = normal @ arrays["dense_0.weight"].T + arrays["dense_0.bias"]
    np.testing.assert_allclose(output, normal + dense, atol=1e-5)


def test_an_author_may_name_a_block_like_a_built_in():
    own = "define FeedForward(n) { Dense(units=$n) }"
    assert network("FeedForward(3)", before=own).root.parameter_count == 27


def test_one_layer_called_twice_counts_once():
    own = "define B() { layers: d = Dense(8) forward(x): return d(d(x)) }"
    assert network("B()", before=own).root.parameter_count == 72


def test_one_layer_cannot_serve_two_widths():
    own = "define B() { layers: d = Dense(4) forward(x): return d(d(x)) }"
    with pytest.raises(NeuralError, match=r"`d` gets 4 numbers here but 8 before"):
        network("B()", before=own)


def test_one_define_may_serve_two_widths():
    own = "define B() { layers: d = Dense(4) forward(x): return d(x) }"
    assert network("B() B()", before=own).root.parameter_count == 36 + 20


# --- attention -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("TransformerEncoder(2, 5)", {"transformer_encoder_0": ("encoder_self", 2)}),
        ("TransformerDecoder(4, 5)", {"transformer_decoder_0": ("decoder_self", 4)}),
        ("MultiHeadAttention(1)", {"multi_head_attention_0": ("encoder_self", 1)}),
        (
            "TransformerEncoder(2, 5) * 2 TransformerEncoder(4, 5)",
            {
                "transformer_encoder_0": ("encoder_self", 2),
                "transformer_encoder_1": ("encoder_self", 2),
                "transformer_encoder_2": ("encoder_self", 4),
            },
        ),
        ("Pair(2)", {"pair_0": ("cross", 2)}),
        ("look = TransformerEncoder(2, 5)", {"look": ("encoder_self", 2)}),
        ("Dense(8)", {}),
    ],
)
def test_names_and_kinds_of_attention(layers, expected):
    found = network(layers, before=GATED).attentions
    assert {name: (a.kind, a.heads) for name, a in found.items()} == expected


def test_two_attentions_in_a_block_have_names_of_their_own():
    own = """define Two() {
      layers: first = MultiHeadAttention(2) second = MultiHeadAttention(4, causal=true)
      forward(x): return second(first(x))
    }"""
    found = network("Two() TransformerEncoder(2, 5)", before=own).attentions
    assert {name: a.causal for name, a in found.items()} == {
        "two_0.first": False,
        "two_0.second": True,
        "transformer_encoder_0": False,
    }


MASKED = """network A {
  input: { ids: (6,), attention_mask: (6,) }
  layers: Embedding(11, 8) TransformerEncoder(2, 5) GlobalAveragePooling1D()
}"""


def test_a_mask_reaches_every_layer_that_takes_one():
    found = checked(MASKED)
    takers = [
        step.name
        for step in found.root.steps
        if step.kind == "layer" and any(t.dtype == "bool" for t in step.inputs)
    ]
    assert takers == ["transformer_encoder_0", "global_average_pooling1d_0"]


# --- many layers -----------------------------------------------------------------


def test_alike_blocks_are_run_once_and_counted_each():
    found = network("TransformerEncoder(2, 5) " * 30)
    one = network("TransformerEncoder(2, 5)")
    assert found.root.parameter_count == 30 * one.root.parameter_count
    names = [parts[0].name for parts in found.root.children.values()]
    assert names == [f"transformer_encoder_{i}" for i in range(30)]


def test_self_and_cross_attention_of_one_block_are_told_apart():
    own = """define Both() {
      layers: one = MultiHeadAttention(2) two = MultiHeadAttention(2) d = Dense(8)
      forward(x): return one(x, x) + two(x, d(x))
    }"""
    found = network("Both()", before=own).attentions
    assert [a.kind for a in found.values()] == ["encoder_self", "cross"]


def test_ten_thousand_repeats_are_cheap():
    found = network("TransformerEncoder(2, 5) * 10000")
    each = network("TransformerEncoder(2, 5)").root.parameter_count
    assert found.root.parameter_count == 10_000 * each
    assert math.isclose(len(found.attentions), 10_000)


def test_the_first_network_of_a_process_is_read_like_any_other():
    code = (
        "from neural_attn.compile import check_text\n"
        "(c,), _ = check_text('network A { input: { ids: (4,) kinds: (4,) } layers: '\n"
        "    'TransformerEmbedding(9, 4) TransformerEncoder(2, 8) }'\n"
        "    .replace('ids:', 'input_ids:').replace('kinds', 'token_type_ids'))\n"
        "print([(a.queries, a.keys) for a in c.attentions.values()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[('input_ids', 'input_ids')]"
