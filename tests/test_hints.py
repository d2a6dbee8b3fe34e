"""Hints that are followed mend the file: those that no example of a page shows.

The pages' own examples are followed in test_explain.py, wrong to right, and the certain
ones by `neural check --fix` in test_fixes.py.
"""

import pytest

from neural_attn.language_service import diagnose
from tests.following import is_among


def net(layers, given="(16, 8)", rest=""):
    return f"network A {{ input: {given} layers: {layers} {rest} }}"


OWN = "define Own(size = 8) { layers: dense = Dense(size) forward(x): "
# message -> (a text that shows it, what is changed in it, to what)
FOLLOWED = {
    "E0105.defines": (
        "".join(
            f"define D{n}() {{ layers: a = D{n + 1}() forward(x): return a(x) }}\n"
            for n in range(40)
        )
        + "define D40() { layers: a = Dense(8) forward(x): return a(x) }\n"
        + net("D0()"),
        "a = D11()",
        "a = Dense(8)",
    ),
    "E0202.define": ("define B() { } " + net("B()"), "{ }", "{ Dense(8) }"),
    "E0206.repeat": (
        net("TransformerEncoder(2, 16, num_layers=2) * 2"),
        ", num_layers=2",
        "",
    ),
    "E0207.define": (
        f"{OWN} return dense(x) }} define Own(a = 8) {{ Dense(a) }} " + net("Own()"),
        "define Own(a",
        "define Other(a",
    ),
    "E0207.label": (net("a = Dense(8) a = Dense(4)"), "a = Dense(4)", "b = Dense(4)"),
    "E0207.number": (
        net("dense_1 = Dense(8) Dense(8) Dense(8)"),
        "dense_1 =",
        "first =",
    ),
    "E0207.repeated": (
        net("a = TransformerEncoder(2, 16) { Dropout(0.1) } * 2"),
        "a = Trans",
        "Trans",
    ),
    "E0211.setting": (
        f'define B(size = 8) {{ loss: "mse" {OWN[23:]} return dense(x) }} '
        + net("B()"),
        'loss: "mse" ',
        "",
    ),
    "E0213.what": (net("Dense(8)").replace(" A ", " torch "), " torch ", " Model2 "),
    "E0217.boundaries": (
        net(
            "Dense(2)",
            rest='loss: "mse" optimizer: Adam(PiecewiseConstantDecay([10], [1.0]))',
        ),
        "[1.0]",
        "[1.0, 0.1]",
    ),
    "E0217.choice": (net('Dense(8, activation="zzz")'), '"zzz"', '"relu"'),
    "E0222.observe": (
        "define O() { forward(x): q = split_heads(x, 2) "
        "a = observe(softmax(q @ transpose(q))) b = observe(softmax(a)) "
        "return merge_heads(b @ q) } " + net("O()"),
        "b = observe(softmax(a))",
        "b = softmax(a)",
    ),
    "E0225.several": (net("Dense(8)", "(16, 8) { a: (4,) }"), " { a: (4,) }", ""),
    "E0226.vectors": (net("Embedding(9, 4) Flatten() Output(2)"), "(16, 8)", "(16,)"),
    "E0230.encoder": (
        net('MultiHeadAttention(2, mode="cross")'),
        'mode="cross"',
        "memory=inputs",
    ),
    "E0232": (net("TimeDistributed(8)"), "(8)", "(Dense(8))"),
    "E0239.index": (
        net("TransformerEncoder(2, 16 * (index + 1), shared=true) * 2"),
        ", shared=true",
        "",
    ),
    "E0242.setting": (
        net("Dense(8)", rest='loss: "mse" { Dense(8) }'),
        " { Dense(8) }",
        "",
    ),
    "W0116.nesterov": (
        net("Dense(2)", rest='loss: "mse" optimizer: SGD(0.1, nesterov=true)'),
        "nesterov=true",
        "momentum=0.9, nesterov=true",
    ),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_text(name):
    text, old, new = FOLLOWED[name]
    assert is_among(diagnose(text), name), [d.render() for d in diagnose(text)]
    assert text.count(old) == 1
    mended = text.replace(old, new)
    code = name.partition(".")[0]
    left = [d for d in diagnose(mended) if d.code == code or d.is_error]
    assert left == [], [d.render() for d in left]
