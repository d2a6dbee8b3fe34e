"""Repeated layers: they know their number, or are one layer that all of them share."""

import ast

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import load_file, save_file

from neural_attn.architecture.draw import architecture_text
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected
from tests.corpus import assert_backends_agree, random_weights
from tests.layer_cases import ruff_complaints
from tests.work import counted

# Ye et al. (2025), 3.1: lambda_init = 0.8 - 0.6 exp(-0.3 (depth - 1))
DIFFERENTIAL = """
define Differ(lambda_init, d_model = width(x)) {
  layers: q = Dense(d_model)
  forward(x, attention_mask = none):
    h = split_heads(q(x), 2)
    context = attend(h, h, h, attention_mask)
    return x + (1 - lambda_init) * merge_heads(context)
}
"""
TWO_KINDS = """
define Alternating(local, num_heads, d_model = width(x)) {
  layers:
    if local {
      near = MultiHeadAttention(num_heads, causal=true)
    } else {
      far = MultiHeadAttention(num_heads)
      norm = LayerNormalization(1e-5)
    }
  forward(x, attention_mask = none):
    if local {
      return x + near(x, attention_mask=attention_mask)
    } else {
      return norm(x + far(x, attention_mask=attention_mask))
    }
}
"""
STACKS = {
    "of a network": DIFFERENTIAL
    + """network N { input: (7,) layers: Embedding(9, 8, mask_zero=true)
      Differ(lambda_init = 0.8 - 0.6 * exp(-0.3 * index)) * 4 Output(3) }""",
    "of kinds": TWO_KINDS
    + """network N { input: (7,) layers: Embedding(9, 8, mask_zero=true)
      Alternating(index % 3 != 2, 2) * 6 Output(3) }""",
    "of a define": TWO_KINDS
    + DIFFERENTIAL
    + """define Own(depth) {
      layers: a = Alternating(local = index % 2 == 0, num_heads = index + 1) * depth
        b = Differ(index / 10.0) * depth
      forward(x, attention_mask = none):
        return b(a(x, attention_mask=attention_mask), attention_mask=attention_mask)
    }
    network N { input: (7,) layers: Embedding(9, 8, mask_zero=true)
      Own(2) Own(1, attention_mask=none) }""".replace(", attention_mask=none", ""),
    "of widths": """define Own(n, units) {
      Dense(units * (index + 1), "relu") * n
      Dense(floor(units / 2))
      Dense(maximum(units, 3) - minimum(1, abs(-2)))
      Dense(floor(log(units * 1.5) + exp(0) / 3))
    }
    network N { input: (5, 8) layers: Dense(4 * (index + 2)) * 3 Own(3, 5) * 2
      Own(1, 4) Own(2, 4) TimeDistributed(Dense(4 * (index + 2))) * 2
      Bidirectional(LSTM(index + 1, return_sequences=true)) * 2
      LSTM(4, return_sequences = index < 2) * 3 }""",
    "of sizes in a define": """define Wide(i, d_model = width(x)) {
      layers: d = Dense(d_model * (i + 1))  w = Weight((1, 2 - i), "ones")
      forward(x): return d(x) * sum(w)
    }
    define Near(i) { Dense(8 + i) }
    network N { input: (none, 8) layers: Wide(index) * 2 Near(0) Near(index - 2) * 3
    }""",
    "of the author's own": """define Own(index) { Dense(index + 1) * 2 }
    network N { input: (5, 8) layers: Own(index + 3) * 2 }""",
    "in braces": """network N { input: (5, 8) layers:
      ResidualConnection { Dense(4 * (index + 1)) Dense(8 + 0 * index) * 2 } * 3 }""",
    "of one layer": """network N { input: (7,) layers:
      Embedding(9, 8, mask_zero=true) TransformerEncoder(2, 16, dropout=0)
      TransformerEncoder(2, 16, shared=true) * 3 TransformerEncoder(2, 16) * 2
      TransformerDecoder(2, 16, shared=true) * 2 Dense(8, "relu", shared=true) * 4 }""",
    "of one layer in a define": """define Own(n, d_model = width(x)) {
      layers: attention = MultiHeadAttention(2)
        encoder = TransformerEncoder(2, 16, shared=true) * n
        many = Dense(d_model) * 2
      forward(x, attention_mask = none):
        x = attention(x, attention_mask=attention_mask)
        x = many(many(attention(x, attention_mask=attention_mask)))
        return encoder(x, attention_mask=attention_mask)
    }
    define Chained(n) { TransformerEncoder(2, 16, shared=true) * n Dense(8) * n }
    network N { input: (7,) layers: Embedding(9, 8, mask_zero=true)
      Own(3, shared=true) * 2 Own(2) * 2 Own(1) Chained(2) }""",
    "with a bias for all": """define Biased(num_heads, d_model = width(x)) {
      layers: q = Dense(d_model)
      forward(x, bias, attention_mask = none):
        h = split_heads(q(x), num_heads)
        weights = attention_softmax(h @ transpose(h) + bias, attention_mask)
        return x + merge_heads(weights @ h)
    }
    define Own(num_heads, n) {
      layers: table = Embedding(9, num_heads)  layer = Biased(num_heads) * n
      forward(x, attention_mask = none):
        near = table(position_ids(x))
        bias = reshape(transpose(near), (1, num_heads, 1, length(x)))
        return layer(x, bias, attention_mask=attention_mask)
    }
    network N { input: (7,) layers: Embedding(9, 8, mask_zero=true) Own(2, 3) }""",
}


