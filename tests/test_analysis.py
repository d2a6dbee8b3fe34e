"""The numbers of the analysis, against their definitions, SciPy and known cases."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neural_attn.analysis import analyze_attention_patterns, guide_patterns
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, SelectionError

try:  # a second opinion; not a dependency
    from scipy.stats import entropy as scipy_entropy
except ModuleNotFoundError:
    scipy_entropy = None

GUIDE_KEYS = {
    "num_heads",
    "attention_entropy",
    "max_attention_per_head",
    "attention_distribution",
    "avg_entropy",
    "avg_max_attention",
    "diagonal_attention_strength",
    "avg_diagonal_strength",
}


@st.composite
def weights(draw, square=False):
    heads, queries, keys = (draw(st.integers(1, 5)) for _ in range(3))
    shape = (heads, queries, queries if square else keys)
    scores = draw(arrays.arrays(np.float64, shape, elements=st.floats(-30, 30)))
    exponential = np.exp(scores - scores.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)


@given(weights())
def test_bounds_and_plain_numbers(w):
    result = analyze_attention_patterns(w)
    assert set(result) >= GUIDE_KEYS
    assert json.loads(json.dumps(result)) == result
    heads, _, keys = w.shape
    assert result["num_heads"] == heads == len(result["attention_entropy"])
    for head in range(heads):
        assert 0 <= result["attention_entropy"][head] <= math.log(keys) + 1e-9
        assert 1 / keys - 1e-9 <= result["max_attention_per_head"][head] <= 1 + 1e-9
        normalized = result["normalized_entropy"][head]
        assert normalized is None if keys == 1 else -1e-9 <= normalized <= 1 + 1e-9


@given(weights(), st.randoms())
def test_entropy_and_maximum_do_not_know_the_order_of_keys(w, random):
    order = random.sample(range(w.shape[2]), w.shape[2])
    before = analyze_attention_patterns(w)
    after = analyze_attention_patterns(w[:, :, order])
    for key in ("attention_entropy", "max_attention_per_head"):
        assert after[key] == pytest.approx(before[key], abs=1e-12)


@pytest.mark.skipif(scipy_entropy is None, reason="SciPy is not installed")
@given(weights())
def test_entropy_is_that_of_scipy(w):
    expected = scipy_entropy(w, axis=-1).mean(axis=-1)
    result = analyze_attention_patterns(w)
    assert result["attention_entropy"] == pytest.approx(expected, abs=1e-9)
    assert result["avg_entropy"] == pytest.approx(expected.mean(), abs=1e-9)


@given(weights(square=True))
@example(np.array([[[0.49999999, 0.50000001], [0.5, 0.5]]]))
def test_numbers_follow_their_definitions(w):
    result = analyze_attention_patterns(w)
    for head, matrix in enumerate(w):
        spread = result["attention_distribution"][head]
        assert spread == pytest.approx(
            {
                "mean": matrix.mean(),
                "std": matrix.std(),
                "min": matrix.min(),
                "max": matrix.max(),
            },
            abs=1e-9,
        )
        assert result["diagonal_attention_strength"][head] == pytest.approx(
            np.diag(matrix).mean() / matrix.mean()
        )
        assert result["max_attention_per_head"][head] == pytest.approx(
            matrix.max(axis=1).mean()
        )


@pytest.mark.parametrize("length", [1, 2, 7, 512])
def test_uniform_attention(length):
    result = analyze_attention_patterns(
        np.full((2, length, length), 1 / length, np.float32)
    )
    assert result["avg_entropy"] == pytest.approx(math.log(length), abs=1e-6)
    assert result["avg_diagonal_strength"] == pytest.approx(1)
    normalized = result["avg_normalized_entropy"]
    assert normalized is None if length == 1 else normalized == pytest.approx(1)


def test_one_hot_attention():
    result = analyze_attention_patterns(np.eye(4)[np.newaxis])
    assert result["attention_entropy"] == [0.0]
    assert result["normalized_entropy"] == [0.0]
    assert result["avg_max_attention"] == 1.0
    assert result["avg_diagonal_strength"] == pytest.approx(4)


def test_a_float32_row_just_above_one_has_no_negative_entropy():
    result = analyze_attention_patterns(np.full((1, 1, 1), 1.0000001, np.float32))
    assert result["attention_entropy"] == [0.0]


@pytest.mark.parametrize(
    ("shape", "cross"), [((2, 3, 4), False), ((2, 3, 3), True), ((1, 2, 4, 3), False)]
)
def test_without_a_diagonal_there_is_no_diagonal_strength(shape, cross):
    result = analyze_attention_patterns(np.full(shape, 1 / shape[-1]), cross=cross)
    assert result["diagonal_attention_strength"] is None
    assert result["avg_diagonal_strength"] is None


def test_batch_index_chooses_the_example():
    both = np.stack([np.eye(3), np.full((3, 3), 1 / 3)])[:, np.newaxis]
    assert analyze_attention_patterns(both)["avg_entropy"] == 0.0
    assert analyze_attention_patterns(both, batch_index=1)[
        "avg_entropy"
    ] == pytest.approx(math.log(3))


def test_causal_uniform_attention_is_uniform_over_what_it_may_see():
    allowed = np.tri(5, dtype=bool)
    uniform = (allowed / allowed.sum(-1, keepdims=True))[np.newaxis]
    masked = analyze_attention_patterns(uniform, allowed)
    assert masked["avg_normalized_entropy"] == pytest.approx(1)
    assert analyze_attention_patterns(uniform)["avg_normalized_entropy"] < 0.7
    expected = np.mean([math.log(n) for n in range(1, 6)])
    assert masked["avg_entropy"] == pytest.approx(expected)


def test_rows_without_any_key_do_not_count():
    w = np.zeros((2, 3, 3))
    w[0, :2] = np.full((2, 3), 1 / 3)
    mask = np.ones((2, 3, 3), bool)
    mask[0, 2] = mask[1] = False
    for given_mask in (mask, None):
        result = analyze_attention_patterns(w, given_mask)
        assert result["attention_entropy"] == [pytest.approx(math.log(3)), None]
        assert result["diagonal_attention_strength"] == [pytest.approx(1), None]
        assert result["attention_distribution"][0]["min"] == pytest.approx(1 / 3)
        assert result["attention_distribution"][1]["mean"] is None
        assert result["avg_entropy"] == pytest.approx(math.log(3))
    nothing = analyze_attention_patterns(np.zeros((1, 2, 2)))
    assert nothing["avg_entropy"] is nothing["avg_diagonal_strength"] is None


@pytest.mark.parametrize(
    ("w", "options", "error", "message"),
    [
        (np.ones((3, 3)), {}, ValueError, r"\(3, 3\)"),
        (np.ones((1, 0, 3)), {}, ValueError, "at least one"),
        (np.full((1, 2, 2), np.nan), {}, ValueError, "finite"),
        (np.full((1, 2, 2), -1.0), {}, ValueError, "0 or more"),
        (np.array([[["a"]]]), {}, ValueError, "not numbers"),
        (np.ones((1, 2, 2)), {"mask": np.ones(3, bool)}, ValueError, "broadcast"),
        (np.ones((1, 2, 2)), {"mask": np.ones(2)}, ValueError, "not bool"),
        (np.ones((1, 1, 2, 2)), {"batch_index": 1}, IndexError, "no example 1"),
    ],
)
def test_bad_input_is_refused(w, options, error, message):
    with pytest.raises(error, match=message):
        analyze_attention_patterns(w, **options)


def test_padding_does_not_count_in_maps():
    real = np.full((1, 1, 3, 3), 1 / 3)
    padded = np.zeros((1, 1, 5, 5))
    padded[:, :, :, :3] = 1 / 3
    visible = np.array([1, 1, 1, 0, 0], bool)
    maps = AttentionMaps(
        [AttentionMap("real", real), AttentionMap("padded", padded, mask=visible)]
    )
    results = guide_patterns(maps)
    assert results["padded"] == results["real"]
    with pytest.raises(SelectionError, match="no example 1"):
        guide_patterns(maps, batch_index=1)


def test_cross_attention_in_maps_has_no_diagonal():
    maps = AttentionMaps([AttentionMap("x", np.eye(3)[None, None], "cross")])
    assert guide_patterns(maps)["x"]["diagonal_attention_strength"] is None
