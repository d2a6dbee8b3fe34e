"""One define at several sizes: each network that a framework can run is compiled."""

import pytest
from neural_attn.backends import get
from neural_attn.backends.emit import usage
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.corpus import assert_backends_agree
from tests.layer_cases import ruff_complaints

CASES = {
    "flatten dense": """
    define Block(size) { Dense(16) Flatten() Dense(size) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { Block(3) } b: { Block(3) } Add() Dense(2) }
    """,
    "separable": """
    network Sizes { input: (16,16,4)
      layers: SeparableConv2D(4, 3, depth_multiplier=2) SeparableConv2D(4, 3,
          depth_multiplier=3) SeparableConv2D(4, 3) Flatten() Dense(2) }
    """,
    "nested": """
    define Block(size) { Flatten() Dense(size) }
    define Outer(n) { Dense(5) Block(n) Dense(2) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { Outer(3) } b: { Outer(3) } Add() Dense(2) }
    """,
    "nested twice": """
    define Block(size) { Flatten() Dense(size) }
    define Outer(n) { Dense(5) Block(n) Reshape((3,1)) Block(2) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { Outer(3) } b: { Outer(3) } Add() Dense(2) }
    """,
    "three levels": """
    define A1(size) { Flatten() Dense(size) }
    define A2(n) { A1(n) }
    define A3(n) { Conv1D(2, 3) A2(n) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { A3(3) } b: { A3(3) } Add() Dense(2) }
    """,
    "repeat widening": """
    network Sizes { input: (8,4) layers: Dense(8) * 3 Flatten() Dense(2) }
    """,
    "repeat block widening": """
    define B(n) { Dense(n) Dense(n) }
    network Sizes { input: (8,4) layers: B(6) * 3 Flatten() Dense(2) }
    """,
    "repeat conv": """
    define B(n) { Conv1D(n, 2) Dropout(0.1) }
    network Sizes { input: (8,4) layers: B(6) * 3 Flatten() Dense(2) }
    """,
    "repeat lstm": """
    network Sizes { input: (8,4)
      layers: LSTM(6, return_sequences=true) * 3 Flatten() Dense(2) }
    """,
    "repeat flatten": """
    define B(n) { Dense(3) LayerNormalization() Flatten() Dense(n) Reshape((n, 1)) }
    network Sizes { input: (8,4) layers: B(6) * 3 Flatten() Dense(2) }
    """,
    "equations": """
    define B(n) {
      layers: a = Dense(n) b = Dense(n)
      forward(x, y): return a(x) + b(concatenate([y, y])) }
    define C(n) { layers: p = B(n) q = B(n) forward(x, y): return p(x, y) + q(y, x) }
    network Sizes { input: {x: (8,4) y: (8,3)} layers: C(5) Dense(2) }
    """,
    "norm": """
    define B(n) { Flatten() BatchNormalization() LayerNormalization() Dense(n) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { B(3) } b: { B(3) } Concatenate() Dense(2) }
    """,
    "pool": """
    define B(n) { Conv2D(n, 3) MaxPooling2D(2) Flatten() Dense(5) }
    network Sizes { input: {a: (9,8,4) b: (6,7,4)}
      layers: a: { B(3) } b: { B(2) } Concatenate() Dense(2) }
    """,
    "attention width": """
    define B(h) { MultiHeadAttention(h) Flatten() Dense(8) Reshape((4,2)) }
    network Sizes { input: (8,4) layers: B(2) B(2) Dense(2) }
    """,
    "heads": """
    define B(h) { Concat2() MultiHeadAttention(h) }
    define Concat2() { layers: d = Dense(3) forward(x): return concatenate([x, d(x)]) }
    network Sizes { input: {a: (8,3) b: (8,5)}
      layers: a: { B(2) } b: { B(4) } Concatenate() Dense(2) }
    """,
    "gru both": """
    define B(h) { Bidirectional(GRU(h, return_sequences=true)) Flatten() Dense(h) }
    network Sizes { input: {a: (8,3) b: (7,5)}
      layers: a: { B(2) } b: { B(2) } Add() Dense(2) }
    """,
    "if": """
    define B(h, deep=false) {
      layers: if deep { e = Dense(7) } f = Dense(h)
      forward(x): if deep { x = e(x) } return f(x) }
    network Sizes { input: (8,3) layers: B(4) B(5, true) B(2, deep=true) Dense(2) }
    """,
    "same name": """
    define B(dense_0_in_features) { Flatten() Dense(dense_0_in_features) }
    network Sizes { input: {a: (8,4) b: (6,4)} layers: a: { B(3) } b: { B(3) } Add() }
    """,
    "kernel from width": """
    define B(n) { Conv1D(n, 2, groups=n) Flatten() Dense(n) Reshape((n,1)) }
    network Sizes { input: {a: (8,4) b: (6,4)} layers: a: { B(2) } b: { B(2) } Add() }
    """,
    "encoder widths": """
    define B(n) { Dense(n) TransformerEncoder(2, n) Flatten() Dense(n) Reshape((2,
        -1)) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { B(4) } b: { B(6) } Concatenate() Flatten() Dense(2) }
    """,
    "separable1d none": """
    network Sizes { input: (none,4)
      layers: SeparableConv1D(4, 2, depth_multiplier=2) SeparableConv1D(6, 1)
          SeparableConv1D(2, 3, depth_multiplier=3) GlobalMaxPooling1D() Dense(2) }
    """,
    "timedist": """
    define B(n) { TimeDistributed(Flatten()) Dense(n) }
    network Sizes { input: {a: (4,3,2) b: (4,5,2)}
      layers: a: { B(3) } b: { B(3) } Add() }
    """,
    "residual": """
    define B(n) { ResidualConnection { Flatten() Dense(n) Reshape((2,3)) } Flatten()
        Dense(2) }
    network Sizes { input: {a: (2,3) b: (2,3)} layers: a: { B(6) } b: { B(6) } Add() }
    """,
    "up": """
    define Up(d = width(x)) { Dense(2*d) Dense(3*d) }
    network Sizes { input: (8,2) layers: Up() * 3 Dense(2) }
    """,
    "dense n": """
    define S(n, k) { Dense(n, relu) * k Dense(2) }
    network Sizes { input: (8,4) layers: S(6, 3) S(5, 2) S(7,1) Dense(2) }
    """,
    "dense n in equations": """
    define S(n, k=3) {
      layers: d = Dense(n) * k e = GRU(n, return_sequences=true) * 2
      forward(x): return e(d(x)) }
    network Sizes { input: (8,4) layers: S(6) S(2) S(5, k=2) Dense(2) }
    """,
    "up in define": """
    define Up(d = width(x)) { Dense(2*d) }
    define U(k) { Up() * k Dense(2) }
    network Sizes { input: (8,2) layers: U(2) Dense(3) U(3) U(4) U(1) Dense(2) }
    """,
    "conv repeat": """
    network Sizes { input: (12,12,3)
      layers: Conv2D(4, 3, activation=relu) * 3 DepthwiseConv2D(2,
          depth_multiplier=2) * 2 BatchNormalization() * 2 GlobalAveragePooling2D()
          Dense(3) * 2 }
    """,
    "encoder repeat": """
    network Sizes { input: (8,6)
      layers: TransformerEncoder(2, 8) * 3 LSTM(4, return_sequences=true) * 2
          Bidirectional(GRU(4, return_sequences=true)) * 2 MultiHeadAttention(2) * 2
          Dense(2) }
    """,
    "shrinking": """
    define Fx(n) { Conv1D(3, 2) Flatten() Dense(n) Reshape((-1, 2)) }
    network Sizes { input: (8,6) layers: Fx(12) * 3 Dense(2) }
    """,
    "separable repeat": """
    network Sizes { input: (8,6)
      layers: SeparableConv1D(4, 2, depth_multiplier=2) * 2 Dense(2) }
    """,
    "deep told": """
    define B(n) { Flatten() Dense(n) Reshape((-1,1)) }
    define C(n) { Dense(5) B(n) * 2 B(n) }
    network Sizes { input: {a: (8,4) b: (6,4)}
      layers: a: { C(3) * 2 } b: { C(3) } Add() Dense(2) }
    """,
}  # fmt: skip


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_every_backend_runs_it_and_all_agree(text, available_backends, tmp_path):
    (checked,), warnings = check_text(text)
    assert warnings == []
    assert_backends_agree(checked, available_backends, tmp_path)


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_the_code_is_tidy(text, backend, tmp_path):
    (checked,), _ = check_text(text)
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""


