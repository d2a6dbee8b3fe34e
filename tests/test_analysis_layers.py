"""Rollout and flow against independent computations; redundancy of heads."""

import itertools
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_attn.analysis import analyze
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.content_and_rank import effective_rank
from neural_attn.metrics.redundancy import Divergences, cluster, js_divergence
from neural_attn.metrics.rollout import attention_flow, attention_rollout, stack_of
from neural_attn.pipeline import Request as AnalysisRequest
from neural_attn.pipeline import run_analysis
from neural_attn.reports.html import to_html
from neural_attn.reports.markdown import to_markdown


def layers(count, time, seed=0, causal=False):
    scores = np.exp(
        2 * np.random.default_rng(seed).standard_normal((count, time, time))
    )
    scores = scores * np.tri(time) if causal else scores
    return scores / scores.sum(-1, keepdims=True)


def test_rollout_sums_over_all_paths():
    # The definition, without a matrix product: the weight of every path.
    attention = layers(3, 4)
    residual = 0.5 * attention + 0.5 * np.eye(4)
    expected = np.zeros((4, 4))
    for path in itertools.product(range(4), repeat=4):
        weight = 1.0
        for layer, (start, end) in enumerate(itertools.pairwise(path)):
            weight *= residual[2 - layer, start, end]
        expected[path[0], path[-1]] += weight
    found = attention_rollout(attention)
    np.testing.assert_allclose(found[2], expected, atol=1e-14)
    np.testing.assert_allclose(found[0], residual[0], atol=1e-14)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-12)


def test_rollout_of_layers_that_keep_everything_keeps_everything():
    found = attention_rollout(np.stack([np.eye(5)] * 4))
    np.testing.assert_array_equal(found, np.stack([np.eye(5)] * 4))


def test_without_a_residual_it_is_the_product_of_the_layers():
    first, second = layers(2, 6)
    found = attention_rollout([first, second], residual=0)
    np.testing.assert_allclose(found[1], second @ first, atol=1e-14)


@pytest.mark.parametrize("causal", [False, True])
def test_flow_is_that_of_another_implementation(causal):
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("scipy")
    attention = layers(3, 5, seed=1, causal=causal)
    graph = networkx.DiGraph()
    for layer, row, column in itertools.product(range(3), range(5), range(5)):
        capacity = 0.5 * attention[layer, row, column] + 0.5 * (row == column)
        graph.add_edge((layer + 1, row), (layer, column), capacity=float(capacity))
    found = attention_flow(attention)
    for start, end in itertools.product(range(5), range(5)):
        expected = networkx.maximum_flow_value(graph, (3, start), (0, end))
        assert found[start, end] == pytest.approx(expected, abs=1e-7)


def test_flow_through_one_layer_is_the_layer():
    pytest.importorskip("scipy")
    (attention,) = layers(1, 6)
    expected = 0.5 * attention + 0.5 * np.eye(6)
    np.testing.assert_allclose(attention_flow([attention]), expected, atol=1e-8)
    some = attention_flow([attention], queries=[4, 1])
    np.testing.assert_allclose(some, expected[[4, 1]], atol=1e-8)


@pytest.mark.parametrize(
    ("values", "residual", "message"),
    [
        (np.ones((2, 3, 4)), 0.5, "not \\[layers, time, time\\]"),
        (np.ones((3, 3)), 0.5, "not \\[layers, time, time\\]"),
        (np.ones((1, 3, 3)), 1.0, "residual share is 1"),
    ],
)
def test_bad_layers_are_refused(values, residual, message):
    with pytest.raises(ValueError, match=message):
        attention_rollout(values, residual)


def test_a_stack_has_the_layers_of_one_kind_without_padding():
    mask = np.ones((1, 1, 1, 5), dtype=bool)
    mask[..., 3:] = False
    weights = np.where(mask, 1 / 3, 0.0) * np.ones((1, 2, 5, 5))
    maps = AttentionMaps(
        [
            AttentionMap("a", weights, "encoder_self", mask),
            AttentionMap("b", weights, "encoder_self", mask),
            AttentionMap("c", weights, "cross"),
        ]
    )
    stack = stack_of(maps)
    assert stack.shape == (2, 3, 3)
    np.testing.assert_allclose(stack, 1 / 3, rtol=1e-6)
    assert stack_of(maps, "decoder_self") is None


def test_js_divergence_is_its_definition():
    scipy = pytest.importorskip("scipy.spatial.distance")
    weights = layers(4, 9)
    found = js_divergence(weights)
    for a, b in itertools.product(range(4), range(4)):
        rows = zip(weights[a], weights[b], strict=True)
        expected = np.mean([scipy.jensenshannon(p, q, base=2) ** 2 for p, q in rows])
        assert found[a, b] == pytest.approx(expected, abs=1e-6)


def test_heads_that_look_elsewhere_are_one_bit_apart():
    first, second = np.eye(6), np.roll(np.eye(6), 1, axis=1)
    found = js_divergence(np.stack([first, second, first]))
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-6)


