"""One mistake, one message: at its place, and nothing that only follows from it."""

import keyword
import random
import re

import pytest

from neural_attn.language_service import diagnose
from tests.corpus import FIXTURES, VALID

LINES = (FIXTURES / "one_mistake.txt").read_text("utf-8").splitlines()
MISTAKES = [line.split(" ", 1) for line in LINES if not line.startswith("#")]
WORD = re.compile(r"[A-Za-z_]\w{2,}|\d+")

TOP = ("define", "macro")  # misspelled, all that they define is unknown too


@pytest.mark.parametrize(("code", "marked"), MISTAKES)
def test_one_mistake_gives_one_message_at_its_place(code, marked):
    before, _, rest = marked.partition("«")
    place, _, _ = rest.partition("»")
    (found,) = diagnose(marked.replace("«", "").replace("»", ""))
    assert found.code == code
    assert (found.span.start, found.span.text) == (len(before), place)


def misspelled(text, choice):
    """The text with one word or number changed; None where that is in a comment."""
    found = choice.choice(list(WORD.finditer(text)))
    word = found[0]
    if word.isdigit():
        other = choice.choice(["0", "-1", "2.5", '"a"', "none"])
    else:
        at = choice.randrange(1, len(word))
        other = choice.choice([word[:at] + word[at + 1 :], word[:at] + word[at - 1 :]])
    line = text[: found.start()].rpartition("\n")[2]
    if "#" in line or "//" in line or keyword.iskeyword(other) or word in TOP:
        return None
    return text[: found.start()] + other + text[found.end() :]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_word_misspelled_gives_at_most_one_message_more(path):
    text = path.read_text("utf-8-sig")
    said = {(d.code, d.message) for d in diagnose(text)}
    choice = random.Random(path.stem)
    for wrong in filter(None, (misspelled(text, choice) for _ in range(6))):
        more = [d for d in diagnose(wrong) if (d.code, d.message) not in said]
        if not any(d.code.startswith("E01") for d in more):  # of a text that parses
            assert len(more) <= 1, wrong


def test_an_unknown_name_is_reported_once_with_the_number_of_its_places():
    layers = "Densee(3) Densee(4) Densee(5) Dense(unit=3) Dense(unit=4)"
    found = diagnose(f"network N {{ input: (8,) layers: {layers} }}")
    assert [d.code for d in found] == ["E0204", "E0203", "E0203"]
    assert found[0].hint == "did you mean `Dense`? (also at 2 more places)"


def test_problems_that_do_not_follow_are_all_shown():
    text = """define B(n) { Dense(8) @ "gpu" Dropout(2) }
    network N { input: (8,) layers: B(n=HPO(3)) Dense(3, "rel") loss: 3 train { } }"""
    codes = [d.code for d in diagnose(text)]
    assert codes == ["W0101", "E0217", "E0231", "E0217", "E0243"]


@pytest.mark.parametrize(
    "layers",
    [
        "a = Dense(4) a = Dense(4)",
        "ResidualConnection { a = Dense(4) } a = Dense(4)",
        "ResidualConnection { a = Dense(4) } * 2",
        "Dense(4) { a = Dense(4) a = Dense(4) }",
        "a = Dense(4) { Dense(4) } * 2",
        "dense_0 = Dense(4) Dense(4)",
        "dense_1 = Dense(4) Dense(4) * 2",
    ],
)
def test_a_name_stands_for_one_layer(layers):
    found = diagnose(f"network N {{ input: (8, 4) layers: {layers} }}")
    assert [d.code for d in found if d.is_error] == ["E0207"]


def test_the_sides_of_a_choice_may_share_a_name():
    text = """define Own(wide) {
      layers: if wide { d = Dense(8) } else { d = Dense(4) }
      forward(x): return d(x)
    }
    network N { input: (8, 4) layers: Own(true) Own(false) }"""
    assert diagnose(text) == []


def test_layers_without_a_colon_are_one_mistake():
    text = "network A {\n  input: (4,)\n  layers\n    Dense(8)\n    Dense(2)\n}\n"
    assert [d.code for d in diagnose(text)] == ["E0130"]
