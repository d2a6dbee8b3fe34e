"""Keras models as they are: equal to the scores of their own layers, left alone."""

import importlib.util
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from neural_attn import AttentionVisualizer, analyze, capture, explore
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.opening import open_model

keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.requires_tensorflow,
    # Keras's own, of its GroupQueryAttention with a mask
    pytest.mark.filterwarnings("ignore:(?s).*passed an input with a mask attached"),
]

EXACT = {"rtol": 0, "atol": 1e-5}
IDS = np.array([[5, 3, 8, 1, 2], [7, 4, 6, 0, 0]])
OTHER = np.array([[9, 2, 4], [1, 3, 0]])


def attention(kind, **options):
    made = {
        "multi": lambda: keras.layers.MultiHeadAttention(2, 4, **options),
        "grouped": lambda: keras.layers.GroupQueryAttention(4, 4, 2, **options),
        "dot": lambda: keras.layers.Attention(**options),
        "additive": lambda: keras.layers.AdditiveAttention(**options),
    }
    keras.utils.set_random_seed(0)
    return made[kind]()


def call(layer, query, value, **options):
    if isinstance(layer, keras.layers.Attention):
        return layer([query, value], **options)
    return layer(query, value, **options)


def watched(model, inputs):
    opened = open_model(model)
    return opened.watch(opened.prepare(inputs))


CASES = {
    "multi": {},
    "multi, dropout": {"dropout": 0.3},
    "multi, gated": {"use_gate": True},
    "multi, window": {"sliding_window": 2},
    "grouped": {},
    "grouped, dropout": {"dropout": 0.3},
    "dot": {},
    "dot, scaled": {"use_scale": True, "dropout": 0.2},
    "dot, concat": {"score_mode": "concat"},
    "additive": {},
}
MASKS = {
    "none": (False, {}),
    "padding": (True, {}),
    "causal": (False, {"use_causal_mask": True}),
    "causal and padding": (True, {"use_causal_mask": True}),
}


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("case", CASES)
def test_a_layer_shows_the_scores_that_it_returns(case, mask):
    mask_zero, options = MASKS[mask]
    layer = attention(case.partition(",")[0], **CASES[case])
    embed = keras.layers.Embedding(10, 8, mask_zero=mask_zero)
    ids = keras.Input((None,), dtype="int32")
    x = embed(ids)
    model = keras.Model(ids, call(layer, x, x, **options))
    for weight in model.weights:
        if weight.ndim > 1:
            weight.assign(keras.random.normal(weight.shape, seed=1))
    output, maps = watched(model, IDS)
    assert np.array_equal(output, model(IDS))
    x = embed(IDS)
    _, expected = call(layer, x, x, return_attention_scores=True, **options)
    (one,) = maps.maps
    expected = np.array(expected).reshape(one.weights.shape)
    np.testing.assert_allclose(one.weights, expected, **EXACT)
    assert one.name == layer.name
    assert one.causal is ("causal" in mask)
    assert one.kind == ("decoder_self" if "causal" in mask else "encoder_self")
    if mask_zero:
        assert one.key_range(1) == slice(0, 3)


def test_scores_over_pictures_have_one_axis_of_queries_and_one_of_keys():
    layer = attention("multi", attention_axes=(1, 2))
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 8)).astype("float32")
    pictures = keras.Input((2, 3, 8))
    maps = capture(keras.Model(pictures, layer(pictures, pictures)), x)
    _, expected = layer(x, x, return_attention_scores=True)
    expected = np.array(expected).reshape(2, 2, 6, 6)
    np.testing.assert_allclose(maps[layer.name], expected, **EXACT)
    layer = attention("multi", attention_axes=(2,))
    maps = capture(keras.Model(pictures, layer(pictures, pictures)), x)
    _, expected = layer(x, x, return_attention_scores=True)
    np.testing.assert_allclose(
        maps[layer.name], np.array(expected).reshape(4, 2, 3, 3), **EXACT
    )