def test_equal_heads_form_a_cluster():
    base = layers(3, 12)
    weights = np.concatenate([base, base[:1], base[2:], base[2:]])
    distance = np.sqrt(js_divergence(weights))
    assert cluster(distance) == [[2, 4, 5], [0, 3]]
    assert cluster(distance, limit=2.0) == [[0, 1, 2, 3, 4, 5]]
    assert cluster(np.full((3, 3), np.nan)) == []


@given(st.integers(0, 1000), st.floats(0.05, 0.9))
def test_clusters_are_those_of_scipy(seed, limit):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    points = np.random.default_rng(seed).random((9, 2))
    distance = np.sqrt(np.square(points[:, np.newaxis] - points).sum(-1))
    linked = hierarchy.linkage(distance[np.triu_indices(9, 1)], "average")
    labels = hierarchy.fcluster(linked, limit, "distance")
    expected = [np.flatnonzero(labels == label).tolist() for label in set(labels)]
    several = sorted((g for g in expected if len(g) > 1), key=lambda g: (-len(g), g))
    assert cluster(distance, limit) == several


def test_divergences_merge():
    whole, left, right = (Divergences.empty(3) for _ in range(3))
    for index in range(5):
        found = js_divergence(layers(2, 6, seed=index))
        at = [0, 2] if index % 2 else [0, 1]
        whole.add(found, at)
        (left if index < 2 else right).add(found, at)
    merged = left.merge(right)
    np.testing.assert_allclose(merged.distance, whole.distance, atol=1e-12)
    assert np.isnan(merged.distance[1, 2])


def test_effective_rank():
    weights = np.stack([np.eye(8), np.full((8, 8), 1 / 8)])
    assert effective_rank(weights) == pytest.approx([8, 1])


def stack_maps(time=7, count=3):
    arrays = {
        f"layer_{i}": one[np.newaxis] for i, one in enumerate(layers(count, time))
    }
    return AttentionMaps.from_arrays(arrays, [f"t{i}" for i in range(time)])


@pytest.mark.usefixtures("undrawn")
def test_every_report_has_the_flow_that_was_asked_for():
    pytest.importorskip("scipy", reason="attention flow needs SciPy")
    analysis = analyze(stack_maps(), flow=True)
    expected = attention_flow(stack_of(stack_maps()))
    example = analysis.to_dict()["example"]
    np.testing.assert_allclose(example["flow"], expected, atol=1e-6)
    rollout = attention_rollout(stack_of(stack_maps()))[-1]
    apart = np.corrcoef(expected.ravel(), rollout.ravel())[0, 1]
    assert example["flow_agreement"] == pytest.approx(apart)
    row = f"| flow | {apart:.3f} |"
    mean = f"{expected[:, 0].mean():.3f}"
    assert row in to_markdown(analysis)
    assert re.search(rf"\| 0 t0 \| .* \| {mean} \|", to_markdown(analysis))
    assert "flow through all layers" in to_html(analysis)
    assert analyze(stack_maps()).to_dict()["example"]["flow"] == []


@pytest.mark.usefixtures("undrawn")
def test_layers_stand_side_by_side_in_the_page():
    page = to_html(analyze(stack_maps(count=8)))
    for index in range(8):
        assert f">layer {index}, raw<" in page
        assert f">to layer {index}, rollout<" in page


@pytest.mark.parametrize(
    ("maps", "reason"),
    [
        (stack_maps(time=65), "the first text has 65 tokens.*at most 64"),
        (
            AttentionMaps.from_arrays({"c": layers(2, 5)[:, :3]}),
            "not a stack of self-att",
        ),
    ],
)
def test_where_there_is_no_flow_a_note_says_why(maps, reason):
    analysis = analyze(maps, flow=True)
    assert analysis.example.flow == []
    (note,) = analysis.notes
    assert re.search(reason, note)


def test_flow_without_scipy_fails_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    request = AnalysisRequest(tmp_path / "not even there.neural", flow=True)
    with pytest.raises(NeuralError, match="E0502") as caught:
        run_analysis(request)
    assert "pip install" in str(caught.value)


def test_ranks_are_measured_where_they_are_asked_for():
    maps = stack_maps()
    head = analyze(maps, rank=True).heads[1]
    expected = effective_rank(maps["layer_1"][0])[0]
    assert head.statistics["effective_rank"].mean == pytest.approx(expected, abs=1e-6)
    assert head.statistics["effective_rank"].uniform == pytest.approx(1)
    assert "effective_rank" not in analyze(maps).heads[1].statistics
    assert r"effective\_rank" in to_markdown(analyze(maps, rank=True))


@pytest.mark.usefixtures("undrawn")
def test_the_tokens_shown_are_those_of_the_layers_that_are_stacked():
    draw = np.random.default_rng(0)
    cross = draw.dirichlet(np.ones(9), (1, 3, 7)).astype(np.float32)
    own = draw.dirichlet(np.ones(7), (1, 2, 7)).astype(np.float32)
    read, written = list("abcdefghi"), list("ABCDEFG")
    maps = AttentionMaps(
        [
            AttentionMap("c", cross, "cross", query_tokens=written, key_tokens=read),
            AttentionMap("a", own, query_tokens=written, key_tokens=written),
        ]
    )
    found = analyze(maps)
    assert found.example.tokens == tuple(written)
    assert "rollout" in to_markdown(found)
    assert "rollout" in to_html(found)