def test_repeats_that_differ_in_width_are_made_in_one_loop():
    (checked,), _ = check_text(
        "network N { input: (8, 4) layers: Dense(8) * 3 Dense(8) * 2 }"
    )
    code = emit(checked, get("pytorch"))
    assert "nn.Linear(in_features, 8) for in_features in [4] + [8] * 2" in code
    assert "nn.ModuleList(nn.Linear(8, 8) for _ in range(2))" in code
    assert "for _ in range(3)" in emit(checked, get("tensorflow"))


@pytest.mark.parametrize("times", [2, 26])
def test_an_axis_doubled_again_and_again_stays_short(times):
    doubled = "x = concatenate([x, x])\n" * times
    (checked,), _ = check_text(
        f"""define Doubled(units) {{
          layers: first = Dense(units)  last = Dense(3)
          forward(x):
            x = first(x)\n{doubled}return last(x)
        }}
        network N {{ input: (4,) layers: Doubled(2) }}""".replace("\n", "\n    ")
    )
    code = emit(checked, get("pytorch"))
    assert len(code) < 5000
    spelled = "units + units + units + units" if times == 2 else str(2**27)
    assert f"nn.Linear({spelled}, 3)" in code


def test_blocks_around_blocks_are_looked_at_once_each(monkeypatch):
    looked = []
    usage_of = usage._uses_of
    monkeypatch.setattr(
        usage, "_uses_of", lambda *given: looked.append(given[1]) or usage_of(*given)
    )
    depth = 8
    blocks = "".join(
        f"""define B{n}() {{
          layers: inner = B{n - 1}()
          forward(x, memory = none):
            x = inner(x, memory)
            return inner(x, memory)
        }}
        """
        for n in range(1, depth)
    )
    (checked,), _ = check_text(
        f"""define B0() {{
          layers: a = MultiHeadAttention(1)
          forward(x, memory = none): return a(x, memory)
        }}
        {blocks}
        define Outer() {{
          layers: inner = B{depth - 1}()
          forward(x): return inner(x, x)
        }}
        network N {{ input: (3, 4) layers: Outer() }}"""
    )
    block = next(b for b in checked.facts if b.name == "B0")
    assert usage.always_given(checked, block) == {"memory"}
    assert len(looked) <= depth + 1


def test_a_layer_called_twice_has_one_width():
    text = """define Twice() {
      layers: dense = Dense(3)
      forward(x): return dense(dense(x))
    }
    network N { input: (8, 4) layers: Twice() }"""
    with pytest.raises(NeuralError, match="`dense` gets 3 numbers here but 4 before"):
        check_text(text)