def checked_of(text):
    (checked,), _ = check_text(text)
    return checked


@pytest.mark.thorough(but=("of one layer]", "of kinds"))
@pytest.mark.parametrize("text", STACKS.values(), ids=STACKS)
def test_what_check_accepts_runs_and_agrees(text, available_backends, tmp_path):
    checked = checked_of(text)
    assert_backends_agree(checked, available_backends, tmp_path)
    sizes = [int(np.prod(shape)) for shape in expected(checked).values()]
    assert checked.root.parameter_count == sum(sizes)
    for backend in ("numpy", *available_backends):
        code = emit(checked, get(backend))
        assert ruff_complaints(code, tmp_path) == ""


# --- the number of the copy --------------------------------------------------------


def test_copies_differ_by_their_number(backend):
    """Differential attention's initial lambda, against the equation in float64."""
    checked = checked_of(STACKS["of a network"])
    loaded = load_model(checked, backend, dtype="float64")
    ids = np.array([[3, 1, 4, 1, 5, 2, 6]])
    output, maps = run(loaded.model, loaded.backend, ids)
    weights = load_model(checked, "numpy", dtype="float64").model.named_weights()
    x = weights["embedding_0.weight"][ids]
    for depth in range(4):
        name = f"differ_layers.{depth}.q."
        q = x @ weights[f"{name}weight"].T + weights[f"{name}bias"]
        h = q.reshape(1, 7, 2, 4).transpose(0, 2, 1, 3)
        shares = np.exp(h @ h.transpose(0, 1, 3, 2) / 2)
        shares /= shares.sum(axis=-1, keepdims=True)
        found, _ = maps[f"differ_{depth}"]
        np.testing.assert_allclose(found, shares, atol=1e-8)
        mixed = (shares @ h).transpose(0, 2, 1, 3).reshape(1, 7, 8)
        x = x + (1 - (0.8 - 0.6 * np.exp(-0.3 * depth))) * mixed
    logits = x @ weights["output_0.weight"].T + weights["output_0.bias"]
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(output, shares, atol=1e-8)


def test_two_kinds_are_torchs_own_attention(tmp_path):
    torch = pytest.importorskip("torch")
    checked = checked_of(
        TWO_KINDS
        + """network N { input: (7, 8) layers:
      Alternating(index % 3 != 2, 2) * 6 }"""
    )
    path = tmp_path / "weights.safetensors"
    save_file(random_weights(checked), path)
    loaded = load_model(checked, "pytorch", path, dtype="float64")
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    output, maps = run(loaded.model, loaded.backend, x.numpy())
    weights = {n: torch.tensor(v) for n, v in load_file(path).items()}
    for i in range(6):
        kind = "far" if i % 3 == 2 else "near"
        one = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
        name = f"alternating_layers.{i}.{kind}"
        for which in ("weight", "bias"):
            three = [
                weights[f"{name}.{p}_projection.{which}"]
                for p in ("query", "key", "value")
            ]
            getattr(one, f"in_proj_{which}").data = torch.cat(three)
            last = weights[f"{name}.output_projection.{which}"]
            getattr(one.out_proj, which).data = last
        hidden = torch.ones(7, 7, dtype=bool).triu(1) if kind == "near" else None
        with torch.no_grad():
            y, shares = one(x, x, x, attn_mask=hidden, average_attn_weights=False)
        np.testing.assert_allclose(maps[f"alternating_{i}"][0], shares, atol=1e-8)
        x = x + y
        if kind == "far":
            norm = (
                weights[f"alternating_layers.{i}.norm.{w}"] for w in ("weight", "bias")
            )
            x = torch.nn.functional.layer_norm(x, (8,), *norm)
    np.testing.assert_allclose(output, x, atol=1e-8)


