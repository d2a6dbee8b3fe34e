"""`neural explain`: a page for every code, whose examples say what they claim."""

import ast
import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest
from click.testing import CliRunner

import neural_attn.diagnostics
from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.diagnostics.explanations import explanations, page

ROOT = Path(__file__).resolve().parent.parent
PAGES = explanations()
WITH_EXAMPLES = [found for found in PAGES.values() if found.wrong or found.right]
# found outside of a text, or only by a backend
WITHOUT = re.compile(r"E010[123]|E012[4-8]|E022[78]|E0[4567]|W011[45]|W0[89]")


def codes_in_source():
    texts = (
        path.read_text("utf-8")
        for folder in ("neural_attn", "grammar", "backends")
        for path in (ROOT / folder).rglob("*.py")
    )
    return {
        code for text in texts for code in re.findall(r'"([EW]0\d{3})(?:\.\w+)?"', text)
    }


def problems(text):
    try:
        return check_text(text)[1]
    except NeuralError as error:
        return error.diagnostics


def test_every_code_has_a_page_and_every_page_a_code():
    assert set(PAGES) == codes_in_source()


def test_no_code_has_two_pages():
    folder = Path(neural_attn.diagnostics.__file__).parent
    texts = [path.read_text("utf-8") for path in folder.glob("*.md")]
    codes = Counter(re.findall(r"^## ([EW]\d{4}) ", "\n".join(texts), re.MULTILINE))
    assert [code for code, count in codes.items() if count > 1] == []


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


MESSAGES = {
    f"{code}.{key}" if key else code: said
    for code, found in PAGES.items()
    for key, said in found.messages.items()
}


def fields_of(text):
    return {name.partition("!")[0] for _, name, *_ in Formatter().parse(text) if name}


def raised():
    """Where a message is raised: its name, the facts given, and whether with a hint."""
    for folder in ("neural_attn", "grammar", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = node.args[0]
                if isinstance(name, ast.Constant) and name.value in MESSAGES:
                    facts = {k.arg for k in node.keywords} - {"exact", "examples"}
                    yield pytest.param(
                        name.value,
                        facts - {"hint", "edit"},
                        id=f"{path.name}:{node.lineno}",
                    )


RAISED = list(raised())


@pytest.mark.parametrize(("name", "facts"), RAISED)
def test_a_message_is_given_its_facts_and_no_other(name, facts):
    said = MESSAGES[name]
    assert facts == fields_of(said.text) | fields_of(said.hint)


def test_every_message_is_raised_somewhere():
    elsewhere = {"E0113", "E0133", "E0135", "E0136"}  # a table picks those
    assert {one.values[0] for one in RAISED} | elsewhere == set(MESSAGES)


def test_a_sentence_stands_in_one_place():
    said = Counter((one.text, one.hint) for one in MESSAGES.values() if one.text)
    reasons = {"{reason}", "{why}", "cannot read {path}: {reason}"}
    reasons |= {"{path}: tensor `{name}` holds NaN or infinity"}  # ours, another's file
    assert {text for (text, _), n in said.items() if n > 1} <= reasons
