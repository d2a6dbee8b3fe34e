"""Masks in equations: compared, combined, asked for; what `check` accepts runs."""

import numpy as np
import pytest
from neural_attn.backends import get, names
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.arrays import prepare
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.corpus import assert_backends_agree

WINDOW = """
define Near(num_heads, window, d_model = width(x)) {
  layers: q = Dense(d_model)
  forward(x, attention_mask = none):
    n = length(x)
    i = reshape(arange(n, x), (1, 1, n, 1))
    j = reshape(arange(n, x), (1, 1, 1, n))
    near = %s
    %s
    h = split_heads(q(x), num_heads)
    return merge_heads(attend(h, h, h, near))
}
"""
BOTH = """network N {
  input: { a: (7,) b: (7, 8) }
  layers: a: { Embedding(9, 8, mask_zero=true) Near(2, 3) } b: { Near(2, 3) } Add()
}"""
MASKS = {  # how the mask is written, and which keys j a query i may see
    "i - j < window and j <= i": lambda i, j: (i - j < 3) & (j <= i),
    "not (i - j >= window or j > i)": lambda i, j: (i - j < 3) & (j <= i),
    "i == j or j == 0": lambda i, j: (i == j) | (j == 0),
    "i != j or i < 1": lambda i, j: (i != j) | (i < 1),
    "(i - j) ** 2 <= 4.0": lambda i, j: (i - j) ** 2 <= 4,
    "not not (j > 2) or not (i > j)": lambda i, j: (j > 2) | ~(i > j),
}
COMBINED = [
    "near = near and attention_mask",
    "near = attention_mask and near",
    "if attention_mask != none { near = near and attention_mask }",
    "alias = attention_mask\n    near = near and alias",
    "alias = attention_mask\n    near = alias and near",
    "if attention_mask == none { near = near } else { near = near and attention_mask }",
]
END = 5  # of the steps of `a` that are no padding


def maps_of(text, backend):
    (checked,), warnings = check_text(text)
    assert {w.code for w in warnings} <= {"W0106"}  # not each mask has a window
    loaded = load_model(checked, backend)
    draw = np.random.default_rng(0)
    ids = draw.integers(1, 9, (2, 7))
    ids[:, END:] = 0
    vectors = draw.normal(size=(2, 7, 8)).astype("float32")
    _, found = run(loaded.model, loaded.backend, {"a": ids, "b": vectors})
    return [weights for weights, _ in found.values()]


@pytest.mark.parametrize(("mask", "allowed"), MASKS.items(), ids=MASKS)
def test_a_mask_is_what_its_comparison_says(mask, allowed, backend):
    masked, plain = maps_of(WINDOW % (mask, COMBINED[0]) + BOTH, backend)
    i, j = np.indices((7, 7))
    expected = np.broadcast_to(allowed(i, j), plain.shape)
    np.testing.assert_array_equal(plain > 0, expected)
    np.testing.assert_array_equal(masked > 0, expected & (j < END))


@pytest.mark.parametrize("combined", COMBINED)
def test_one_define_serves_with_a_mask_and_without(combined, backend):
    masked, plain = maps_of(WINDOW % ("j <= i", combined) + BOTH, backend)
    i, j = np.indices((7, 7))
    np.testing.assert_array_equal(plain > 0, np.broadcast_to(j <= i, plain.shape))
    np.testing.assert_array_equal(
        masked > 0, np.broadcast_to((j <= i) & (j < END), masked.shape)
    )


LOOKED_AT = {  # how a block uses its mask, and whether it can do without
    "y = where(transpose(reshape(attention_mask, (-1, 1, n))), x, 0)": False,
    "h = split_heads(x, 2)\n "
    "y = merge_heads(attend(h, h, h, not attention_mask))": False,
    "if attention_mask != none { y = 2 * x } else { y = x }": False,
    "h = split_heads(x, 2)\n y = merge_heads(attend(h, h, h, attention_mask))": True,
    "y = x\n if attention_mask != none "
    "{ y = where(transpose(reshape(attention_mask, (-1, 1, n))), x, 0) }": True,
}


