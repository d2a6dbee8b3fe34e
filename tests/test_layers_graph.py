"""Graph attention, computed a second time from its paper."""

from functools import cache

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import save_file

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_model
from tests.layer_cases import TOLERANCE, random_weights, ruff_complaints

NODES = 7
TEXT = """
network Citations {
  input: { x: (7, 12) adjacency: (7, 7) }
  layers:
    GraphAttention(num_heads=4, units=8, dropout=0.6)
    GraphAttention(num_heads=1, units=3, activation="softmax")
}
"""


@cache
def citations():
    return check_text(TEXT)[0][0]


def graph():
    """Features and edges of two graphs; node 5 of the second has no edge at all."""
    random = np.random.default_rng(6)
    x = random.normal(size=(2, NODES, 12))
    edges = (random.random((2, NODES, NODES)) < 0.4) | np.eye(NODES, dtype=bool)
    edges[1, 5] = False
    return x, edges.astype(float)


def attention_of_the_paper(x, edges, tensors, heads, units):
    """Equations 1 to 5, node by node; concatenated heads and their weights."""
    projection, left, right = (
        tensors[f"{name}.weight"].astype(np.float64)
        for name in ("projection", "query_score", "key_score")
    )
    weights = np.zeros((len(x), heads, NODES, NODES))
    result = np.zeros((len(x), NODES, heads * units))
    for b, h, i in np.ndindex(weights.shape[:3]):
        rows = slice(h * units, (h + 1) * units)
        features = x[b] @ projection[rows].T  # W h of each node
        logits = left[h, :, 0] @ features[i] + features @ right[h, :, 0]
        logits = np.where(logits > 0, logits, 0.2 * logits)
        near = edges[b, i] != 0
        if near.any():
            weights[b, h, i, near] = np.exp(logits[near]) / np.exp(logits[near]).sum()
        result[b, i, rows] = weights[b, h, i] @ features
    return result, weights


def run(backend, dtype, folder):
    x, edges = graph()
    save_file(random_weights(citations()), folder / "weights.safetensors")
    path = folder / "weights.safetensors"
    loaded = load_model(citations(), backend, path, dtype=dtype)
    given = {
        name: loaded.backend.tensor(value.astype(dtype))
        for name, value in {"x": x, "adjacency": edges}.items()
    }
    with loaded.backend.inference():
        output, maps = loaded.model(given, return_attention=True)
    array = loaded.backend.array
    return array(output), {name: array(weights) for name, weights in maps.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_what_the_paper_says(tmp_path, backend, dtype):
    x, edges = graph()
    output, maps = run(backend, dtype, tmp_path)
    tensors = random_weights(citations())
    for name, heads, units in [
        ("graph_attention_0", 4, 8),
        ("graph_attention_1", 1, 3),
    ]:
        part = {
            key.removeprefix(f"{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }
        x, weights = attention_of_the_paper(x, edges, part, heads, units)
        np.testing.assert_allclose(maps[name], weights, rtol=0, atol=TOLERANCE[dtype])
        assert (
            maps[name][np.broadcast_to(edges[:, None] == 0, weights.shape)] == 0
        ).all()
        if heads == 4:
            x = np.where(x > 0, x, np.expm1(x))  # ELU
    powers = np.exp(x - x.max(-1, keepdims=True))
    expected = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(output, expected, rtol=0, atol=TOLERANCE[dtype])


def test_generated_code_is_formatted(tmp_path, backend):
    assert ruff_complaints(emit(citations(), get(backend)), tmp_path) == ""


def test_its_maps_are_known():
    kinds = {name: (m.kind, m.heads) for name, m in citations().attentions.items()}
    assert kinds == {
        "graph_attention_0": ("encoder_self", 4),
        "graph_attention_1": ("encoder_self", 1),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("input: (7, 12)", "without `adjacency`"),
        ("input: { x: (7, 12) adjacency: (7,) }", "(batch, nodes, nodes)"),
        ("input: { x: (7, 12) adjacency: (5, 5) }", "does not fit weights"),
    ],
)
def test_what_cannot_be_is_explained(given, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ {given} layers: GraphAttention(num_heads=4) }}")
    assert said in str(caught.value)