def test_code_counts_copies_as_an_expert_would():
    code = " ".join(emit(checked_of(STACKS["of a network"]), get("pytorch")).split())
    assert "0.8 - 0.6 * math.exp(-0.3 * index)) for index in range(4)" in code
    code = " ".join(emit(checked_of(STACKS["of widths"]), get("pytorch")).split())
    assert "nn.Linear(in_features, 4 * (index + 2)) for index, in_features in" in code
    assert "enumerate([8, 8] + [12])" in code or "enumerate([8, 8, 12])" in code
    assert "units // 2" in code
    assert "math.floor(math.log(units * 1.5) + math.exp(0) / 3)" in code
    code = emit(checked_of(STACKS["of kinds"]), get("pytorch"))
    assert "if local:" in code
    assert "Alternating(d_model=8, local=index % 3 != 2, num_heads=2)" in code


def test_fractions_divide_with_their_rest():
    text = """define Own(scale) { forward(x): return x * scale }
    define Outer(rate) { Own(rate / 2) Own(1.0 * index / 3) * 2 Own(exp(1 / 2)) }
    network N { input: (5, 8) layers: Outer(0.5) }"""
    loaded = load_model(checked_of(text), "numpy", dtype="float64")
    output, _ = run(loaded.model, loaded.backend, np.ones((1, 5, 8)))
    np.testing.assert_array_equal(output, 0)  # the first of the two is times 0
    text = text.replace("1.0 * index", "(1.0 + index)")
    loaded = load_model(checked_of(text), "numpy", dtype="float64")
    output, _ = run(loaded.model, loaded.backend, np.ones((1, 5, 8)))
    expected_output = 0.25 * (1 / 3) * (2 / 3) * np.exp(0.5)
    np.testing.assert_allclose(output, expected_output, rtol=1e-14)


def test_reports_say_how_copies_differ():
    text = architecture_text(checked_of(STACKS["of kinds"]))
    assert "local=index % 3 != 2" in text
    assert "× 6" in text
    assert "causal self-attention, 2 heads; self-attention, 2 heads" in text


def test_the_work_grows_with_layers_that_differ():
    def emitted(layers):
        text = f"""{DIFFERENTIAL} network N {{ input: (7, 8) layers:
          Differ(0.8 - 0.6 * exp(-0.3 * index)) * {layers} }}"""
        checked = checked_of(text)
        emit(checked, get("pytorch"))
        assert len(checked.attentions) == layers

    emitted(1)  # what is loaded once
    (_, few), (_, many) = counted(emitted, 250), counted(emitted, 1_000)
    assert many < 4.2 * few
    assert many < 2_000_000


GIVEN_TO_ALL = """
define Add(d = width(x)) {
  layers: a = Dense(d)
  forward(x, y): return a(x) + y
}
define Stack(d = width(x)) {
  layers:
    other = Dense(d)
    add = Add() * 3
  forward(x):
    BODY
}
network N { input: (5, 4) layers: Stack() }
"""
SAME = {
    "new name": "h = add(x, other(x))\n    return h",
    "same name": "x = add(x, other(x))\n    return x",
    "held": "y = other(x)\n    x = add(x, y)\n    return x",
    "returned": "return add(x, y=other(x))",
}


@pytest.mark.parametrize("name", SAME)
def test_all_copies_are_given_the_same(name, backend, tmp_path):
    """Whatever name the result has: x of the copies before is no argument of others."""
    checked = checked_of(GIVEN_TO_ALL.replace("BODY", SAME[name]))
    path, x = tmp_path / "w.safetensors", np.ones((2, 5, 4))
    weights = random_weights(checked, seed=4)
    save_file(weights, path)
    loaded = load_model(checked, backend, checkpoint=path, dtype="float64")
    output, _ = run(loaded.model, loaded.backend, x)

    def dense(x, name):
        return x @ weights[f"stack_0.{name}.weight"].T + weights[f"stack_0.{name}.bias"]

    y, right = dense(x, "other"), x
    for i in range(3):
        right = dense(right, f"add.{i}.a") + y
    np.testing.assert_allclose(output, right, rtol=1e-12)