@pytest.mark.parametrize(("equation", "optional"), LOOKED_AT.items(), ids=LOOKED_AT)
def test_a_mask_may_be_left_out_where_no_equation_needs_it(equation, optional, backend):
    (checked,), _ = check_text(
        f"define Own() {{ forward(x, attention_mask = none):\n n = length(x)\n "
        f"{equation}\n return y + x }}\nnetwork N {{ input: {{ x: (none, 8) "
        "attention_mask: (none,) } layers: x: { Own() } }"
    )
    vectors = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    loaded = load_model(checked, backend)
    ones = {"x": vectors, "attention_mask": np.ones((2, 5), np.int64)}
    given, _ = run(loaded.model, loaded.backend, ones)
    if optional:
        without, _ = run(loaded.model, loaded.backend, {"x": vectors})
        np.testing.assert_allclose(given, without, atol=1e-6)
    else:
        with pytest.raises(KeyError, match="attention_mask"):
            run(loaded.model, loaded.backend, {"x": vectors})
        with pytest.raises(NeuralError, match="attention_mask"):
            prepare(checked, {"x": vectors})
    assert (", optional" in emit(checked, loaded.backend)) == optional


@pytest.mark.parametrize("combined", COMBINED)
def test_all_backends_agree(combined, available_backends, tmp_path):
    (checked,), _ = check_text(WINDOW % ("j <= i", combined) + BOTH)
    assert_backends_agree(checked, available_backends, tmp_path)


def test_a_size_may_be_reckoned_before_it_is_used(available_backends, tmp_path):
    (checked,), _ = check_text(
        """define R(d_model = width(x)) {
          forward(x):
            half = d_model / 2
            quarter = half / 2
            n = length(x)
            y = reshape(x, (-1, n, 4, quarter))
            return reshape(y, (-1, n, d_model)) / half
        }
        network C { input: (5, 8) layers: R() }"""
    )
    assert_backends_agree(checked, available_backends, tmp_path)


def test_a_mask_may_be_given_by_position(available_backends, tmp_path):
    (checked,), _ = check_text(
        """define Cross(num_heads, d_model = width(x)) {
          layers: q = Dense(d_model)  k = Dense(d_model)
          forward(x, memory, memory_mask = none):
            h = split_heads(k(memory), num_heads)
            return merge_heads(attend(split_heads(q(x), num_heads), h, h, memory_mask))
        }
        define Outer(num_heads) {
          layers: inner = Cross(num_heads)
          forward(x, memory, memory_mask = none):
            return x + inner(x, memory, memory_mask)
        }
        network K {
          input: { a: (5, 8) t: (4, 8) }
          layers: a: { TransformerEncoder(2, 8) } t: { Outer(2) }
        }"""
    )
    assert_backends_agree(checked, available_backends, tmp_path)


WRONG = {
    "i * (i < j)": "`*` works on numbers, but (1, 1, 7, 7) is a mask",
    "(i < j) + (i < j)": "`+` works on numbers, but (1, 1, 7, 7) is a mask",
    "i and j": "`and` combines masks, but gets (1, 1, 7, 1), which holds numbers",
    "(i < j) or none": "`or` combines masks, but gets none",
    "not i": "`not` inverts a mask, but (1, 1, 7, 1) holds numbers",
    "-(i < j)": "a mask cannot be negated",
    "n < 3": "`<` compares numbers or tensors, but a length is known only",
}


@pytest.mark.parametrize(("mask", "message"), WRONG.items(), ids=WRONG)
def test_what_masks_cannot_do_is_said(mask, message):
    with pytest.raises(NeuralError) as caught:
        check_text(WINDOW % (mask, "") + BOTH)
    assert message in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].code == "E0301"


def test_heads_that_do_not_fit_are_told():
    with pytest.raises(NeuralError, match=r"have 4 heads, but .* have 3"):
        check_text(
            """define R() {
              layers: q = Dense(8)  k = Dense(6)
              forward(x):
                key = split_heads(k(x), 3)
                return merge_heads(attend(split_heads(q(x), 4), key, key))
            }
            network C { input: (5, 8) layers: R() }"""
        )


