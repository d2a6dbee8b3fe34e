"""Every message: its code, its place, what the caret marks, what the hint says."""

import pytest
from neural_attn.grammar import parse, parse_file
from neural_attn.grammar.messages import MESSAGES

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError, Problems, Source, Span
from neural_attn.diagnostics.explanations import message


def problems(text):
    """Everything that is wrong with a text, warnings too, as it would be shown."""
    try:
        return check_text(text, "a.neural")[1]
    except NeuralError as error:
        return error.diagnostics


def shown(diagnostic):
    """`code line:column marked text`."""
    span = diagnostic.span
    if span is None:
        return diagnostic.code
    return f"{diagnostic.code} {span.line}:{span.column} {span.text}"


@pytest.mark.parametrize(
    ("row", "example"),
    [pytest.param(row, text, id=text) for row in MESSAGES for text in row.examples],
)
def test_syntax_example_gives_its_own_message(row, example):
    with pytest.raises(NeuralError) as caught:
        parse(example)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.hint) == (
        row.code,
        message(row.code).text.format(),
        message(row.code).hint.format(),
    )


def network(layers, shape="(4, 8)"):
    return f"network A {{\n  input: {shape}\n  layers: {layers}\n}}\n"


def define(inner, use="B()"):
    return f"define {inner}\n" + network(use)


DEEP = "(" * 120 + "8" + ")" * 120

