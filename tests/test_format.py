"""`neural fmt`: one form, every comment kept, the meaning kept."""

import itertools
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from neural_attn.grammar.comments import tokens_of
from neural_attn.grammar.format import _meaning, _parser, format_text
from neural_attn.grammar.parser import parse

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path
    for folder in ("grammar", "examples", "neural_attn", "tests")
    for path in (ROOT / folder).rglob("*.neural")
    if "invalid" not in path.parts
)
OWN = [path for path in FILES if "fixtures" not in path.parts]
BLOCKS = re.findall(
    r"```neural\n(.*?)```",
    "".join(p.read_text("utf-8") for p in sorted((ROOT / "docs").glob("*.md"))),
    re.DOTALL,
)
UNUSUAL = (
    r"""
macro B($x_, y=1,) {;'''''' }
""".replace("$x_", "x").replace("''''''", "")
    + r"""
network A { input: (4,), (5,) ; optimizer: 'Adam' { learning_rate: 1E-4 }
  layers: [Dense(8, 'it"s\''), Flatten, x = LSTM(units:8) @ "gpu" * (n),]
  train { epochs: [1,2], batch: (3,) } ResidualConnection() { Dense(TRUE) }
  metrics: a, (b, c)
}
research { metrics { accuracy: .9 } }
"""
)
TEXTS = [*(p.read_text("utf-8") for p in FILES), *BLOCKS, UNUSUAL]


def comments_of(text):
    """The words of every comment."""
    tokens = tokens_of(_parser().parse(text))
    gaps, end = [], 0
    for token in tokens:
        gaps.append(text[end : token.start_pos])
        end = token.end_pos
    gaps.append(text[end:])
    found = re.findall(r"(?:#|//)([^\n]*)", "\n".join(gaps))
    return sorted(word for comment in found for word in re.findall(r"\w+", comment))


def assert_formats(text):
    """A text formats to a fixed point that means the same and keeps each comment."""
    formatted = format_text(text)
    assert format_text(formatted) == formatted
    assert _meaning(parse(formatted)) == _meaning(parse(text))
    assert comments_of(formatted) == comments_of(text)
    assert not re.search(r"[ \t]$|\n\n\n\n|\r", formatted, re.MULTILINE)


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_own_files_are_in_canonical_form(path):
    text = path.read_text("utf-8")
    assert format_text(text, path.name) == text


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_formats_to_a_fixed_point(text):
    assert_formats(text)


GAPS = [" ", "\n", "\n\n\n\n", "\t", "\r\n", " # c", " //d", "\n#e\n\n\n# f", " #"]


@settings(max_examples=40)
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_comments_and_line_breaks_may_stand_between_any_two_tokens(text, random):
    share = random.choice([0.02, 0.3, 0.9])
    numbers = itertools.count()
    pieces = []
    for token in tokens_of(_parser().parse(text)):
        gap = random.choice(GAPS) if random.random() < share else " "
        if "#" in gap or "//" in gap:
            gap = f"{gap} x{next(numbers)}\n"
        pieces += [gap, str(token)]
    assert_formats("".join(pieces))


@pytest.mark.thorough
@settings(max_examples=40)
@given(st.data())
def test_generated_text_formats_to_a_fixed_point(data):
    names = st.from_regex(r"[a-z]{1,3}[0-9]", fullmatch=True)
    explicit = {
        "NAME": names,
        "DOLLAR_NAME": names.map("${}".format),
        "NUMBER": st.sampled_from(["1", "2.5", "1e-3", ".5", "3."]),
        "STRING": st.sampled_from(['"a"', "'b'", "''", r"'\"q\''", r'"\\"']),
        "DOCSTRING": st.sampled_from(['"""A.\n\n    b\n  c"""', '""""""', '"""a """']),
        "COMMENT": st.just(""),
        "WHITESPACE": st.just(" "),
    }
    text = data.draw(from_lark(_parser(), start="start", explicit=explicit))
    try:
        parse(text)
    except NeuralError:  # tokens without a space between may read otherwise
        return
    assert_formats(text)


def in_network(layers):
    return f"network A {{\n  layers:\n    {layers}\n}}\n"


