"""What an editor asks for, also of texts that are half written."""

import pytest

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.language_service import SETTINGS, complete, diagnose, hover


def at_bar(text):
    """The text without its `|`, and the line and column where it stood."""
    offset = text.index("|")
    before = text[:offset]
    return before + text[offset + 1 :], before.count("\n") + 1, (
        offset - before.rfind("\n")
    )  # fmt: skip


def completed(text):
    return [c.insert for c in complete(*at_bar(text))]


BODY = "network A {\n  input: (8,)\n  layers:\n    "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BODY + "Transformer|", "TransformerEncoder("),
        (BODY + "glob|", "GlobalMaxPooling1D()"),
        (BODY + "Dense(8) los|", "loss: "),
        (BODY + "Dense(|", "units="),
        (BODY + "Dense(8, act|)\n}", "activation="),
        (BODY + "Dense(8, activation=|", '"gelu"'),
        (BODY + 'Dense(8, activation="ge|")', "gelu"),
        (BODY + "Embedding(9, 8, mask_zero=t|", "true"),
        (BODY + "Conv1D(4, 3, padding=|", '"same"'),
        ("define Own(size, rate = 0.1) { Dense(size) }\n" + BODY + "O|", "Own("),
        ("define Own(size, rate = 0.1) { Dense(size) }\n" + BODY + "Own(r|", "rate="),
        ("define B() { layers: out = Dense(8) forward(x): y = o|", "out("),
        ("define B() { layers: out = Dense(8) forward(x): y = att|", "attend("),
        ("define B() { forward(x): y = attend(x, ca|", "causal="),
        ("|", "network "),
    ],
)
def test_word_that_could_come_next(text, expected):
    assert expected in completed(text)


@pytest.mark.parametrize(
    "text", [BODY + "# Den|", BODY + "Dense(8) // Den|", 'network A { name: "Den|']
)
def test_nothing_is_offered_in_comments_and_texts(text):
    assert completed(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BODY + "De|nse(8)", "Dense\n\nMultiplies"),
        (BODY + "Dense(un|its=8)", "units: width of the output"),
        (BODY + "transformerencoder|(2)", "TransformerEncoder\n\nSelf-attention"),
        ("define B() { forward(x): y = att|end(x) }", "attend\n\nScaled"),
        ("net|work A { }", "a network:"),
        ("network A { lo|ss: mse }", "what training minimizes"),
    ],
)
def test_help_at_a_place(text, expected):
    found = hover(*at_bar(text))
    assert found.text.startswith(expected)
    assert found.span.text in text.replace("|", "")


@pytest.mark.parametrize("text", ["# Den|se", BODY + "Xyz|zy()", "  |  "])
def test_no_help_where_there_is_none(text):
    assert hover(*at_bar(text)) is None


def test_problems_are_those_of_check():
    text = BODY + "Dens(8) Dense(4, unit=3)\n}"
    with pytest.raises(NeuralError) as caught:
        check_text(text, "a.neural")
    found = diagnose(text, "a.neural")
    assert [d.as_dict() for d in found] == [
        d.as_dict() for d in caught.value.diagnostics
    ]
    assert [d.code for d in found] == ["E0204", "E0203"]
    assert [d.code for d in diagnose(BODY + 'Dense(8) @ "gpu"}')] == ["W0101"]


def test_every_prefix_of_a_file_can_be_asked():
    text = BODY + 'Dense(8, activation="relu")  # a\n  loss: "mse"\n}\n'
    for end in range(len(text) + 1):
        begun = text[:end]
        line = begun.count("\n") + 1
        column = end - begun.rfind("\n")
        complete(begun, line, column)
        hover(begun, line, column)


def test_settings_are_those_that_a_network_has():
    for name in SETTINGS:
        found = diagnose(f"network A {{ {name}: 1 }}")
        assert "E0240" not in {d.code for d in found}
