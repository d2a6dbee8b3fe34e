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


@pytest.mark.parametrize(
    ("weights", "options", "expected"),
    [
        (
            uniform(20, 20),
            {},
            {
                "entropy": "diffuse, close to uniform",
                "max_attention": "distributed",
                "diagonal": "balanced",
            },
        ),
        (
            np.eye(20)[None, None],
            {},
            {
                "entropy": "focused on few positions",
                "max_attention": "strong focus on single positions",
                "diagonal": "strong attention to the own position",
            },
        ),
        (
            np.roll(np.eye(20), 1, axis=1)[None, None],
            {},
            {
                "entropy": "focused on few positions",
                "max_attention": "strong focus on single positions",
                "diagonal": "little attention to the own position",
            },
        ),
        # Uniform under a causal mask: a diagonal strength of 3.6 says nothing.
        (
            uniform(20, 20, mask=CAUSAL),
            {"mask": CAUSAL, "causal": True},
            {
                "entropy": "diffuse, close to uniform",
                "max_attention": "distributed",
                "diagonal": "balanced",
            },
        ),
        # Of two keys, uniform attention gives each 0.5: no strong focus.
        (
            uniform(2, 2) * np.float32(1.0),
            {},
            {
                "entropy": "diffuse, close to uniform",
                "max_attention": "moderate",
                "diagonal": "balanced",
            },
        ),
        (uniform(1, 1), {}, {"diagonal": "balanced"}),
        (np.zeros((1, 1, 2, 2)), {"mask": np.zeros((2, 2), bool)}, {}),
    ],
)
def test_words_follow_the_numbers(weights, options, expected):
    layer = report_of(weights, "encoder_self", **options)
    assert layer.interpretation == expected


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
    assert "- Avg entropy: 3.912 nats (1.000 of uniform): diffuse" in text
    assert "- Avg max attention: 0.020: distributed\n" in text
    assert "- Diagonal strength: 1.000 (uniform attention: 1.000): balanced" in text
    assert "Warning" not in text


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