@pytest.mark.parametrize("shared", [1, 2, 4])
@pytest.mark.parametrize("causal", ["false", "true"])
def test_keys_may_have_fewer_heads_than_queries(
    shared, causal, available_backends, tmp_path
):
    """Against attention whose keys and values are repeated, as published."""
    text = f"""define Grouped(num_heads, groups) {{
      layers: q = Dense(num_heads * 3)  k = Dense(groups * 3)  v = Dense(groups * 2)
      forward(x, attention_mask = none):
        key = split_heads(k(x), groups)
        value = split_heads(v(x), groups)
        query = split_heads(q(x), num_heads)
        return merge_heads(attend(query, key, value, attention_mask, causal={causal}))
    }}
    network C {{
      input: (7,)  layers: Embedding(9, 8, mask_zero=true) Grouped(4, {shared})
    }}"""
    (checked,), _ = check_text(text)
    assert_backends_agree(checked, available_backends, tmp_path)
    loaded = load_model(checked, "numpy", dtype="float64")
    ids = np.array([[3, 1, 4, 1, 5, 0, 0], [2, 7, 1, 8, 2, 8, 1]])
    output, found = run(loaded.model, loaded.backend, ids)
    w = loaded.model.named_weights()
    x = w["embedding_0.weight"][ids]

    def heads(name):
        y = x @ w[f"grouped_0.{name}.weight"].T + w[f"grouped_0.{name}.bias"]
        count = 4 if name == "q" else shared
        split = y.reshape(2, 7, count, -1).transpose(0, 2, 1, 3)
        return np.repeat(split, 4 // count, axis=1)

    seen = (ids != 0)[:, None, None, :]
    if causal == "true":
        seen = seen & np.tril(np.ones((7, 7), bool))
    logits = heads("q") @ heads("k").transpose(0, 1, 3, 2) / np.sqrt(3)
    shares = np.exp(np.where(seen, logits, -np.inf))
    shares /= shares.sum(axis=-1, keepdims=True)
    ((weights, _),) = found.values()
    np.testing.assert_allclose(weights, shares, atol=1e-12)
    expected = (shares @ heads("v")).transpose(0, 2, 1, 3).reshape(2, 7, -1)
    np.testing.assert_allclose(output, expected, atol=1e-12)


def test_an_encoder_may_be_causal(backend):
    """As people write GPT of encoder blocks: what comes later moves nothing before."""
    (checked,), warnings = check_text(
        "network G { input: (6, 8) layers: TransformerEncoder(2, 8, causal=true) * 2 }"
    )
    assert warnings == []
    assert {one.kind for one in checked.attentions.values()} == {"decoder_self"}
    loaded = load_model(checked, backend)
    x = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
    other = x.copy()
    other[:, 4:] += 1
    (one, maps), (two, _) = (run(loaded.model, loaded.backend, v) for v in (x, other))
    np.testing.assert_array_equal(one[:, :4], two[:, :4])
    assert np.abs(one[:, 4:] - two[:, 4:]).min() > 0
    for weights, _ in maps.values():
        assert (np.triu(weights, 1) == 0).all()


def test_signs_in_a_row_are_written_once_each():
    signs = "-(" * 40 + "x" + ")" * 40
    (checked,), _ = check_text(
        f"define A() {{ forward(x): return {signs} }} "
        "network N { input: (5, 8) layers: A() }"
    )
    assert emit(checked, get("pytorch")).count("-" * 40 + "x") == 1


def test_queries_of_shared_keys_are_computed_once():
    (checked,), _ = check_text(
        """define R() {
          layers: q = Dense(8)  k = Dense(4)  drop = Dropout(0.5)
          forward(x, attention_mask = none):
            return merge_heads(attend(split_heads(q(x), 2), key=split_heads(k(x), 1),
              value=split_heads(k(x), 1), mask=attention_mask, dropout=drop))
        }
        network C { input: (5, 8) layers: R() }"""
    )
    for name in names():
        code = emit(checked, get(name))
        assert code.count("self.q(x)") == 1, name
        assert "share_heads(split_heads(self.q(x), 2)" in " ".join(code.split()) or (
            "share_heads( split_heads(self.q(x), 2)" in " ".join(code.split())
        )