CASES = [
    # what the parser says
    (network("Dense(" + "9" * 60 + ")"), "E0106 3:17 " + "9" * 60),
    (network("Dense(1e999)"), "E0106 3:17 1e999"),
    (network("Dense(8) & Dropout(0.1)"), "E0107 3:20 &"),
    (network('Dense(8, activation="relu)'), 'E0108 3:31 "'),
    (network("/* eight */ Dense(8)"), "E0109 3:11 /"),
    (network("Dense(8))"), "E0110 3:19 )"),
    ("network A {\n  input: (4,)\n  layers: Dense(8)", "E0111 3:18 )"),
    ("network A {\n  layers: Dense(8", "E0112 2:17 8"),
    (network('Dense(8 "relu")'), 'E0113 3:19 "relu"'),
    ("network A { loss: }", "E0114 1:19 }"),
    (network("Dense(units=)"), "E0115 3:23 )"),
    ("network { input: (4,) }", "E0116 1:9 {"),
    ("define { }", "E0117 1:8 {"),
    ("Dense(8)", "E0118 1:1 Dense"),
    ("Network A {", "E0118 1:1 Network"),
    (network("Dense(2^3)"), "E0107 3:18 ^"),
    (network("Dense(8)", "(4x8)"), "E0137 2:11 4x8"),
    (network("Dense(1_000)"), "E0137 3:17 1_000"),
    (network('Dense(8\n  Dropout(0.1)'), "E0136 4:3 Dropout"),
    (network("Dense(8) Dense(9)", "4 8"), "E0133 2:12 8"),
    (network("Dense(8) * "), "E0119 4:1 }"),
    ("define A { forward(x): x }", "E0120 1:26 }"),
    ("define A { forward x }", "E0121 1:20 x"),
    (network("Dense(8 +)"), "E0122 3:20 )"),
    # names
    ("", "E0201"),
    ("define B() { Dense(8) }", "E0201"),
    ("network A { input: (4,) }", "E0202 1:9 A"),
    (network('Dense(8, activaton="relu")'), "E0203 3:20 activaton"),
    (network("Dens(8)"), "E0204 3:11 Dens"),
    (network("Dropout(0.1, 0.2)"), "E0205 3:24 0.2"),
    (network("Dense(8, units=9)"), "E0206 3:20 units=9"),
    ("define B() { Dense(8) }\n" + define("B() { Dense(9) }"), "E0207 2:8 B"),
    (network("Dense(8)") + network("Dense(8)"), "W0118 5:9 A"),
    (define("B(a = 1, a = 2) { Dense(8) }"), "E0207 1:17 a"),
    (define("B(a = 1) { forward(a): return a }"), "E0207 1:27 a"),
    (define("B(a = 1) { forward(x): a = x return a }"), "E0207 1:31 a"),
    (define("B(d = 1) { layers: d = Dense(8) forward(x): return x }"),
     "E0207 1:27 d = Dense(8)"),
    ("network A { input: (4, 8) input: (5, 8) layers: Dense(8) }", "E0208 1:27 input"),
    (network("if big { Dense(8) }"), "E0209 3:11 if big { Dense(8) }"),
    (define("B() { layers: c = B() forward(x): return c(x) }"), "E0210 1:26 B"),
    (define("B() { epochs: 3 Dense(8) }"), "E0211 1:14 epochs: 3"),
    (define("B() { layers: d = Dense(8) epochs: 3 forward(x): return d(x) }"),
     "E0211 1:35 epochs"),
    (define("B() { layers: Dense(8) forward(x): return x }"), "E0212 1:22 Dense(8)"),
    (define("B() { layers: weights = Dense(8) forward(x): return weights(x) }"),
     "E0213 1:22 weights"),
    (define("B(lambda = 3) { Dense(8) }"), "E0213 1:10 lambda"),
    ("network class { input: (4, 8) layers: Dense(8) }", "E0213 1:9 class"),
    (define("B() { forward(self): return self }"), "E0213 1:22 self"),
    (network("Dense(8) { Dropout(0.1) }"), "W0117 3:22 Dropout(0.1)"),
    (define("B() { layers: d = Dense(8) { Dense(9) } forward(x): return d(x) }"),
     "E0214 1:22 d = Dense(8) { Dense(9) }"),
    (network("Dense()"), "E0215 3:11 Dense"),
    (network("Dense(8) * 0"), "E0216 3:22 0"),
    (network("Dense(8) * 2.5"), "E0216 3:22 2.5"),
    (network("Dense(8) * 1000000000"), "E0216 3:22 1000000000"),
    (network("Dropout(2)"), "E0217 3:19 2"),
    (network('Dense(8, activation="rellu")'), 'E0217 3:31 "rellu"'),
    (network('TransformerEncoder(num_heads="four")'), 'E0217 3:40 "four"'),
    (define("B(n) { Dense(units=$n) }", "B(0)"), "E0217 4:13 0"),
    (define("B() { layers: d = Dense(8) forward(x): y = d(x) }"),
     "E0218 1:35 forward(x): y = d(x)"),
    (define("B(w = width(z)) { forward(x): return x }"), "E0219 1:14 width(z)"),
    (define("B() { layers: d = Dense(width(8)) forward(x): return d(x) }"),
     "E0220 1:32 width(8)"),
    (define("B() { forward(x): return atend(x) }"), "E0221 1:33 atend"),
    (define("B() { layers: d = Dense(8) forward(x): return d(hiden) }"),
     "E0223 1:56 hiden"),
    ("network A { layers: Dense(8) }", "E0224 1:9 A"),
    (network("Dense(8)", "{ Dense(8) }"), "E0225 2:12 Dense(8)"),
    (network("Dense(8)", "(0, 8)"), "E0226 2:11 0"),
    (network("Dense(8)", "(4, -8)"), "E0226 2:14 -8"),
    ("network A { input (4, 8) layers: Dense(8) }", "E0244 1:13 input"),
    (network("Dense(8)\n  train(epochs=3)") , "E0244 4:3 train"),
    (network("Dense(8)\n  training(epochs=3)"), "E0244 4:3 training"),
    (network('Dense(8)\n  loss("mse")'), "E0244 4:3 loss"),
    (network('Dense(8)\n  loss: "mse"\n  optimizer = Adam(0.1)'),
     "E0132 5:3 optimizer"),
    (network('Dense(8)\n  loss: "mze"\n  optimizer: Adam(0.1)'), 'E0243 4:9 "mze"'),
    (network("Dense(8.0)"), "W0119 3:17 8.0"),
    (network('Dense("8")'), 'W0119 3:17 "8"'),
    (network("Dense(8.5)"), "E0217 3:17 8.5"),
    (network("Dense(8)", "(batch, 4, 8)"), "E0226 2:11 batch"),
    (network("for"), "E0204 3:11 for"),
    (network("Dense(classes)"), "E0223 3:17 classes"),
    # shapes
    (network("TransformerEncoder(num_heads=3)"),
     "E0301 3:11 TransformerEncoder(num_heads=3)"),
    (network("Dense(3) Embedding(3, 4)"), "E0301 3:20 Embedding(3, 4)"),
    (network("Flatten() Dense(8) GlobalAveragePooling1D()"),
     "E0301 3:30 GlobalAveragePooling1D()"),
    (network("Reshape((3, 3))"), "E0301 3:11 Reshape((3, 3))"),
    (define("B() { forward(x): return x @ x }"), "E0301 1:33 x @ x"),
    (define("B() { forward(x): return x + (1, 2) }"), "E0301 1:33 x + (1, 2)"),
    (define("B() { forward(x): return not x }"), "E0301 1:33 not x"),
    (define("B() { forward(x): return 3 }"), "E0301 1:14 forward(x): return 3"),
    (define("B(n = 3) { layers: d = Dense(n / 2) forward(x): return d(x) }"),
     "E0301 1:37 n / 2"),
    (define("B() { layers: d = Dense(8) forward(x): return d() }"), "E0301 1:54 d()"),
    (define("B() { layers: d = Dense(8) forward(x): return x + d }"), "E0301 1:58 d"),
    (define("B() { forward(x, y): return x + y }"), "E0301 4:11 B()"),
    (define("B() { forward(x): if x { return x } return x }"), "E0301 1:29 x"),
    (define("B(m = 1) { layers: if m == 2 { d = Dense(8) } forward(x): return d(x) }"),
     "E0301 1:73 d(x)"),
    # warnings
    (network('Dense(8) @ "gpu:0"'), 'W0101 3:22 "gpu:0"'),
    (network("Dense(8)", "{ a: (4, 8), b: (4,) }"), "W0102 2:26 (4,)"),
    (define("B() { layers: a = Dense(8) b = Dense(8) forward(x): return a(x) }"),
     "W0108 1:35 b = Dense(8)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    CASES,
    ids=[f"{c[1].split()[0]}-{i}" for i, c in enumerate(CASES)],
)
def test_problem_is_found_at_its_place(text, expected):
    found = [shown(d) for d in problems(text) if d.code[0] == expected[0]]
    assert found == [expected]


def test_two_attentions_in_one_define():
    equations = "merge_heads(attend(q, q, q)) + merge_heads(attend(q, q, q))"
    text = define(f"B() {{ forward(x): q = split_heads(x, 2) return {equations} }}")
    (problem,) = problems(text)
    assert problem.code == "E0222"
    assert problem.span.start == text.rindex("attend(q, q, q)")


def test_nesting_has_a_limit():
    (problem,) = problems(network(f"Dense({DEEP})"))
    assert problem.code == "E0105"


@pytest.mark.parametrize(
    ("layers", "hint"),
    [
        ("Dens(8)", "did you mean `Dense`?"),
        ("TransformerEncodr(num_heads=2)", "did you mean `TransformerEncoder`?"),
        ('Dense(8, activaton="relu")', "did you mean `activation`?"),
        ("TransformerEncoder(num_head=2)", "did you mean `num_heads`?"),
        ('Dense(8, activation="rellu")', "did you mean `relu`?"),
        ("Xyzzy(8)", "define it: `define Xyzzy(…) { … }`"),
        ("Dropout(0.1, 0.2)", "its parameters: rate"),
        ("TransformerEncoder(num_heads=3)", "here d_model = 8, num_heads = 3"),
    ],
)
def test_hint(layers, hint):
    (problem,) = problems(network(layers))
    assert problem.hint == hint


def test_hint_where_a_width_may_stand():
    (problem,) = problems(
        define("B(n = width(x) / 2) { forward(x): return x }", "B(2)")
    )[-1:]
    assert problem.code == "E0220"
    assert problem.hint == "give it a parameter of its own: `width = width(x)`"


def test_problems_of_different_places_are_shown_together():
    text = (
        "define B(n) { layers: d = Dens(n) forward(x): return d(x) }\n"
        "network A {\n"
        "  input: (0, 8)\n"
        '  layers: Dense(8, activaton="relu")\n'
        "}\n"
    )
    assert [shown(d) for d in problems(text)] == [
        "E0204 1:27 Dens",
        "E0226 3:11 0",
        "E0203 4:20 activaton",
    ]


def test_a_define_that_no_network_uses_is_checked():
    assert [shown(d) for d in problems(define("B() { Dens(8) }", "Dense(8)"))] == [
        "E0204 1:14 Dens"
    ]


def test_rendered_problem_shows_line_and_caret():
    (problem,) = problems("network A {\n\tinput: (4, 8)\n\tlayers: Dens(8)\n}")
    assert problem.render() == (
        "a.neural:3:10: error[E0204]: there is no layer `Dens`\n"
        "    3 |  layers: Dens(8)\n"
        "      |          ^^^^\n"
        "  hint: did you mean `Dense`?"
    )


def test_caret_of_a_long_line_stays_under_its_word():
    text = network("Dense(8) " * 60 + "Dens(8) " + "Dense(8) " * 60)
    lines = problems(text)[0].render().splitlines()
    at = lines[2].index("^")
    assert lines[1][at : at + 4] == "Dens"
    assert max(map(len, lines[1:3])) <= 108


def test_problem_for_machines():
    (problem,) = problems(network("Dens(8)"))
    assert problem.as_dict() == {
        "code": "E0204",
        "severity": "error",
        "message": "there is no layer `Dens`",
        "file": "a.neural",
        "line": 3,
        "column": 11,
        "length": 4,
        "hint": "did you mean `Dense`?",
    }


def test_a_problem_is_noted_once():
    span = Span(Source("a", "abc"), 0, 1)
    found = Problems()
    found.add("E0301", span, reason="broken")
    found.add("E0301", span, reason="broken")
    assert len(found.diagnostics) == 1


def test_terminal_escapes_are_made_visible():
    (problem,) = problems("network A { \x1b[31m }")
    assert "\x1b" not in problem.render()
    assert "\\u{1b}" in problem.render()


def test_missing_file(tmp_path):
    with pytest.raises(NeuralError, match=r"E0101.*no such file"):
        parse_file(tmp_path / "absent.neural")


def test_file_too_large(tmp_path):
    path = tmp_path / "big.neural"
    path.write_bytes(b"#" * 10_000_001)
    with pytest.raises(NeuralError, match=r"E0102.*10,000,001 bytes"):
        parse_file(path)


def test_file_that_is_no_text(tmp_path):
    path = tmp_path / "weights.neural"
    path.write_bytes(b"network \xff")
    with pytest.raises(NeuralError, match=r"E0103.*byte 8 is 0xff"):
        parse_file(path)


MANY = """network A {
  input (4, 8)
  layers:
    Dense(units 8)
    Dens(8)
    Dense(8, activation="relu)
    TransformerEncoder(num_head=2,
       ff_dim=16
       dropout=0.1)
    LSTM(8
    "Output"(3)
    Dropout(2)
  loss = "mse"
  optimizer: Adm
  train { epochs = 3 }
}
"""


def test_all_mistakes_are_told_at_once_also_behind_one_of_syntax():
    found = [(d.code, d.span.line, d.span.column) for d in problems(MANY)]
    assert found == [
        ("E0244", 2, 3),
        ("E0113", 4, 17),
        ("E0204", 5, 5),
        ("E0108", 6, 25),
        ("E0136", 9, 8),
        ("E0136", 11, 5),
        ("E0133", 11, 5),
        ("E0217", 12, 13),
        ("E0132", 13, 10),
        ("E0243", 14, 14),
        ("E0132", 15, 20),
    ]


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        ("input: 4, 8", "E0133"),
        ("input: (4, 8", "E0136"),
        ("input: (4, 8))", "E0110"),
        ("input: (4, 8) {", "E0111"),
        ("input: {{ (4, 8)", "E0110"),
        ('input: "(4, 8)', "E0108"),
    ],
)
def test_one_mistake_of_syntax_is_told_as_one(mistake, code):
    text = f"network A {{\n  {mistake}\n  layers:\n    Dense(8)\n    Dense(9)\n}}\n"
    assert [d.code for d in problems(text)] == [code]


