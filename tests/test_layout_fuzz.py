"""Hostile and odd texts: a NeuralError or a network, quickly, and nothing else."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from neural_attn.compile import check_file, check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.work import counted

BASIC = """# a comment
network Basic {
  input: (50,)   // ids
  layers:
    Embedding(input_dim=1000, output_dim=64)
    TransformerEncoder(num_heads=4, ff_dim=128, dropout=0.1) * 2
    GlobalAveragePooling1D()
    Output(units=2, activation="softmax")
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=1e-3)
}
"""
OWN = '''define Own(heads, d_model = width(x), size = d_model / heads, scale = 2.5) {
  """Attention of my own.

  x [batch, time, width]."""
  layers:
    if heads > 1 { query = Dense(heads * size) } else { query = Dense(size) }
    drop = Dropout(0.1)
  forward(x, attention_mask = none):
    q = split_heads(query(x), heads)
    y = attend(q, q, q, attention_mask, dropout=drop)
    return x + merge_heads(y) * (scale / 2 - -1)
}
network N { input: { ids: (8, 4) } layers: Own(2); Dense(3) @ "cpu" }
'''
SEEDS = [BASIC, OWN]
WORDS = [
    "network", "define", "layers:", "forward", "if", "else", "return", "(", ")", "{",
    "}", "[", "]", ",", ":", "=", "*", "**", "@", "-", "not", "none", "$x", '"', '"""',
    "'", "#", "//", "/*", "\0", "\r\n", "\t", "\ufeff", "\u202e", "\ud800", "한",
    "Dense", "TransformerEncoder", "Own", "N", "x", "attend", "1e308", "1e999",
    "9" * 50, "-1",
    "0", "1000000000", "* 1000000000", ".5", "1.", "width", "HPO", "input:", "((",
]  # fmt: skip


def outcome(text):
    """What checking gives, and that it takes no more than a large file would."""
    networks, work = counted(checked, text)
    assert work < 2_000_000
    return networks


def checked(text):
    try:
        return check_text(text)[0]
    except NeuralError as error:
        for diagnostic in error.diagnostics:
            shown = diagnostic.render()
            assert shown.isprintable() or "\n" in shown
            assert max(map(len, shown.splitlines())) < 5_000
            diagnostic.as_dict()
        return None


@st.composite
def mutations(draw):
    """A valid text with pieces taken out, put in, doubled or moved."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(["cut", "put", "double", "word"]))
        if change == "cut":
            text = text[:start] + text[end:]
        elif change == "put":
            text = text[:start] + draw(st.text(max_size=3)) + text[start:]
        elif change == "word":
            text = text[:start] + " " + draw(st.sampled_from(WORDS)) + " " + text[end:]
        else:
            text = text[:end] + text[start:]
    return text


@given(mutations())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_changed_files(text):
    outcome(text)


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
@settings(max_examples=100)
def test_words_of_the_language_in_any_order(text):
    outcome(text)


@given(st.text(max_size=60))
@example("\0")
@example("\ud800")
@example("\ufeff")
@example("network \u202e {")
@settings(max_examples=60)
def test_any_text(text):
    outcome(text)


def dense(argument):
    return f"network A {{ input: (4, 4) layers: Dense({argument}) }}"


def doubling(count):
    """Blocks that hold the one before twice."""
    defines = "".join(
        f"define A{i}() {{ A{i - 1}() A{i - 1}() }}\n" for i in range(1, count)
    )
    network = f"network N {{ input: (4, 4) layers: A{count - 1}() }}"
    return f"define A0() {{ Dense(4) }}\n{defines}{network}"


HOSTILE = {
    "calls": "network A { layers: " + "Dense(" * 5_000 + "8" + ")" * 5_000 + "}",
    "groups": dense("(" * 5_000 + "8" + ")" * 5_000),
    "signs": dense("-" * 5_000 + "8"),
    "nots": dense("not " * 5_000 + "8"),
    "sum": dense("1 + " * 5_000 + "8"),
    "powers": dense("2 ** " * 5_000 + "8"),
    "networks": "network A {" * 5_000,
    "settings": "network A { a: " + "{ b: " * 5_000,
    "ifs": "define B() { forward(x): " + "if 1 { " * 5_000,
    "braces": "}" * 5_000,
    "power": dense("2 ** 99 ** 99"),
    "product": dense("10 ** 15 * 10 ** 15 * 10 ** 15"),
    "infinity": dense("1e308 * 10"),
    "zero": dense("1 / 0"),
    "size": "network A { input: (99999999999999999999, 4) layers: Dense(8) }",
    "network name": "network " + "A" * 100_000 + " { input: (4, 4) layers: Dens(8) }",
    "layer name": "network A { input: (4, 4) layers: " + "D" * 100_000 + "(8) }",
    "string": dense('8, activation="' + "r" * 100_000 + '"'),
    "comment": "# " + "x" * 1_000_000,
    "quotes": '"' * 100_001,
    "dollars": "$" * 1_000,
    "nul": "\x00" * 1_000,
    "defines": "define A() { Dense(8) }\n" * 300,
    "doubling": doubling(30),
    "doubling far": doubling(200),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_that_is_out_to_exhaust(text):
    outcome(text)


@pytest.mark.parametrize(
    ("count", "why"),
    [(12, ""), (30, "layers, but at most 200,000"), (40, "nested more than 32 levels")],
)
def test_blocks_that_double(count, why):
    if not why:
        (network,), _ = check_text(doubling(count))
        assert network.root.parameter_count == 20 * 2 ** (count - 1)
        return
    with pytest.raises(NeuralError, match=why):
        check_text(doubling(count))


@pytest.mark.parametrize("seed", SEEDS, ids=["basic", "own"])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("  ", "\t"),
        lambda t: "\ufeff" + t,
        lambda t: t.rstrip("\n"),
        lambda t: t + "\n\n# end\n",
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.replace("\n", "\n\f"),
    ],
    ids=["crlf", "tabs", "bom", "no end", "comment", "blank lines", "form feed"],
)
def test_layout_changes_nothing(seed, change):
    (plain,), (changed,) = outcome(seed), outcome(change(seed))
    assert plain.root.parameter_count == changed.root.parameter_count
    assert plain.attentions == changed.attentions


def test_bytes_of_a_file_with_a_mark_and_crlf(tmp_path):
    path = tmp_path / "a.neural"
    path.write_bytes(b"\xef\xbb\xbf" + BASIC.replace("\n", "\r\n").encode())
    (network,), _ = check_file(path)
    assert network.root.parameter_count == outcome(BASIC)[0].root.parameter_count


def test_columns_count_characters_after_crlf():
    with pytest.raises(NeuralError) as caught:
        check_text("network A {\r\n  input: (4, 4)\r\n  layers: Dens(8)\r\n}")
    (problem,) = caught.value.diagnostics
    assert (problem.span.line, problem.span.column) == (3, 11)
    assert "\r" not in problem.render()


@pytest.mark.thorough("Dense")
@pytest.mark.parametrize(
    "line", ["TransformerEncoder(num_heads=4, ff_dim=8)", "Dense(8)"]
)
def test_the_work_of_a_check_grows_with_the_layers(line):
    def check(layers):
        text = (
            f"network A {{\n  input: (16, 8)\n  layers:\n{(line + chr(10)) * layers}}}"
        )
        (network,), _ = check_text(text)
        assert len(network.root.children) == layers

    check(1)  # the grammar is built once
    (_, few), (_, many) = counted(check, 250), counted(check, 1_000)
    assert many < 4.2 * few
    assert many < 2_000_000