def test_a_mask_for_each_head_and_half_precision():
    layer = attention("multi", dtype="mixed_bfloat16")
    x = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
    mask = np.random.default_rng(1).random((2, 2, 4, 4)) < 0.7
    maps = capture(layer, {"query": x, "value": x, "attention_mask": mask})
    _, expected = layer(x, x, attention_mask=mask, return_attention_scores=True)
    expected = np.array(keras.ops.cast(expected, "float32"))
    np.testing.assert_allclose(maps["attention"], expected, rtol=0, atol=1e-2)
    assert np.array_equal(maps.get_map("attention").allowed, mask)
    assert maps.get_map("attention").kind == "encoder_self"  # one array, given twice


# --- whole models -------------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    """A decoder's layer."""

    def __init__(self, name, **options):
        super().__init__(name=name)
        self.first = keras.layers.MultiHeadAttention(
            2, 4, name="self_attention", **options
        )
        self.cross = keras.layers.MultiHeadAttention(2, 4, name="cross_attention")

    def call(self, x, memory):
        x = x + self.first(x, x, use_causal_mask=True)
        return x + self.cross(x, memory)


class Own(keras.layers.Layer):
    """Attention of one's own over Keras's function."""

    def call(self, x):
        x = keras.ops.reshape(x, (-1, x.shape[1], 2, 4))
        x = keras.ops.dot_product_attention(x, x, x)
        return keras.ops.reshape(x, (-1, x.shape[1], 8))


class Translator(keras.Model):
    """A subclassed model with a list of blocks, an encoder inside, and its own."""

    def __init__(self):
        super().__init__()
        self.embed = keras.layers.Embedding(10, 8)
        source = keras.Input((5, 8))
        own = Own(name="own")(source)
        encoder = keras.Model(
            source, keras.layers.Attention(name="look")([own, own]), name="encoder"
        )
        self.encoder = encoder
        self.blocks = [Block("decoder_0", dropout=0.1), Block("decoder_1")]

    def call(self, inputs):
        source, target = inputs
        memory, x = self.encoder(self.embed(source)), self.embed(target)
        for block in self.blocks:
            x = block(x, memory)
        return x


@pytest.fixture(scope="module")
def translator():
    keras.utils.set_random_seed(0)
    model = Translator()
    model([IDS, OTHER])
    return model


NAMES = [
    "encoder.own", "encoder.look",
    "decoder_0.self_attention", "decoder_0.cross_attention",
    "decoder_1.self_attention", "decoder_1.cross_attention",
]  # fmt: skip


def test_names_and_kinds_of_a_model_of_parts(translator):
    tokens = {"source": list("abcde"), "target": list("xyz")}
    opened = open_model(translator)
    output, maps = opened.watch(opened.prepare((IDS, OTHER), tokens))
    assert np.array_equal(output, translator([IDS, OTHER]))
    assert list(maps) == NAMES
    assert [one.kind for one in maps.maps] == [
        "encoder_self", "encoder_self", "decoder_self", "cross", "decoder_self", "cross"
    ]  # fmt: skip
    assert len(maps.layers) == 4
    cross = maps.get_map("decoder_1.cross_attention")
    assert (cross.query_tokens[1], cross.key_tokens[0]) == (
        tuple("xyz"),
        tuple("abcde"),
    )
    x, block = translator.embed(OTHER), translator.blocks[0]
    memory = translator.encoder(translator.embed(IDS))
    x = x + block.first(x, x, use_causal_mask=True)
    _, expected = block.cross(x, memory, return_attention_scores=True)
    np.testing.assert_allclose(maps["decoder_0.cross_attention"], expected, **EXACT)
    x = np.reshape(translator.embed(IDS), (2, 5, 2, 4)).swapaxes(1, 2)
    scores = np.exp(x @ x.swapaxes(2, 3) / 2)
    expected = scores / scores.sum(-1, keepdims=True)
    np.testing.assert_allclose(maps["encoder.own"], expected, **EXACT)