HALF = """define Half(d_model = width(x), n = {default}) {{
  layers:
    d = Dense({units}
    ) * n
  forward(x):
    y = {value}
    return d(y) * d_model
}}
network N {{ input: (4, 8) layers: Half() {layer}
}}"""
USUAL = {"default": "2", "units": "8", "value": "x", "layer": "Flatten()"}
QUOTIENTS = [  # what stands where, the quotient that the hint names
    ({"units": "d_model // 2"}, "floor(d_model / 2)"),
    ({"units": "(8 + d_model // 2)"}, None),
    ({"units": "3 + d_model * 4 // 2"}, "floor(d_model * 4 / 2)"),
    ({"value": "relu(x) // 2"}, "floor(relu(x) / 2)"),
    ({"value": "(x + 1) // 2.5"}, "floor((x + 1) / 2.5)"),
    ({"layer": "Dense(4) Dense(8 //2\n)"}, "floor(8 / 2)"),
]


@pytest.mark.parametrize(("given", "quotient"), QUOTIENTS)
def test_a_comment_that_looks_like_a_division_is_named_and_its_hint_mends_it(
    given, quotient
):
    text = HALF.format(**USUAL | given)
    (found,) = problems(text)
    if quotient is None:  # the comment took the bracket too
        assert (found.code, found.hint.count("floor(")) == ("E0136", 1)
        return
    assert (found.code, found.hint.split("`")[1]) == ("W0121", quotient)
    (key, written), *_ = given.items()
    divided = quotient[len("floor(") : -1].rpartition(" /")[0]
    end = written.index("//")
    begin = written.rindex(divided, 0, end)
    rest = written[end:].partition("\n")[1:]
    mended = written[:begin] + quotient + "".join(rest)
    assert problems(HALF.format(**USUAL | {key: mended})) == []


@pytest.mark.parametrize(
    "given",
    [
        {"units": "8  // 2 heads of 4"},
        {"units": "8, // 2"},
        {"units": "8 # 2"},
        {"units": "8\n // 2"},
        {"value": "x // as it is"},
        {"value": 'relu(x) # "a // 2"'},
        {"layer": "Flatten() // 2"},
        {"layer": "Flatten // 2"},
        {"layer": 'Output(3) loss: "mse" // 2\n optimizer: Adam(0.1) // 1'},
    ],
)
def test_an_ordinary_comment_is_none(given):
    assert problems(HALF.format(**USUAL | given)) == []
