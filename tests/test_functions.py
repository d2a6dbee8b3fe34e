"""Functions of equations against NumPy's and SciPy's own; sizes, axes, messages."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from scipy import special

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.layer_cases import ruff_complaints

X = np.random.default_rng(0).normal(size=(2, 5, 8))
FUNCTIONS = {
    "relu(x)": np.maximum(X, 0),
    "silu(x)": X * special.expit(X),
    "sigmoid(x)": special.expit(X),
    "softplus(x)": np.logaddexp(X, 0),
    "softmax(x)": special.softmax(X, axis=-1),
    "gelu(x)": X * special.ndtr(X),
    "floor(3 * x)": np.floor(3 * X),
    "x % 0.75": X % 0.75,
    "x % -2": X % -2,
    "2 % x": 2 % X,
    "(3 * x) % (x + 5)": (3 * X) % (X + 5),
    "slice(x, 0, floor(half / 3))": X[..., :1],
    "slice(x, 0, floor(n / 2) + n % 3, axis=1)": X[:, :4],
    "x * floor(half / 3) + maximum(2, half) - minimum(1, 0.5)": X + 3.5,
    "cast(x > 0, x) * 2": (X > 0) * 2.0,
    "single(x) * 2": X * 2,
    "sum(x, axis=1)": X.sum(1, keepdims=True),
    "sum(x)": X.sum(-1, keepdims=True),
    "mean(x, axis=-2)": X.mean(-2, keepdims=True),
    "max(x, axis=1)": X.max(1, keepdims=True),
    "max(x)": X.max(-1, keepdims=True),
    "min(x, 1)": X.min(1, keepdims=True),
    "cumsum(x, axis=1)": X.cumsum(1),
    "cumsum(x)": X.cumsum(-1),
    "where(top_k(x, 3), x, 0)": np.where(np.sort(X)[..., -3:-2] <= X, X, 0),
    "where(top_k(x, half * 2), x, 0)": X,
    "cast(top_k(floor(0 * x), half / 2), x)": np.ones_like(X) * (np.arange(8) < 2),
    "minimum(x, 0.2)": np.minimum(X, 0.2),
    "maximum(x, mean(x))": np.maximum(X, X.mean(-1, keepdims=True)),
    "where(x > 0, x, 0)": np.where(X > 0, X, 0),
    "where(x > 0, 1, x)": np.where(X > 0, 1, X),
    "where(x > mean(x), -x, sum(x, axis=1))": np.where(
        X.mean(-1, keepdims=True) < X, -X, X.sum(1, keepdims=True)
    ),
    "where(not (x > 0 or x < -1), x, 2)": np.where(~((X > 0) | (X < -1)), X, 2),
    "slice(x, 2, 6)": X[..., 2:6],
    "slice(x, 2)": X[..., 2:],
    "slice(x, 0, -3)": X[..., :-3],
    "slice(x, -3)": X[..., -3:],
    "slice(x, 1, 4, axis=1)": X[:, 1:4],
    "slice(x, 0, n - 1, axis=1)": X[:, :-1],
    "slice(x, half / 2, half)": X[..., 2:4],
    "concatenate([-slice(x, half), slice(x, 0, half)])": np.concatenate(
        [-X[..., 4:], X[..., :4]], axis=-1
    ),
    "concatenate([x, slice(x, 0, 2, axis=1)], axis=1)": np.concatenate(
        [X, X[:, :2]], axis=1
    ),
    "concatenate([x, 2 * x], axis=-2)": np.concatenate([X, 2 * X], axis=1),
    "concatenate([repeat(sum(x, axis=1), x, axis=1), x], axis=1)": np.concatenate(
        [X.sum(1, keepdims=True).repeat(5, axis=1), X], axis=1
    ),
    "repeat(reshape(arange(half, x), (1, 1, half)), x)": np.broadcast_to(
        np.arange(4.0), (2, 1, 4)
    ),
    "concatenate(split(-x, half))": -X,
    "maximum(0.5, x) + minimum(y=x, x=half / 3)": np.maximum(0.5, X)
    + np.minimum(4 / 3, X),
    "maximum(-half, x * 9)": np.maximum(-4, X * 9),
    "concatenate(split(x, (3, half, 1)))": X,
}
REFUSED = {
    "minimum(x, transpose(sum(x)))": "do not fit together",
    "where(x, x, 0)": "where chooses by a mask, but (batch, 5, 8) holds numbers",
    "where(x > 0, 1, 0)": "where needs a tensor to choose from, but gets two numbers",
    "where(x > 0, x > 1, x)": "numbers are needed here, but (batch, 5, 8) is a mask",
    "sum(x > 0)": "numbers are needed here, but (batch, 5, 8) is a mask",
    "sum(x, axis=0)": "axis 0 is the batch: its examples are independent",
    "sum(x, axis=-3)": "axis 0 is the batch: its examples are independent",
    "sum(x, axis=3)": "there is no axis 3 in 3",
    "sum(x, axis=half)": "an axis is written as a number",
    "slice(x, 6, 3)": "nothing is between 6 and 3",
    "slice(x, 2, 9)": "the axis has 8 steps, but the part from 2 to 9 is asked for",
    "slice(x, 1.5)": "`1.5` must be a whole number",
    "where(top_k(x, 9), x, 0)": "the last axis of (batch, 5, 8) has no 9 largest",
    "where(top_k(x, 0), x, 0)": "has no 0 largest",
    "where(top_k(x, 1.5), x, 0)": "`1.5` must be a whole number",
    "where(top_k(x, x), x, 0)": "`k` must be a whole number, not a tensor",
    "where(top_k(x > 0, 2), x, 0)": "numbers are needed here",
    "maximum(x, none)": "a number or a tensor is needed here, not none",
    "maximum(none, x)": "a number or a tensor is needed here, not none",
    "sum(x, axis=(1, true))": "`axis` must be one number, not (1, true)",
    "x * (1, x)": "`*` cannot combine a tensor with (1, (batch, 5, 8))",
    'x + ["a", none]': '`+` cannot combine a tensor with ("a", none)',
    '(x > 0) and "a"': '`and` combines masks, but gets `"a"`',
    "(x > 0) and true": "`and` combines masks, but gets `true`",
    'sqrt("a")': '`sqrt` needs numbers, but gets "a"',
    "-(true, none)": "(true, none) is not a number",
    '2 * true + "b"': '`+` needs numbers, but gets "b"',
    "concatenate([x, sum(x)], axis=1)": "cannot be joined",
    "repeat(x, x, axis=1)": "the first with one step there, but gets (batch, 5, 8)",
    "repeat(sum(x), sum(x, axis=1), axis=0)": "axis 0 is the batch",
    "split(x, 3)": "an axis of 8 has no 3 equal parts: (batch, 5, 8)",
    "split(x, (3, 4))": "parts of 3 and 4 are not the 8 steps of (batch, 5, 8)",
    "split(x, 2, axis=0)": "axis 0 is the batch: its examples are independent",
    "split(x, 2)": "`split(x, 2)` gives 2 values",
}
OF_IDS = {  # of ids [batch, 5], and what is refused with its reason
    "sum(x)": "", "max(x)": "", "min(x, axis=1)": "", "cumsum(x, axis=1)": "",
    "slice(x, 1, 3)": "", "concatenate([x, x])": "", "where(x > 3, x, 0)": "",
    "minimum(x, 2)": "", "maximum(2, x)": "", "minimum(0.5, x)": "ids and 0.5",
    "maximum(x, 2 * x)": "", "2 * x - 1": "", "abs(3 - x)": "",
    "x % 3": "", "x ** 2": "", "x - position_ids(x)": "", "position_ids(x) * x": "",
    "where(x > position_ids(x), x, 3)": "", "cast(x, shift) / 2": "",
    "cast(x > 1, shift) * 3": "", "cast(x == position_ids(x), shift) + 2": "",
    "concatenate([shift, 0.5 * cast(x, shift)])": "", "sqrt(cast(x, shift))": "",
    "minimum(cast(x, shift), 2.5)": "", "x * arange(length(x), x)": "",
    "positions(x, padding_mask(x - 1)) + x": "", "positions(x, x)": "is true where a",
    "positions(x, padding_mask(max(x)))": "does not say which steps of (batch, 5) are",
    "where(top_k(x, 2), x, 0)": "",
    "sqrt(x)": "numbers with fractions, but", "exp(x)": "numbers with fractions, but",
    "x / 2": "`/` needs numbers with fractions", "1.0 * x": "ids and 1.0, a fraction",
    "x + shift": "`+` gets ids, (batch, 5), and numbers with fractions",
    "x * (x > 0.5)": "`>` gets ids and 0.5, a fraction",
    "2 ** x": "`**` of ids takes a whole number",
    "x % -2": "takes a whole number, from 0", "x ** -1": "takes a whole number, from 0",
    "minimum(x, 0.5)": "ids and 0.5, a fraction", "floor(x)": "numbers with fractions",
    "where(x > 3, x, 0.5)": "ids and 0.5, a fraction", "x @ x": "needs numbers with",
    "where(x > 3, x, shift)": "`where` gets ids", "cast(x, x)": "must hold numbers",
    "exp(x > 1)": "numbers are needed here, but (batch, 5) is a mask",
    "sqrt(length(x)) * x": "a tensor is needed here, not a length",
    "mean(x)": "this needs numbers with fractions",
    "softmax(x)": "this needs numbers with fractions",
    "relu(x)": "this needs numbers with fractions",
    "concatenate([x, 0.5 * cast(x, shift)])": "one kind, not ids and numbers",
    "stack([x > 1, x > 2, x])": "one kind, not a mask and ids",
}  # fmt: skip
DEFINE = """
define Own(half = 4) {
  forward(x):
    y = %s
    return y
}
network N { input: (5, 8) layers: Own() }
"""


def text_of(expression):
    if "n - 1" in expression or "n / 2" in expression:
        return DEFINE.replace("y =", "n = length(x)\n    y =") % expression
    return DEFINE % expression


def checked_of(text):
    (checked,), warnings = check_text(text)
    assert {w.code for w in warnings} <= {"W0106"}
    return checked


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_the_shape_that_check_knows_is_the_shape(expression):
    shape = [d.value for d in checked_of(text_of(expression)).root.output.dims[1:]]
    real = FUNCTIONS[expression].shape[1:]
    assert [known in (None, size) for known, size in zip(shape, real, strict=True)]


def test_functions_are_numpys(backend, tmp_path):
    """All of them in one forward, side by side."""
    lines = [f"y{i} = {expression}" for i, expression in enumerate(FUNCTIONS)]
    sizes = [value[0].size for value in FUNCTIONS.values()]
    rows = [f"reshape(y{i}, (-1, {size}))" for i, size in enumerate(sizes)]
    body = "\n    ".join([*lines, f"y = concatenate([{', '.join(rows)}])"])
    checked = checked_of(DEFINE.replace("y = %s", f"n = length(x)\n    {body}"))
    loaded = load_model(checked, backend, dtype="float64")
    output, _ = run(loaded.model, loaded.backend, X)
    parts = np.split(output, np.cumsum(sizes)[:-1], axis=1)
    for part, (name, value) in zip(parts, FUNCTIONS.items(), strict=True):
        expected = value.reshape(2, -1)
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-12, err_msg=name)
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""


def test_the_largest_are_counted_where_some_are_equal_or_hidden(backend):
    """As a stable sort has it; all, where an axis turns out to be shorter than k."""
    text = """define Own() { forward(x): return cast(top_k(x, 3), x) }
    define Steps() { forward(x): return cast(top_k(transpose(x), 3), x) }
    network N { input: (none, 5) layers: LAYER() }"""
    lows = -np.inf
    x = np.array([[[2, 1, 2, 2, 2], [lows, lows, 0, lows, lows], [0, 9, lows, 8, 9]]])
    expected = [[1, 0, 1, 1, 0], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]]
    for layer, given, wanted in (
        ("Own", x, expected),
        ("Steps", x, np.ones((5, 3))),
        ("Steps", x[:, 1:], np.ones((5, 2))),
    ):
        loaded = load_model(checked_of(text.replace("LAYER", layer)), backend)
        found, _ = run(loaded.model, loaded.backend, given.astype("float32"))
        np.testing.assert_array_equal(found[0], wanted)


@pytest.mark.parametrize(("expression", "message"), REFUSED.items(), ids=REFUSED)
def test_what_a_function_cannot_take_is_said(expression, message):
    with pytest.raises(NeuralError) as caught:
        check_text(text_of(expression))
    assert message in caught.value.diagnostics[0].message


def test_widths_stay_expressions_of_the_class():
    text = """
    define Own(units) {
      layers: first = Dense(4 * units)  last = Dense(units)
      forward(x):
        y = first(x)
        return last(concatenate([slice(y, 0, units), slice(y, units, 3 * units)]))
    }
    network N { input: (5, 8) layers: Own(2) Own(3) }
    """
    code = emit(checked_of(text), get("pytorch"))
    assert "nn.Linear(3 * units, units)" in code


HABITS = [  # what is written, what the hint says, and what follows it
    ("y = x[0:4]\n return y", "`slice(x, 0, 4)`", "y = slice(x, 0, 4) return y"),
    ("return x[:, 0:4]", "`slice(x, 0, 4, axis=1)`", "return slice(x, 0, 4, axis=1)"),
    (
        "y = split(x, 2)\n return y",
        "equations name each: `a, b = layer(x)`",
        "a, b = split(x, 2) return a",
    ),
    (
        "for t in x { y = cell(t, y) }\n return y",
        "`scan(step, x, state)` calls a layer at each step",
        "return scan(cell, x, zeros((1, 1, 8), x))",
    ),
    ("while x { y = x }\n return x", "there are no loops", "return x"),
    ("return x where x > 0", "`where(mask, x, y)`", "return where(x > 0, x, 0)"),
    (
        "return dense(x) @ transpose(dense.weight)",
        "`x @ transpose(weight(dense))`",
        "return dense(x) @ transpose(weight(dense))",
    ),
    ("return x.T @ x", "write `transpose(x)`", "return transpose(x) @ x"),
    ("return x.mean(1)", "`mean(x, …)`", "return mean(x, 1)"),
    ("return x.relu()", "`relu(x)`", "return relu(x)"),
    ("return self.dense(x)", "written by name alone: `dense`", "return dense(x)"),
    ("return x * x.shape[1]", "`length(x)` the steps", "n = length(x) return x"),
    ("return x * scale(0)", '`scale = Weight(8, "ones")`', "return x * learned"),
    ("return matmul(x, transpose(x))", "write `a @ b`", "return x @ transpose(x)"),
    ("return cat([x, x])", "`concatenate([x, y])`", "return concatenate([x, x])"),
    ("return pow(x, 2)", "`x ** 2`", "return x ** 2"),
    ("return swish(x)", "`silu(x)`", "return silu(x)"),
    ("return max(x, 0)", "`maximum(x, 0)`", "return maximum(x, 0)"),
    ("return dense(x) * width(x)", "`wide = width(x)`", "return dense(x) * wide"),
    (
        "return sum(x, axis=(1, 2))",
        "one axis at a time: `sum(sum(x, axis=1), axis=2)`",
        "return sum(sum(x, axis=1), axis=2)",
    ),
    (
        "return mean(x, axis=(1, 2))",
        "one axis at a time: `mean(mean(x, axis=1), axis=2)`",
        "return mean(mean(x, axis=1), axis=2)",
    ),
]


@pytest.mark.parametrize(("body", "hint", "mended"), HABITS)
def test_what_other_languages_write_leads_to_the_right_spelling(body, hint, mended):
    text = """define A(wide = width(x)) {{
      layers: dense = Dense(8) scale = Embedding(1, 8) learned = Weight(8, "ones")
        cell = GRUCell(8)
      forward(x):
        {}
    }}
    network N {{ input: (5, 8) layers: A() }}"""
    with pytest.raises(NeuralError) as caught:
        check_text(text.format(body))
    assert hint in caught.value.diagnostics[0].hint
    check_text(text.format(mended))


@pytest.mark.parametrize(("expression", "refused"), OF_IDS.items(), ids=OF_IDS)
def test_of_ids_what_is_not_refused_is_the_same_everywhere(
    expression, refused, available_backends
):
    text = f"""define Own() {{
      layers: table = Embedding(9, 4)
      forward(x):
        shift = 0 * reshape(mean(mean(table(x)), axis=1), (-1, 1))
        return where({expression} > 2, 1 + shift, shift)
    }}
    network N {{ input: (5,) layers: Own() }}"""
    if refused:
        with pytest.raises(NeuralError) as caught:
            check_text(text)
        assert refused in caught.value.diagnostics[0].message
        return
    ids, outputs = np.array([[3, 1, 4, 1, 5], [0, 8, 2, 6, 7]]), []
    for name in ("numpy", *available_backends):
        loaded = load_model(checked_of(text), name)
        outputs.append(run(loaded.model, loaded.backend, ids)[0])
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], rtol=0, atol=1e-5)