def test_some_layers_and_heads_and_a_budget(translator):
    every = capture(translator, [IDS, OTHER])
    last = capture(translator, [IDS, OTHER], layers=-1, heads=1)
    assert list(last) == NAMES[-2:]
    for one in last.maps:
        assert np.array_equal(one.weights[:, 0], every[one.name][:, 1])
    assert list(capture(translator, [IDS, OTHER], layers="decoder_0")) == NAMES[2:4]
    for options, code in (({"layers": 9}, "E0442"), ({"budget": 99}, "E0443")):
        with pytest.raises(NeuralError) as caught:
            capture(translator, [IDS, OTHER], **options)
        assert caught.value.diagnostics[0].code == code


def test_numbers_without_matrices(translator):
    whole = analyze(capture(translator, [IDS, OTHER])).to_dict()["heads"]
    found = analyze(capture(translator, [IDS, OTHER], keep="metrics"))
    for one, other in zip(found.to_dict()["heads"], whole, strict=True):
        for name, number in one["statistics"].items():
            assert number["mean"] == pytest.approx(
                other["statistics"][name]["mean"], abs=1e-6
            )


def test_models_go_every_way_that_models_go(translator):
    assert "decoder_1" in explore(translator, (IDS, OTHER)).html
    assert len(analyze(translator, (IDS, OTHER)).heads) == 11
    weights = AttentionVisualizer(translator).extract_attention_weights((IDS, OTHER))
    assert list(weights) == NAMES


def test_texts_need_a_mask_for_padding(minilm_dir):
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="bool", name="padding_mask")
    x = keras.layers.Embedding(30522, 8)(ids)
    seen = keras.ops.expand_dims(mask, 1)
    layer = attention("multi")
    hub = keras.Model(
        {"token_ids": ids, "padding_mask": mask}, layer(x, x, attention_mask=seen)
    )
    texts, tokenizer = ["The cat sat", "Cats"], str(minilm_dir)
    one = capture(hub, texts, tokenizer).maps[0]
    assert one.key_tokens[0] == ("[CLS]", "the", "cat", "sat", "[SEP]")
    assert one.key_range(1) == slice(0, 3)
    bare = keras.Model(ids, layer(x, x))
    with pytest.raises(NeuralError) as caught:
        capture(bare, texts, tokenizer)
    assert caught.value.diagnostics[0].code == "E0409"


class Alone(keras.layers.MultiHeadAttention):
    """It attends by something of its own, and keeps its weights."""

    def _compute_attention(self, query, key, value, *rest, **options):
        return value, None


def test_layers_of_one_name_and_a_layer_that_keeps_its_weights():
    def block(layer):
        x = keras.Input((3, 8))
        return keras.Model(x, layer(x, x), name="block")

    class Twice(keras.Model):
        def __init__(self, first):
            super().__init__()
            second = attention("multi", name="look")
            self.first, self.second = block(first), block(second)

        def call(self, x):
            return self.second(self.first(x))

    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    model = Twice(attention("multi", name="look"))
    maps = capture(model, x)
    assert list(maps) == ["block.look_0", "block.look_1"]
    alone = Twice(Alone(2, 4, name="alone"))
    with pytest.warns(UserWarning, match=r"was not seen: block\.alone"):
        assert list(capture(alone, x)) == ["block.look"]


# --- what cannot be seen ------------------------------------------------------------


class Traced(keras.Model):
    """Its second layer runs in a graph."""

    def __init__(self):
        import tensorflow as tf

        super().__init__()
        self.first = keras.layers.MultiHeadAttention(2, 4, name="first")
        self.second = keras.layers.MultiHeadAttention(2, 4, name="second")
        self.graph = tf.function(lambda x: self.second(x, x))

    def call(self, x):
        return self.graph(self.first(x, x))


