"""Values that nothing reads are named, with who could read them; no others are."""

from pathlib import Path

import pytest

import neural_attn
from neural_attn.language_service import diagnose
from tests.corpus import VALID

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((Path(neural_attn.__file__).parent / "templates").glob("*.neural"))
OTHERS = [*VALID, *TEMPLATES, *sorted((ROOT / "examples").rglob("*.neural"))]

TWO = """network N {{ input: {{ source: (none,) target: (none,) }} layers:
  source: {{ Embedding(9, 8) {source} }} target: {{ Embedding(9, 8) {target} }} {after}
}}"""
READS = "LSTM(8, return_sequences=true)"
# the branches and what stands behind them: wrong, right; and what the hint says
MENDED = [
    (
        (READS, "TransformerDecoder(2, 8)", ""),
        (READS, "TransformerDecoder(2, 8, memory=source)", ""),
        "`TransformerDecoder(…, memory=source)` attends",
    ),
    (
        ("LSTM(8)", "LSTM(8)", "Dense(3)"),
        ("LSTM(8)", "LSTM(8)", "Concatenate() Dense(3)"),
        "`Concatenate()`",
    ),
    (
        (READS, f"{READS} MultiHeadAttention(2)", ""),
        (READS, f"{READS} MultiHeadAttention(2, memory=source)", ""),
        "`MultiHeadAttention(…, memory=source)` attends",
    ),
    (
        ("TransformerEncoder(2, 8)", "LSTM(8)", ""),
        ("TransformerEncoder(2, 8) LSTM(8)", "LSTM(8)", "Add()"),
        "`Concatenate()`",
    ),
]


def said(text):
    return [(d.code, d.message, d.hint) for d in diagnose(text)]


@pytest.mark.parametrize(("wrong", "right", "hint"), MENDED)
def test_a_branch_that_nothing_reads_is_named_with_who_could(wrong, right, hint):
    parts = ("source", "target", "after")
    (found,) = said(TWO.format(**dict(zip(parts, wrong, strict=True))))
    assert found[:2] == ("W0120", "nothing reads what the branch `source` gives")
    assert hint in found[2]
    assert said(TWO.format(**dict(zip(parts, right, strict=True)))) == []


@pytest.mark.parametrize(
    "body",
    [
        "y = d(x) return y",
        "y = d(x) y = relu(y) + x return y",
        "y = x if deep { y = d(x) } return y",
        "y = d(x) if deep { return y } return d(x)",
        "m = a(x) return d(x)",  # whose map is seen
        "a, b = split(d(x), 2) return a",
        "_ = d(x) return x",
        "y = d(x) return x @ transpose(weight(d))",  # which is called for its weights
    ],
)
def test_what_is_read_on_some_way_is_none(body):
    text = f"""define B(deep = true) {{
      layers: d = Dense(8) a = MultiHeadAttention(2) forward(x): {body}
    }} network N {{ input: (4, 8) layers: B() }}"""
    assert "W0120" not in {code for code, _, _ in said(text)}


def test_no_network_of_the_corpus_has_one():
    for path in OTHERS:
        codes = {code for code, _, _ in said(path.read_text("utf-8-sig"))}
        assert not codes & {"W0120", "W0121"}, path
