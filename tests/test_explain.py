"""`neural explain`: a page for every code, whose examples say what they claim."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.diagnostics.explanations import explanations, page

ROOT = Path(__file__).resolve().parent.parent
PAGES = explanations()
WITH_EXAMPLES = [found for found in PAGES.values() if found.wrong or found.right]
# found outside of a text, or only by a backend
WITHOUT = re.compile(r"E010[123]|E012[4-8]|E022[78]|E0[456]|W011[45]|W08")


def codes_in_source():
    texts = (
        path.read_text("utf-8")
        for folder in ("neural_attn", "grammar", "backends")
        for path in (ROOT / folder).rglob("*.py")
    )
    return {code for text in texts for code in re.findall(r'"([EW]0\d{3})"', text)}


def problems(text):
    try:
        return check_text(text)[1]
    except NeuralError as error:
        return error.diagnostics


def test_every_code_has_a_page_and_every_page_a_code():
    assert set(PAGES) == codes_in_source()


def test_every_code_of_the_language_has_examples():
    missing = set(PAGES) - {found.code for found in WITH_EXAMPLES}
    assert {code for code in missing if not WITHOUT.match(code)} == set()


@pytest.mark.parametrize("found", WITH_EXAMPLES, ids=lambda found: found.code)
def test_wrong_example_gives_the_code_and_right_example_nothing(found):
    assert found.code in {d.code for d in problems(found.wrong)}
    assert problems(found.right) == []


@pytest.mark.parametrize("found", PAGES.values(), ids=lambda found: found.code)
def test_page_says_something(found):
    assert len(found.text) > 30
    assert "```" not in page(found)


def test_command_prints_a_page_or_lists_all():
    shown = CliRunner().invoke(cli, ["explain", "e0203"])
    assert shown.output.startswith("E0203: A parameter that the layer does not have\n")
    assert "Wrong:" in shown.output
    listed = CliRunner().invoke(cli, ["explain"]).output.splitlines()
    assert [line[:5] for line in listed] == list(PAGES)


def test_unknown_code_is_a_message():
    done = CliRunner().invoke(cli, ["explain", "E9999"])
    assert isinstance(done.exception, NeuralError)
    assert done.exception.diagnostics[0].code == "E0125"


def test_wrapped_errors_are_known_at_any_depth():
    text = "network A { input: (4,) layers: a: { Dense(units=) } }"
    assert [d.code for d in problems(text)] == ["E0115"]
