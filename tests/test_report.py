"""The console report: the numbers of the analysis, and words that they allow."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from neural_attn.analysis import guide_patterns
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.reports.console import build_report


def uniform(queries, keys, heads=2, mask=None):
    allowed = np.broadcast_to(True if mask is None else mask, (1, heads, queries, keys))
    return (allowed / allowed.sum(-1, keepdims=True)).astype(np.float32)


def report_of(weights, *arguments, **options):
    (layer,) = build_report(
        AttentionMaps([AttentionMap("a", weights, *arguments, **options)])
    ).layers
    return layer


CAUSAL = np.tri(20, dtype=bool)


def even(keys):
    return f"as if {keys:.1f} keys shared it evenly (uniform attention: {keys:.1f})"


NOTHING = "nothing special was found: each token gives itself"


@pytest.mark.parametrize(
    ("weights", "options", "entropy", "diagonal"),
    [
        (uniform(20, 20), {}, even(20), f"{NOTHING} 0.05, chance 0.05, 20 rows of 1"),
        (
            np.eye(20)[None, None],
            {},
            "as if 1.0 keys shared it evenly (uniform attention: 20.0)",
            "1 of 1 heads attends to the query's own position more than chance, most "
            "of all head 0: 1.00, chance 0.05, p 1e-26, 20 rows of 1 text",
        ),
        (
            np.roll(np.eye(20), 1, axis=1)[None, None],
            {},
            "as if 1.0 keys shared it evenly (uniform attention: 20.0)",
            f"{NOTHING} 0.00, chance 0.05",
        ),
        # Uniform under a causal mask: a diagonal strength of 3.6 says nothing.
        (
            uniform(20, 20, mask=CAUSAL),
            {"mask": CAUSAL, "causal": True},
            even(8.3),  # exp of the mean of ln n: each row has other keys to share
            f"{NOTHING} 0.14, chance 0.14, 19 rows",
        ),
        # Twice and more the uniform share, in rows so few and even that it is chance.
        (
            (0.9 * uniform(9, 9) + 0.1 * np.eye(9)),
            {},
            "as if 8.7 keys",
            f"{NOTHING} 0.20, chance 0.11, 9 rows",
        ),
        (np.eye(4)[None, None], {}, "as if 1.0 keys", "too few to say: 4 rows of 1"),
        (uniform(1, 1), {}, None, None),
        (np.zeros((1, 1, 2, 2)), {"mask": np.zeros((2, 2), bool)}, None, None),
    ],
)
def test_words_follow_the_evidence(weights, options, entropy, diagonal):
    words = report_of(weights, "encoder_self", **options).interpretation
    for name, expected in (("entropy", entropy), ("diagonal", diagonal)):
        assert words.get(name, "").startswith(expected or "")
        assert (name in words) == (expected is not None)


def test_the_text_has_the_numbers_of_the_analysis():
    maps = AttentionMaps.from_arrays(
        {f"transformer_encoder_{i}": uniform(50, 50, heads=4) for i in range(2)},
        trained=True,
        source="model.neural",
        backend="numpy",
    )
    text = build_report(maps).to_text()
    assert "Layers with attention: 2\n" in text
    assert "transformer_encoder_1: (1, 4, 50, 50)" in text
    assert "- Num heads: 4\n" in text
    assert f"- Avg entropy: 3.912 nats (1.000 of uniform): {even(50)}\n" in text
    assert "- Avg max attention: 0.020: uniform attention would give 0.020\n" in text
    assert f"- Diagonal strength: 1.000 (uniform attention: 1.000): {NOTHING}" in text
    assert "- Entropy by head: 3.91 3.91 3.91 3.91\n" in text
    assert "- Max by head: 0.02 0.02 0.02 0.02\n" in text
    assert "Warning" not in text


def test_as_many_keys_are_said_as_the_printed_average_amounts_to():
    draw = np.random.default_rng(0)
    rows = draw.dirichlet(np.full(20, 0.1), (1, 2, 10))
    layer = report_of(np.concatenate([rows, uniform(10, 20)], axis=2))
    keys = np.exp(layer.patterns["avg_entropy"])
    assert layer.interpretation["entropy"].startswith(f"as if {keys:.1f} keys")
    assert layer.heads[0].statistics["effective_keys"].mean > 1.3 * keys


def test_a_line_for_each_head_on_demand():
    maps = AttentionMaps.from_arrays({"a": uniform(3, 3, heads=4)}).select(head=2)
    assert "Head 2: entropy 1.099, max 0.333, diagonal 1.000" in build_report(
        maps
    ).to_text(heads=True)


@pytest.mark.parametrize(
    ("kind", "queries", "expected"),
    [
        ("cross", 3, "not defined: cross-attention"),
        ("decoder_self", 2, "not defined: not square"),
    ],
)
def test_without_a_diagonal_the_report_says_why(kind, queries, expected):
    maps = AttentionMaps([AttentionMap("a", uniform(queries, 3), kind)])
    assert f"Diagonal strength: {expected}\n" in build_report(maps).to_text()


def test_a_report_on_random_weights_warns():
    maps = AttentionMaps.from_arrays({"a": uniform(3, 3)}, trained=False)
    report = build_report(maps)
    assert "Warning: the weights are untrained (random)" in report.to_text()
    assert len(report.to_dict()["warnings"]) == 1


def test_padding_is_left_out_and_said():
    visible = np.array([1, 1, 1, 0, 0], bool)
    weights = np.where(visible, 1 / 3, 0.0) * np.ones((1, 1, 5, 1))
    maps = AttentionMaps([AttentionMap("a", weights, mask=visible)])
    text = build_report(maps).to_text()
    assert "a: (1, 1, 5, 5)" in text
    assert "Without padding: 3 queries, 3 keys" in text
    assert "1.099 nats (1.000 of uniform)" in text


def test_the_data_are_the_analysis_and_are_json():
    maps = AttentionMaps.from_arrays({"a": uniform(3, 3), "b": uniform(2, 5)})
    data = build_report(maps).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["num_layers"] == 2
    for layer in data["layers"]:
        patterns = guide_patterns(maps)[layer["name"]]
        assert {key: layer[key] for key in patterns} == patterns


@pytest.mark.parametrize(("terminal", "colour"), [(False, False), (True, True)])
def test_colour_goes_to_terminals_alone(terminal, colour):
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=terminal, width=30, color_system="standard"
    )
    if not terminal:
        console = Console(file=stream, width=30)
    maps = AttentionMaps.from_arrays(
        {"[red]layer": uniform(3, 3)}, source="[bold]\x1b[31m"
    )
    report = build_report(maps)
    report.print(console)
    assert ("\x1b[" in stream.getvalue()) is colour
    if not terminal:
        # Markup in names is text, control characters are visible, no line is broken.
        assert stream.getvalue() == report.to_text()
        assert "[red]layer: (1, 2, 3, 3)" in report.to_text()
        assert "[bold]\\x1b[31m" in report.to_text()