def test_what_runs_in_a_graph_is_said():
    import tensorflow as tf

    model, x = Traced(), np.ones((1, 3, 8), "float32")
    for _ in "before", "after it was traced":
        with pytest.warns(UserWarning, match=r"was not seen: second.*run_functions_ea"):
            assert list(capture(model, x)) == ["first"]
    tf.config.run_functions_eagerly(True)
    try:
        assert list(capture(model, x)) == ["first", "second"]
    finally:
        tf.config.run_functions_eagerly(False)
    with pytest.raises(NeuralError) as caught:
        capture(keras.Sequential([keras.layers.Dense(3)]), x)
    assert caught.value.diagnostics[0].code == "E0441"


# --- the model is left as it was ----------------------------------------------------


def state():
    from keras.src import backend

    return (
        keras.layers.Layer.__call__,
        keras.layers.MultiHeadAttention._compute_attention,
        keras.layers.GroupQueryAttention._compute_attention,
        keras.layers.Attention._apply_scores,
        backend.nn.dot_product_attention,
    )


def test_nothing_is_left_behind_also_after_an_exception(translator):
    class Broken(keras.layers.Layer):
        def call(self, x):
            raise ValueError("on purpose")

    before, attributes = state(), set(vars(translator.blocks[0].first))
    capture(translator, [IDS, OTHER])
    assert state() == before
    assert set(vars(translator.blocks[0].first)) == attributes
    with pytest.raises(ValueError, match="on purpose"):
        capture(keras.Sequential([Broken()]), np.ones((1, 2), "float32"))
    with pytest.raises(NeuralError):
        capture(translator, [IDS, OTHER], budget=1)
    assert state() == before


def test_threads_see_their_own(translator):
    before, inputs = state(), [(np.roll(IDS, n, 1), OTHER) for n in range(4)]
    expected = [capture(translator, one) for one in inputs]
    found = {}
    inside, go = threading.Event(), threading.Event()

    class Waiting(keras.layers.Layer):
        def call(self, x):
            inside.set()
            assert go.wait(30)
            return x

    waiting = keras.Sequential([Waiting(), Own(name="own")])
    x = np.ones((1, 3, 8), "float32")
    held = threading.Thread(target=lambda: found.update(held=capture(waiting, x)))
    held.start()
    assert inside.wait(30)
    translator(inputs[0])  # nobody looks here

    def work(n):
        found[n] = capture(translator, inputs[n])

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    go.set()
    held.join(30)
    assert all(found[n] == expected[n] for n in range(4))
    assert list(found["held"]) == ["own"]
    assert state() == before


ELSEWHERE = """
import numpy as np, keras
from neural_attn import capture
ids = keras.Input((None,), dtype="int32")
x = keras.layers.Embedding(10, 8, mask_zero=True)(ids)
layer = keras.layers.MultiHeadAttention(2, 4)
model = keras.Model(ids, layer(x, x, use_causal_mask=True))
given = np.array([[5, 3, 8, 1, 2], [7, 4, 6, 0, 0]])
maps = capture(model, given)
x = model.layers[1](given)
_, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
assert maps.backend == f"keras ({keras.backend.backend()})"
np.testing.assert_allclose(
    maps[layer.name], keras.ops.convert_to_numpy(scores), rtol=0, atol=1e-5
)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_same_on_other_backends_of_keras(framework):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": framework}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


class HubAttention(keras.layers.Layer):
    """As KerasHub's Gemma attends: a Softmax layer over grouped heads."""

    def __init__(self):
        super().__init__(name="attention")
        self.softmax = keras.layers.Softmax()

    def call(self, x):
        query = keras.ops.reshape(x, (1, 3, 2, 2, 2))  # keys and their groups
        logits = keras.ops.einsum("btkgh,bskh->bkgts", query, query[:, :, :, 0])
        allowed = np.tri(3, dtype=bool)[None, None, None]
        weights = self.softmax(logits, mask=allowed)
        context = keras.ops.einsum("bkgts,bskh->btkgh", weights, query[:, :, :, 0])
        return keras.ops.reshape(context, (1, 3, 8))


