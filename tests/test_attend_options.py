"""The options of attend: window, bias, scale, cap and sink."""

import itertools

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.corpus import random_weights

HEADS, SIZE = 4, 3

DEFINE = """
define Own(groups) {{
  layers:
    q = Dense(12)
    k = Dense(groups * 3)
    v = Dense(groups * 2)
    table = Dense(4)

  forward(x, memory, memory_mask = none):
    query = split_heads(q(x), 4)
    key = split_heads(k(memory), groups)
    value = split_heads(v(memory), groups)
    one = reshape(arange(1, x) + 1, (1, 1))
    logit = reshape(table(one), (4,))
    heads = reshape(arange(4, x) + 1, (4, 1))
    distances = heads * sin(relative_positions(query, key))
    pairs = reshape(x @ transpose(memory), (-1, 1, length(x), length(memory)))
    return merge_heads(attend(query, key, value, memory_mask{options}))
}}
network Options {{
  input: {{ ids: ({keys},) x: ({queries}, 8) }}
  layers:
    ids: {{ Embedding(9, 8, mask_zero=true) }}
    x: {{ Own({groups}, memory=ids) }}
}}
"""
BIASES = {
    "distances": lambda x, m, step: np.arange(1, 5)[:, None, None] * np.sin(step),
    "pairs": lambda x, m, step: (x @ m.swapaxes(1, 2))[:, None],
}


def source(options, queries="none", keys="none", groups=4):
    written = "".join(
        f", {name}={str(value).lower()}" for name, value in options.items() if value
    )
    return DEFINE.format(options=written, queries=queries, keys=keys, groups=groups)


def equation(w, ids, x, groups, options):
    """Output and weights from the definition, in float64."""
    memory = w["embedding_0.weight"][ids]
    projected = {n: v @ w[f"own_0.{n}.weight"].T + w[f"own_0.{n}.bias"]
                 for n, v in {"q": x, "k": memory, "v": memory}.items()}

    def heads(name, count):
        batch, time, width = projected[name].shape
        split = projected[name].reshape(batch, time, count, width // count)
        return np.repeat(split.swapaxes(1, 2), HEADS // count, axis=1)

    q, k, v = heads("q", HEADS), heads("k", groups), heads("v", groups)
    queries, keys = q.shape[2], k.shape[2]
    step = np.arange(keys) - (np.arange(queries)[:, None] + keys - queries)
    logits = q @ k.swapaxes(2, 3) * (options.get("scale") or SIZE**-0.5)
    if cap := options.get("cap"):
        logits = cap * np.tanh(logits / cap)
    if bias := options.get("bias"):
        logits = logits + BIASES[bias](x, memory, step)
    seen = np.broadcast_to((ids != 0)[:, None, None], logits.shape)
    if options.get("causal"):
        seen = seen & (step <= 0)
    if window := options.get("window"):
        seen = seen & (np.abs(step) < window)
    share = np.where(seen, np.exp(logits), 0)
    total = share.sum(axis=-1, keepdims=True)
    if options.get("sink"):
        table = w["own_0.table.weight"].sum(axis=1) + w["own_0.table.bias"]
        total = total + np.exp(table)[:, None, None]
    weights = share / np.where(total == 0, 1, total)
    context = (weights @ v).swapaxes(1, 2)
    return context.reshape(*context.shape[:2], -1), weights, seen


def inputs(queries, keys, seed=0):
    """Ids with padding at both ends, and one example of nothing else."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(1, 9, (3, keys))
    ids[0, keys - keys // 3 :] = ids[0, : keys // 4] = 0
    ids[1] = 0
    return {"ids": ids, "x": draw.normal(size=(3, queries, 8))}


def prepared(text, backend, dtype, path=None):
    (checked,), warnings = check_text(text)
    assert warnings == []
    return load_model(checked, backend, path, dtype=dtype)


SETTINGS = [
    {"window": 3},
    {"window": 1},
    {"scale": 0.7},
    {"bias": "distances"},
    {"bias": "pairs"},
    {"cap": 0.8},
    {"sink": "logit"},
    {"scale": 1, "window": 4, "bias": "distances", "cap": 2.5, "sink": "logit"},
    {"scale": 0.1, "window": 100, "bias": "pairs", "sink": "logit"},
    {"window": 2, "bias": "distances"},
]
SIZES = [(7, 7), (3, 8), (8, 3), (1, 1), (1, 6), (300, 300), (40, 1300)]
CASES = list(itertools.product(SETTINGS, [False, True]))


@pytest.mark.parametrize(("options", "causal"), CASES, ids=str)
def test_attend_is_its_equation(options, causal, backend):
    options = {**options, "causal": causal}
    for queries, keys in SIZES:
        for groups in (4, 2) if keys < 10 else (1,):
            loaded = prepared(source(options, groups=groups), backend, "float64")
            given = inputs(queries, keys)
            w = weights_of(loaded)
            output, maps = run(loaded.model, loaded.backend, given)
            expected, exact, seen = equation(w, **given, groups=groups, options=options)
            ((found, mask),) = maps.values()
            np.testing.assert_allclose(found, exact, rtol=0, atol=1e-9)
            np.testing.assert_allclose(output, expected, rtol=0, atol=1e-9)
            assert mask is not None
            np.testing.assert_array_equal(np.broadcast_to(mask, seen.shape), seen)
            with loaded.backend.inference():
                tensors = {n: loaded.backend.tensor(v) for n, v in given.items()}
                alone = loaded.backend.array(loaded.model(tensors))
            np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-9)


def weights_of(loaded):
    from safetensors.numpy import load_file
    import tempfile, os
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "w.safetensors")
        loaded.model.save_weights(path)
        return load_file(path)