CASES = {
    in_network("Dense( units : 8 ,activation='relu', )").strip(): in_network(
        'Dense(units=8, activation="relu")'
    ),
    "macro A(x,y=TRUE){Dense($x)}": ("define A(x, y = true) {\n  Dense($x)\n}\n"),
    "// top\n\n\n\n\nnetwork A { // in\n # end\n } # after\n#!last": (
        "# top\n\n\nnetwork A {  # in\n  # end\n}  # after\n#!last\n"
    ),
    "network A{layers:[Dense(8),\n# two\nDense(9);] loss:'a'}": (
        "network A {\n  layers:\n    Dense(8)\n    # two\n    Dense(9)\n"
        '  loss: "a"\n}\n'
    ),
    in_network("Dense(8, # width\n'relu')"): in_network(
        'Dense(\n      8,  # width\n      "relu"\n    )'
    ),
    "define A(x) {\n'''\n}": None,
    "network A{input:(4,),(5,) name:\"a'b\" other:'a\"b'}": (
        'network A {\n  input: (4,), (5,)\n  name: "a\'b"\n  other: "a\\"b"\n}\n'
    ),
    "define # a\nB # b\n(\n# c\n) # d\n{ }": "define B(\n  # c\n) { }  # a  # b  # d\n",
    "": "",
    "# only": "# only\n",
}


@pytest.mark.parametrize(("text", "formatted"), CASES.items())
def test_canonical_spelling(text, formatted):
    if formatted is None:
        with pytest.raises(NeuralError):
            format_text(text)
    else:
        assert format_text(text) == formatted


def test_long_arguments_fill_lines_of_88_columns():
    names = ", ".join(f"number_{i}={i}" for i in range(12))
    formatted = format_text(in_network(f"label = Layer({names}, size=a + b * (c - d))"))
    lines = formatted.splitlines()
    assert max(map(len, lines)) <= 88
    assert lines[2:-2] == [
        "    label = Layer(",
        "      number_0=0, number_1=1, number_2=2, number_3=3, number_4=4, number_5=5,",
        "      number_6=6, number_7=7, number_8=8, number_9=9, number_10=10, number_11=11,",  # noqa: E501
        "      size=a + b * (c - d)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        in_network("Dense(" + "(" * 90 + "8" + ")" * 90 + ")"),
        in_network("Dense(" + "[" * 90 + "8" + "]" * 90 + ")"),
        in_network("Dense(" + "- " * 90 + "x)"),
        in_network("Dense(" + "f(" * 45 + "8" + ")" * 45 + ")"),
        in_network("A() {" * 90 + "}" * 90),
        "define A(x) { forward(x):" + " if x {" * 90 + "}" * 90 + "}",
        in_network("Dense(" + " + ".join(["x"] * 95) + ")"),
    ],
)
def test_deep_nesting_is_laid_out(text):
    assert_formats(text)


def test_too_deep_nesting_is_a_message():
    with pytest.raises(NeuralError, match="E0105"):
        format_text("network A { " + "layers: [" * 5000 + "]" * 5000 + " }")


def neural(*arguments, stdin=None):
    return CliRunner().invoke(cli, ["fmt", *map(str, arguments)], input=stdin)


def test_command_rewrites_only_what_changes(tmp_path):
    path, link = tmp_path / "a.neural", tmp_path / "link.neural"
    path.write_bytes(b"\xef\xbb\xbfnetwork A{layers:Dense(8)}\r\n")
    link.symlink_to(path)
    assert neural(link).exit_code == 0
    assert path.read_bytes() == b"network A {\n  layers:\n    Dense(8)\n}\n"
    assert link.is_symlink()
    assert neural(path).output == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.neural", "link.neural"]


def test_check_and_diff_write_nothing(tmp_path):
    path = tmp_path / "a.neural"
    path.write_text("network A{layers:Dense(8)}")
    assert neural("--check", path).exit_code == 1
    shown = neural("--diff", path)
    assert shown.exit_code == 1
    assert "+    Dense(8)" in shown.stdout.splitlines()
    assert path.read_text() == "network A{layers:Dense(8)}"
    neural(path)
    assert neural("--check", "--diff", path).exit_code == 0


def test_stdin_goes_to_stdout():
    assert neural("-", stdin="macro A { }").stdout == "define A { }\n"


def test_syntax_error_is_shown_and_the_file_left(tmp_path):
    bad, good = tmp_path / "bad.neural", tmp_path / "good.neural"
    bad.write_text("network A { layers: Dense(8 }")
    good.write_text("macro A { }")
    done = neural(bad, good)
    assert done.exit_code == 1
    assert "bad.neural:1:29: error[E0123]" in done.stderr
    assert bad.read_text() == "network A { layers: Dense(8 }"
    assert good.read_text() == "define A { }\n"