def test_attention_of_keras_hub_is_its_softmax(monkeypatch):
    monkeypatch.setattr(HubAttention, "__module__", "keras_hub.src.models.own")
    model = keras.Sequential([HubAttention()])
    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    _, maps = watched(model, x)
    query = x.reshape(3, 2, 2, 2)
    logits = np.einsum("tkgh,skh->kgts", query, query[:, :, 0]).reshape(4, 3, 3)
    shares = np.exp(logits) * np.tri(3)
    expected = shares / shares.sum(-1, keepdims=True)
    np.testing.assert_allclose(maps["attention"][0], expected, **EXACT)
    assert (maps.get_map("attention").kind, maps.maps[0].causal) == (
        "decoder_self",
        True,
    )


class SinkAttention(keras.layers.Layer):
    """As KerasHub's gpt-oss attends: by the function, with a sink as the last key."""

    sinks = 0.0

    def call(self, x):
        logits = keras.ops.where(
            np.tri(3, dtype=bool), x @ keras.ops.swapaxes(x, 1, 2), -1e9
        )
        logits = keras.ops.pad(logits, ((0, 0), (0, 0), (0, 1)))
        weights = keras.ops.softmax(logits[:, None], axis=-1)
        return weights[:, 0, :, :-1] @ x


class LinearAttention(keras.layers.Layer):
    """An attention without weights."""

    def call(self, x):
        return x


def test_attention_of_keras_hub_by_the_function_and_what_it_hides(monkeypatch):
    for kind in (SinkAttention, LinearAttention):
        monkeypatch.setattr(kind, "__module__", "keras_hub.src.models.own")
    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    layers = [SinkAttention(name="sinks"), LinearAttention(name="quiet")]
    with pytest.warns(UserWarning, match="was not seen: quiet"):
        maps = capture(keras.Sequential(layers), x)
    shares = np.exp(x[0] @ x[0].T) * np.tri(3)
    expected = shares / (1 + shares.sum(-1, keepdims=True))
    np.testing.assert_allclose(maps["sinks"][0, 0], expected, **EXACT)
    assert (maps.maps[0].rows, maps.maps[0].causal) == ("parts", True)


TEXT = {"token_ids": IDS[:1], "padding_mask": np.array([[1, 1, 1, 1, 0]])}
SEGMENTS = {**TEXT, "segment_ids": np.zeros_like(IDS[:1])}
PAIR = {
    f"{side}_{n}": one for side in ("encoder", "decoder") for n, one in TEXT.items()
}
SOUND = np.random.default_rng(0).random((1, 16, 8), np.float32)
PICTURE = np.random.default_rng(1).random((1, 16, 16, 3), np.float32)
SMALL = {"vocabulary_size": 20, "num_layers": 1, "hidden_dim": 16}
ALIKE = {**SMALL, "intermediate_dim": 32, "num_heads": 2}
SHARED = {**SMALL, "intermediate_dim": 32, "num_query_heads": 4}
SHARED["num_key_value_heads"] = 2
EXPERTS = {**SHARED, "num_experts": 2, "top_k": 2}
EYE = {"image_shape": (16, 16, 3), "patch_size": 8, "num_layers": 1, "num_heads": 2}
EYE["hidden_dim"] = 8

