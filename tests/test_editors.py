"""Colours in editors: every character of every valid file is known to both grammars."""

import json
import re
from pathlib import Path

import pytest
from neural_attn.grammar.comments import tokens_of
from neural_attn.grammar.format import _parser
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String

from neural_attn.catalogue.examples import EXAMPLES, example
from neural_attn.pygments_lexer import NeuralLexer

ROOT = Path(__file__).resolve().parent.parent
VSCODE = ROOT / "editors" / "vscode"
FILES = [
    path
    for folder in ("grammar", "examples", "neural_attn", "tests")
    for path in sorted((ROOT / folder).rglob("*.neural"))
    if "invalid" not in path.parts
]
TEXTS = {path.name: path.read_text("utf-8") for path in FILES}
TEXTS["examples"] = "".join(map(example, EXAMPLES))
TEXTS["unusual"] = "\ufeffmacro B(x) {\r\n\tDense($x, 'a\\'', \"\") // c\n} # d ; \" '"
GRAMMAR = json.loads(
    (VSCODE / "syntaxes" / "neural.tmLanguage.json").read_text("utf-8")
)

# our terminal -> what the lexer may call it
KINDS = {
    "NETWORK": Keyword, "DEFINE": Keyword, "LAYERS": Keyword, "FORWARD": Keyword,
    "RETURN": Keyword, "IF": Keyword, "ELSE": Keyword, "AND": Operator, "OR": Operator,
    "NOT": Operator, "NUMBER": Number, "STRING": String, "DOCSTRING": String,
    "STAR": Operator, "PLUS": Operator, "MINUS": Operator, "DOLLAR_NAME": Name,
}  # fmt: skip


def textmate(text):
    """Scope and text of each piece, by the rules of the TextMate grammar."""
    pieces, at = [], 0
    while at < len(text):
        found = []
        for rule in GRAMMAR["patterns"]:
            pattern = rule.get("match")
            if pattern is None:
                begin, end = re.escape(rule["begin"]), re.escape(rule["end"])
                pattern = rf"{begin}(?s:\\.|.)*?{end}"
            hit = re.compile(pattern, re.MULTILINE).search(text, at)
            if hit and hit.end() > hit.start():
                found.append(
                    (hit.start(), len(found), hit, rule.get("name", "captures"))
                )
        if not found:
            break
        _, _, hit, scope = min(found)[:4]
        pieces.append((None, text[at : hit.start()]))
        pieces.append((scope, hit[0]))
        at = hit.end()
    return [*pieces, (None, text[at:])]


@pytest.mark.parametrize("name", TEXTS)
def test_pygments_knows_every_token(name):
    text = TEXTS[name]
    pieces = list(NeuralLexer().get_tokens_unprocessed(text))
    assert [value for _, kind, value in pieces if kind in Error] == []
    assert "".join(value for _, _, value in pieces) == text
    kinds = {at: kind for at, kind, _ in pieces}
    for token in tokens_of(_parser().parse(text)):
        if token.type in KINDS:
            assert kinds[token.start_pos] in KINDS[token.type], token


@pytest.mark.thorough("prelude")
@pytest.mark.parametrize("name", TEXTS)
def test_textmate_leaves_only_spaces_over(name):
    pieces = textmate(TEXTS[name])
    assert "".join(value for _, value in pieces) == TEXTS[name]
    left = "".join(value for scope, value in pieces if scope is None)
    assert left.strip(" \t\r\n\f\ufeff") == ""


@pytest.mark.thorough
def test_both_agree_on_comments():
    for text in TEXTS.values():
        ours = [
            v for _, k, v in NeuralLexer().get_tokens_unprocessed(text) if k in Comment
        ]
        theirs = [v for s, v in textmate(text) if s and s.startswith("comment")]
        assert ours == theirs


def test_what_is_no_language_is_an_error():
    pieces = NeuralLexer().get_tokens_unprocessed("network A { & }")
    assert [v for _, k, v in pieces if k in Error] == ["&"]


def test_lexer_is_announced():
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    assert (
        "pygments.lexers =\n    neural = neural_attn.pygments_lexer:NeuralLexer"
        in setup
    )


def test_extension_names_files_that_are_there():
    package = json.loads((VSCODE / "package.json").read_text("utf-8"))
    (language,) = package["contributes"]["languages"]
    (grammar,) = package["contributes"]["grammars"]
    assert (VSCODE / language["configuration"]).is_file()
    assert (VSCODE / grammar["path"]).is_file()
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    json.loads((VSCODE / "language-configuration.json").read_text("utf-8"))
    assert language["extensions"] == [f.lstrip("*") for f in NeuralLexer.filenames]
