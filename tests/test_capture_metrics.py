"""Metrics of models that keep no matrix: equal to those of the whole maps."""

import math
import tracemalloc

import numpy as np
import pytest

from neural_attn import AttentionVisualizer, analyze, capture, explore
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.metrics.measure import Unkept
from neural_attn.reports.html import to_html

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.test_capture_huggingface import LEFT, MODELS, TEXT, build  # noqa: E402

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]


def assert_same(one, other):
    """All numbers of two analyses, but of what needs the matrices."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, float) and isinstance(other, float):
        assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6), (one, other)
    else:
        assert one == other


CASES = {  # and how many weights are made together
    "bert": 1, "llama": 1 << 20, "llama, padded on the left": 1, "mistral": 1 << 20,
    "t5": 40, "gemma3": 1 << 20,
}  # fmt: skip


@pytest.mark.parametrize(("case", "cells"), CASES.items())
def test_numbers_are_those_of_the_whole_maps(case, cells, monkeypatch):
    monkeypatch.setattr("neural_attn.metrics.one_pass._MADE_CELLS", cells)
    *made, inputs = MODELS[case]
    model = build(*made)
    words = {name: [[f"w{n % 4}" for n in range(ids.shape[1])]] * 2
             for name, ids in inputs.items() if name.endswith("input_ids")}  # fmt: skip
    whole = analyze(capture(model, inputs, tokens=words)).to_dict()
    part = capture(model, inputs, tokens=words, keep="metrics")
    found = analyze(part).to_dict()
    assert "no matrix" in found.pop("notes")[0]
    whole.pop("notes"), whole.pop("example"), found.pop("example")
    assert_same(found, whole)


def test_eager_weights_are_measured_too():
    *made, inputs = MODELS["llama"]
    model = build(*made)
    model.set_attn_implementation("eager")
    whole = analyze(capture(model, inputs)).to_dict()
    found = analyze(capture(model, inputs, keep="metrics")).to_dict()
    for one in (whole, found):
        one.pop("notes"), one.pop("example")
    assert_same(found, whole)


def test_some_layers_and_heads_of_it():
    model = build(*MODELS["bert"][:3])
    part = capture(model, TEXT, layers=-1, heads=[1, 3], keep="metrics")
    assert [head.label for head in analyze(part).heads] == ["L1H1", "L1H3"]
    assert repr(part).startswith("PartialAnalysis(2 heads of 1 map over 2 texts")


@pytest.mark.usefixtures("undrawn")
def test_parts_of_several_runs_are_one(tmp_path):
    model = build(*MODELS["bert"][:3])
    halves = [{name: ids[n : n + 1] for name, ids in LEFT.items()} for n in (0, 1)]
    parts = [capture(model, half, keep="metrics") for half in halves]
    together = analyze(capture(model, LEFT, keep="metrics")).to_dict()
    assert_same(analyze(parts).to_dict()["heads"], together["heads"])
    parts[1] = PartialAnalysis.load(parts[1].save(tmp_path / "part.json"))
    assert_same(analyze(parts).to_dict()["heads"], together["heads"])
    assert "no matrix" in to_html(analyze(parts))


def test_what_is_no_module_is_measured_all_the_same():
    weights = np.full((1, 3, 4, 4), 0.25, np.float32)
    part = capture({"a": weights, "b": weights}, layers="b", keep="metrics")
    assert [head.map for head in analyze(part).heads] == ["b"] * 3


def test_a_picture_needs_the_matrix():
    part = capture(build(*MODELS["bert"][:3]), TEXT, keep="metrics")
    for draw in (explore, lambda it: AttentionVisualizer(it).visualize(None)):
        with pytest.raises(NeuralError) as caught:
            draw(part)
        (problem,) = caught.value.diagnostics
        assert problem.code == "E0445"
        assert "8 heads of 2 maps over 2 texts" in problem.message


@pytest.mark.parametrize(
    ("options", "said"),
    [({"keep": "all"}, 'not "maps"'), ({"keep": "metrics", "budget": 9}, "budget")],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(NeuralError, match=said) as caught:
        capture(build(*MODELS["bert"][:3]), TEXT, **options)
    assert caught.value.diagnostics[0].code == "E0414"


def test_memory_does_not_grow_with_the_number_of_heads():
    class Heads(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    peaks = {}
    for heads in (2, 16):
        x = torch.randn(1, heads, 700, 8)
        tracemalloc.start()
        capture(Heads().eval(), x, keep="metrics")
        peaks[heads] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[16] - peaks[2] < 14 * 4 * 700 * 700 / 2  # of the matrices of 14 heads


def test_rows_that_are_made_are_read_as_an_array_is():
    array = np.random.default_rng(0).random((3, 7, 5))
    made = []
    rows = Unkept(array.shape, lambda at: made.append(at) or array[:, at])
    for at in (slice(0, 2), slice(2, 3), slice(5, 7), slice(1, 7, 2)):
        assert np.array_equal(rows[:, at], array[:, at])
    assert made[0] == slice(0, 7)  # and all of them at once, as they are few
    assert np.array_equal(rows, array)
    assert np.array_equal(rows[1], array[1])
    assert np.array_equal(rows.of_heads([2, 0])[:, 1:4], array[[2, 0], 1:4])