# models of keras-hub by what they read: sizes, inputs
ENCODERS = {
    "Bert": (ALIKE, SEGMENTS),
    "Roberta": (ALIKE, TEXT),
    "DistilBert": (ALIKE, TEXT),
    "Albert": ({**ALIKE, "embedding_dim": 8}, SEGMENTS),
    "DebertaV3": ({**ALIKE, "bucket_size": 4}, TEXT),
    "ViT": ({**EYE, "mlp_dim": 16}, PICTURE),
    "DeiT": ({**EYE, "intermediate_dim": 16}, PICTURE),
}
DECODERS = {
    "GPT2": (ALIKE, TEXT),
    "GPTNeoX": (ALIKE, TEXT),
    "OPT": (ALIKE, TEXT),
    "Bloom": (ALIKE, TEXT),
    "Llama3": (SHARED, TEXT),
    "Mistral": ({**SHARED, "sliding_window": 3}, TEXT),
    "Gemma": ({**SHARED, "head_dim": 4}, TEXT),
    "Gemma3": (
        {**SHARED, "head_dim": 4, "image_size": 16, "vision_encoder": None},
        TEXT,
    ),
    "Phi3": (SHARED, TEXT),
    "Qwen3": ({**SHARED, "head_dim": 4}, TEXT),
    "Mixtral": (EXPERTS, TEXT),
    "GptOss": ({**EXPERTS, "head_dim": 4}, TEXT),
}
PAIRS = {
    "T5": (ALIKE, PAIR),
    "Bart": (ALIKE, PAIR),
    "Whisper": (
        {
            **ALIKE,
            "num_mels": 8,
            "max_encoder_sequence_length": 16,
            "max_decoder_sequence_length": 8,
        },
        {"encoder_features": SOUND, **dict(list(PAIR.items())[2:])},
    ),
}


def hub_model(name, sizes):
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(0)
    return getattr(hub.models, f"{name}Backbone")(**sizes)


def same(one, other):
    for left, right in zip(
        keras.tree.flatten(one), keras.tree.flatten(other), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def hub_maps(name, sizes, inputs):
    """A model and its maps, which are captured without changing what it gives."""
    model = hub_model(name, sizes)
    output, maps = watched(model, inputs)
    same(output, model(inputs))
    return model, maps


def sums_of(one):
    """Of all rows that see a key; a sink takes what lacks in gpt-oss."""
    sums = one.weights.sum(-1)
    return sums if one.rows == "shares" else np.where(sums < 1, 1, sums)


@pytest.mark.thorough("Roberta", "Albert", "DebertaV3", "DistilBert", "DeiT")
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_keras_hub(name):
    sizes, inputs = ENCODERS[name]
    _, maps = hub_maps(name, sizes, inputs)
    ((weights,), (one,)) = maps.values(), maps.maps
    assert (one.kind, one.causal) == ("encoder_self", False)
    np.testing.assert_allclose(sums_of(one), 1, **EXACT)
    if inputs is not PICTURE:
        assert not weights[..., 4].any()  # padding
        assert (weights[..., :4] > 0).all()


@pytest.mark.thorough(*[name for name in DECODERS if name not in ("Llama3", "GptOss")])
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_of_keras_hub(name):
    sizes, inputs = DECODERS[name]
    model, maps = hub_maps(name, sizes, inputs)
    (one,) = maps.maps
    assert (one.kind, one.causal) == ("decoder_self", True)
    assert one.weights.shape == (1, sizes.get("num_query_heads", 2), 5, 5)
    np.testing.assert_allclose(sums_of(one), 1, **EXACT)
    window = np.tri(5) - np.tri(5, k=-sizes.get("sliding_window", 5))
    seen = window * inputs["padding_mask"] > 0
    for head in one.weights[0]:
        np.testing.assert_array_equal(head > 0, seen)
    # what comes later moves nothing
    later = {**inputs, "token_ids": np.array([[5, 3, 8, 9, 2]])}
    (moved,) = watched(model, later)[1].values()
    np.testing.assert_allclose(moved[:, :, :3], one.weights[:, :, :3], **EXACT)
    assert np.abs(moved[:, :, 3] - one.weights[:, :, 3]).max() > 1e-5


@pytest.mark.thorough("Bart", "Whisper")
@pytest.mark.parametrize("name", PAIRS)
def test_encoders_and_decoders_of_keras_hub(name):
    sizes, inputs = PAIRS[name]
    _, maps = hub_maps(name, sizes, inputs)
    kinds = [(one.kind, one.causal) for one in maps.maps]
    assert kinds == [("encoder_self", False), ("decoder_self", True), ("cross", False)]
    for one in maps.maps:
        np.testing.assert_allclose(sums_of(one), 1, **EXACT)