def test_what_is_handed_on_may_be_given_too():
    """`x = add(x, x)`: every copy adds the x that came in."""
    text = emit(
        checked_of(GIVEN_TO_ALL.replace("BODY", "x = add(x, x)\n    return x")),
        get("pytorch"),
    )
    assert "add_output = layer(add_output, x)" in text


WRONG = {
    "Dense(index)": ("E0223", "`index` is the number of the copy"),
    "Dense(8) * index": ("E0223", "`index` is the number of the copy"),
    "Dense(8 * (indx + 1)) * 3": ("E0223", "did you mean `index`?"),
    "Dense(8 * index) * 3": ("E0217", ""),
    "Dense(8, shared=true)": ("E0239", "repeat it, as in `Dense(shared=true) * 6`"),
    "Dense(8, shared=1) * 3": ("E0239", ""),
    "Dense(8 + index, shared=true) * 3": ("E0239", "leave `shared` out"),
    "Dense(9, shared=true) * 3": ("E0301", "leave `shared` out"),
    "Dense(minimum(3))": ("E0301", ""),
    "Dense(log(0))": ("E0301", ""),
    "Dense(8 % 0)": ("E0301", ""),
    "Dropout(50%)": ("E0110", "a share is written as a number: 0.5"),
}


@pytest.mark.parametrize(("layer", "said"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_said_with_what_helps(layer, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: (16, 8) layers: {layer} }}")
    (problem,) = caught.value.diagnostics
    assert problem.code == said[0]
    assert said[1] in problem.hint


# --- one layer for all -------------------------------------------------------------

ALBERT = """network Albert {
  input: { input_ids: (none,) token_type_ids: (none,) attention_mask: (none,) }
  layers:
    TransformerEmbedding(50, 12, max_len=20, dropout=0)
    Dense(16)
    TransformerEncoder(
      4, 24, activation="gelu_tanh", epsilon=1e-12, dropout=0, shared=true
    ) * 5
}"""


def albert():
    transformers = pytest.importorskip("transformers")
    config = transformers.AlbertConfig(
        vocab_size=50, embedding_size=12, hidden_size=16, num_hidden_layers=5,
        num_attention_heads=4, intermediate_size=24, max_position_embeddings=20,
        attn_implementation="eager", initializer_range=0.4,
    )  # fmt: skip
    model = transformers.AlbertModel(config, add_pooling_layer=False).double().eval()
    torch = pytest.importorskip("torch")
    if hasattr(torch.nn.Module, "smart_apply"):  # which transformers leaves there
        del torch.nn.Module.smart_apply
    theirs = {n: v.detach().numpy() for n, v in model.named_parameters()}
    layer = "encoder.albert_layer_groups.0.albert_layers.0."
    names = {
        "embeddings.word_embeddings": "transformer_embedding_0.token",
        "embeddings.token_type_embeddings": "transformer_embedding_0.segment",
        "embeddings.position_embeddings": "transformer_embedding_0.position",
        "embeddings.LayerNorm": "transformer_embedding_0.norm",
        "encoder.embedding_hidden_mapping_in": "dense_0",
        f"{layer}attention.query": "transformer_encoder_0.attention.query_projection",
        f"{layer}attention.key": "transformer_encoder_0.attention.key_projection",
        f"{layer}attention.value": "transformer_encoder_0.attention.value_projection",
        f"{layer}attention.dense": "transformer_encoder_0.attention.output_projection",
        f"{layer}attention.LayerNorm": "transformer_encoder_0.attention_norm",
        f"{layer}ffn": "transformer_encoder_0.feed_forward.expand",
        f"{layer}ffn_output": "transformer_encoder_0.feed_forward.contract",
        f"{layer}full_layer_layer_norm": "transformer_encoder_0.feed_forward_norm",
    }
    renamed = {}
    for name, value in theirs.items():
        layer_name, _, which = name.rpartition(".")
        renamed[f"{names[layer_name]}.{which}"] = value
    return model, renamed


def test_albert_is_transformers_own(available_backends, tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model, weights = albert()
    path = tmp_path / "albert.safetensors"
    save_file(weights, path)
    checked = checked_of(ALBERT)
    assert checked.root.parameter_count == sum(v.size for v in weights.values())
    draw = np.random.default_rng(0)
    inputs = {
        "input_ids": draw.integers(1, 50, (2, 9)),
        "token_type_ids": draw.integers(0, 2, (2, 9)),
        "attention_mask": np.array([[1] * 9, [1] * 6 + [0] * 3]),
    }
    with torch.no_grad():
        given = {n: torch.from_numpy(v) for n, v in inputs.items()}
        theirs = model(**given, output_attentions=True)
    seen = inputs["attention_mask"].astype(bool)
    for backend in ("numpy", *available_backends):
        loaded = load_model(checked, backend, path, dtype="float64")
        output, maps = run(loaded.model, loaded.backend, inputs)
        assert list(maps) == [f"transformer_encoder_{i}" for i in range(5)]
        np.testing.assert_allclose(
            output[seen], theirs.last_hidden_state[seen], atol=1e-8
        )
        for (ours, _), attention in zip(maps.values(), theirs.attentions, strict=True):
            np.testing.assert_allclose(ours, attention, atol=1e-8)


def test_weights_are_saved_once_and_come_back(backend, tmp_path):
    checked = checked_of(STACKS["of one layer in a define"])
    loaded = load_model(checked, backend)
    path = tmp_path / "saved.safetensors"
    loaded.model.save_weights(str(path))
    assert load_file(path).keys() == expected(checked).keys()
    again = load_model(checked, backend, path, seed=1)
    ids = np.array([[3, 1, 4, 1, 5, 2, 6]])
    for one, other in zip(
        *(run(m.model, m.backend, ids) for m in (loaded, again)), strict=True
    ):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
        else:
            np.testing.assert_array_equal(one, other)


def test_each_call_gives_its_map_whatever_ran_before(backend, tmp_path):
    """Also where weights are kept over several runs, or a run breaks off."""
    checked = checked_of(STACKS["of one layer in a define"])
    path = tmp_path / "weights.safetensors"
    save_file(random_weights(checked), path)
    loaded = load_model(checked, backend, path)
    ids = np.array([[3, 1, 4, 1, 5, 2, 6]])
    model = loaded.model
    _, first = run(model, loaded.backend, ids)
    assert list(first) == list(checked.attentions)
    model.set_store_attention(True)
    for _ in range(2):
        model(loaded.backend.tensor(ids))
    for name, layer in model.attention_layers().items():
        kept = loaded.backend.array(layer.attention_weights)
        np.testing.assert_allclose(kept, first[name][0], atol=1e-6, err_msg=name)
        assert layer.attention_mask is not None
    model.set_store_attention(False)
    layers = model.attention_layers().values()
    assert all(layer.attention_weights is None for layer in layers)
    assert all(layer.attention_mask is None for layer in layers)
    assert not any(layer.store_attention for layer in layers)


CALLS = """define Own() {{
  layers: {}
  forward(x): return {}
}}
network N {{ input: (7, 8) layers: Own({}) * 2 }}"""


def test_a_layer_called_twice_is_two_with_equal_weights(backend, tmp_path):
    encoder = "TransformerEncoder(2, 16, dropout=0)"
    twice = checked_of(CALLS.format(f"a = {encoder}", "a(a(x))", "shared=true"))
    each = checked_of(CALLS.format(f"a = {encoder} b = {encoder}", "b(a(x))", ""))
    weights = random_weights(twice)
    copies = {
        name: weights[f"own_0.a.{name.split('.', 3)[3]}"] for name in expected(each)
    }
    found = []
    for checked, tensors in ((twice, weights), (each, copies)):
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
        loaded = load_model(checked, backend, path)
        x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
        found.append(run(loaded.model, loaded.backend, x))
    (one, maps), (other, theirs) = found
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert list(maps) == ["own_0.a_0", "own_0.a_1", "own_1.a_0", "own_1.a_1"]
    for ours, their in zip(maps.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(ours[0], their[0], atol=1e-6)


COPIES = (
    "network N {{ input: (7, 8) layers: TransformerEncoder(2, 16, dropout=0{}) * 3 }}"
)


def test_gradients_of_one_layer_are_the_sum_of_those_of_copies():
    torch = pytest.importorskip("torch")
    one = load_model(
        checked_of(COPIES.format(", shared=true")), "pytorch", dtype="float64"
    )
    three = load_model(checked_of(COPIES.format("")), "pytorch", dtype="float64")
    shared = dict(one.model.named_parameters())
    with torch.no_grad():
        for name, value in three.model.named_parameters():
            value.copy_(shared["transformer_encoder_0." + name.split(".", 2)[2]])
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    for model in (one.model, three.model):
        (model(x) ** 2 * torch.arange(8)).sum().backward()
    for name, value in shared.items():
        inner = name.removeprefix("transformer_encoder_0.")
        copies = [
            three.model.get_parameter(f"transformer_encoder_layers.{i}.{inner}").grad
            for i in range(3)
        ]
        torch.testing.assert_close(value.grad, sum(copies))


def test_one_layer_compiles_and_exports_whole():
    torch = pytest.importorskip("torch")
    model = load_model(checked_of(COPIES.format(", shared=true")), "pytorch").model
    x = torch.randn(2, 7, 8)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.thorough
def test_keras_saves_one_layer_once(tmp_path):
    keras = pytest.importorskip("keras")
    checked = checked_of(STACKS["of one layer"])
    model = load_model(checked, "tensorflow").model
    ids = np.array([[3, 1, 4, 1, 5, 2, 6]])
    before, maps = model(ids, return_attention=True)
    assert list(maps) == list(checked.attentions)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(ids), before, atol=1e-6)
    assert model.count_params() == checked.root.parameter_count


@pytest.mark.parametrize("name", ["of one layer", "with a bias for all"])
def test_gradients_reach_every_weight(name, backend):
    if backend == "numpy":
        pytest.skip("NumPy models are not trained")
    loaded = load_model(checked_of(STACKS[name]), backend)
    ids = np.array([[3, 1, 4, 1, 5, 2, 6]])
    if backend == "pytorch":
        (loaded.model(loaded.backend.tensor(ids)) ** 3).sum().backward()
        found = {n: p.grad for n, p in loaded.model.named_parameters()}
    else:
        tensorflow = pytest.importorskip("tensorflow")
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_sum(loaded.model(ids) ** 3)
        variables = loaded.model.trainable_variables
        found = dict(
            zip(
                (v.path for v in variables), tape.gradient(loss, variables), strict=True
            )
        )
    assert found
    assert [n for n, gradient in found.items() if gradient is None] == []


def test_nothing_is_kept_of_what_a_network_does_not_share():
    code = emit(checked_of(COPIES.format("")), get("pytorch"))
    names = {n.name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.ClassDef)}
    assert "Application" not in names
    assert "applications" not in code


WIDTHS = {  # of what goes into the last layer of a define
    "last(dense(x))": "4 * units",
    "last(counted(x))": "units * n",
    "last(grown(x))": "x_width + n * units",
    "last(concatenate([dense(x), grown(x)]))": "4 * units + x_width + n * units",
    "last(concatenate([slice(dense(x), 0, units), slice(x, -2)]))": "units + 2",
    "last(slice(dense(x), 0, -2))": "4 * units - 2",
}


@pytest.mark.parametrize(("body", "width"), WIDTHS.items(), ids=WIDTHS)
def test_sizes_keep_their_names_through_repeats(body, width):
    """One class serves several numbers of copies, so no number may stand in it."""
    code = emit(
        checked_of(f"""define Grown(units) {{
          layers: dense = Dense(units)
          forward(x): return concatenate([x, dense(x)])
        }}
        define Own(units, n) {{
          layers: dense = Dense(4 * units) * n  counted = Dense(units * (index + 1)) * n
            grown = Grown(units) * n  last = Dense(7)
          forward(x):
            y = {body}
            return y + 0 * mean(dense(x)) * mean(counted(x)) * mean(grown(x))
        }}
        network N {{ input: (5, 7) layers: Own(5, 2) Own(3, 4) Own(2, 1) }}"""),
        get("pytorch"),
    )
    assert f"self.last = nn.Linear({width}, 7)" in code


def test_a_stack_is_as_wide_as_its_list():
    text = """define Own() {
      layers: last = Dense(3)
      forward(x): return last(concatenate([stack([x, x]), stack([x])]))
    }
    network N { input: (5, 7) layers: Own() }"""
    assert "nn.Linear(2 + 1, 3)" in emit(checked_of(text), get("pytorch"))
