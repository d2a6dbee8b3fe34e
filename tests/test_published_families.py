"""Families of attention against the modules of transformers, with random weights."""

import numpy as np
import pytest
from neural_attn.backends.emit.generation import generation
from scipy import special

from neural_attn.compile import check_text
from tests.published_families import (
    assert_gradients_reach_all,
    assert_same,
    checked_of,
    exact,
    loaded,
    output_and_maps,
    random_weights,
    renamed,
    spread,
    text_of,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SOURCE = np.array([[3, 1, 4, 1, 5, 9, 2], [2, 6, 5, 3, 8, 0, 0]])
TARGET = np.array([[7, 2, 9, 11], [4, 4, 1, 8]])
DTYPES = {"float64": 1e-8, "float32": 1e-5}

# Keras warns of a softmax over one key, which is what the first token has
one_key = pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")

each_training_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.requires_torch),
        pytest.param("tensorflow", marks=pytest.mark.requires_tensorflow),
    ],
)


# --- T5 ------------------------------------------------------------------------------

T5_NAMES = [
    (r"^lm_head\.weight|^(en|de)coder\.embed_tokens\.weight", ""),
    (r"^shared", "token"),
    (r"^(..)coder\..*relative_attention_bias\.weight", r"\1coder_bias.table"),
    (r"^(en.*)layer\.0\.SelfAttention", r"\1attention"),
    (r"^(en.*)layer\.0\.layer_norm", r"\1attention_norm"),
    (r"^(de.*)layer\.0\.SelfAttention", r"\1self_attention"),
    (r"^(de.*)layer\.0\.layer_norm", r"\1self_attention_norm"),
    (r"layer\.1\.EncDecAttention", "cross_attention"),
    (r"^(de.*)layer\.1\.layer_norm", r"\1cross_attention_norm"),
    (r"layer\.[12]\.layer_norm", "feed_forward_norm"),
    (r"^(..)coder\.final_layer_norm", r"\1coder_norm"),
    (r"^(..)coder\.block\.", r"\1coder_layer."),
    (r"layer\.[12]\.DenseReluDense\.wi", "expand"),
    (r"layer\.[12]\.DenseReluDense\.wo", "contract"),
    (r"norm\.weight", "norm.scale"),
    (r"\.q\.", ".query_projection."),
    (r"\.k\.", ".key_projection."),
    (r"\.v\.", ".value_projection."),
    (r"\.o\.", ".output_projection."),
    (r"^(.)", r"t5_0.\1"),
]  # fmt: skip


def t5(seed=5):
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=4,
        dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=0,
        attn_implementation="eager",
    )  # fmt: skip
    return spread(transformers.T5ForConditionalGeneration(config), seed=seed)


@pytest.mark.thorough("tensorflow-float32")
@pytest.mark.parametrize("dtype", DTYPES)
def test_t5(backend, dtype, tmp_path):
    """Longer than the last bucket begins, with padding in the source."""
    theirs, checked = t5(), checked_of(text_of("t5"))
    draw = np.random.default_rng(0)
    source, target = draw.integers(1, 40, (2, 140)), draw.integers(1, 40, (2, 131))
    source[1, 90:] = 0
    with exact():
        expected = theirs(
            input_ids=torch.from_numpy(source),
            attention_mask=torch.from_numpy(source != 0).long(),
            decoder_input_ids=torch.from_numpy(target),
            output_attentions=True,
        )
    ours = loaded(checked, backend, renamed(theirs, T5_NAMES), tmp_path, dtype)
    output, maps = output_and_maps(ours, {"source": source, "target": target})
    atol = DTYPES[dtype]
    for i in range(2):
        for name, found in {
            f"encoder_layer_{i}.attention": expected.encoder_attentions[i],
            f"decoder_layer_{i}.self_attention": expected.decoder_attentions[i],
            f"decoder_layer_{i}.cross_attention": expected.cross_attentions[i],
        }.items():
            assert_same(maps[f"t5_0.{name}"], found, atol)
    assert_same(output, expected.logits, 10 * atol)


# --- BART ----------------------------------------------------------------------------

BART_NAMES = [
    (r"^(lm_head|final_logits_bias|model\.(en|de)coder\.embed_tokens)\b.*", ""),
    (r"^model\.shared", "token"),
    (r"^model\.encoder\.(embed_positions|layernorm_embedding)", r"source_embedding.\1"),
    (r"^model\.decoder\.(embed_positions|layernorm_embedding)", r"target_embedding.\1"),
    (r"embed_positions", "encoding.table"),
    (r"layernorm_embedding", "norm"),
    (r"^model\.(en|de)coder\.layers", r"\1coder"),
    (r"^(encoder.*)\.self_attn", r"\1.attention"),
    (r"^(decoder.*)\.self_attn", r"\1.self_attention"),
    (r"encoder_attn", "cross_attention"),
    (r"_layer_norm", "_norm"),
    (r"final_norm", "feed_forward_norm"),
    (r"fc1", "feed_forward.expand"),
    (r"fc2", "feed_forward.contract"),
    (r"\.([qkv])_proj", r".\1_projection"),
    (r"out_proj", "output_projection"),
    (r"\.q_", ".query_"),
    (r"\.k_", ".key_"),
    (r"\.v_", ".value_"),
    (r"^(.)", r"bart_0.\1"),
]


def bart():
    torch.manual_seed(0)
    config = transformers.BartConfig(
        vocab_size=40, d_model=16, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=24,
        decoder_ffn_dim=24, max_position_embeddings=32, dropout=0.0, pad_token_id=0,
        bos_token_id=None, eos_token_id=None, forced_eos_token_id=None,
        decoder_start_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    theirs = spread(transformers.BartForConditionalGeneration(config), seed=2)
    with torch.no_grad():  # so that no token follows itself for ever
        theirs.model.decoder.embed_positions.weight.mul_(6)
    weights = renamed(theirs, BART_NAMES)
    for side in ("source", "target"):  # its first position is 2
        name = f"bart_0.{side}_embedding.encoding.table.weight"
        weights[name] = weights[name][2:]
    return theirs, weights


def given_to(theirs):
    """The source and its mask as they are given to a model of transformers."""
    return {
        "input_ids": torch.from_numpy(SOURCE),
        "attention_mask": torch.from_numpy(SOURCE != 0).long(),
    }


@pytest.mark.thorough("tensorflow-float32")
@pytest.mark.parametrize("dtype", DTYPES)
def test_bart(backend, dtype, tmp_path):
    theirs, weights = bart()
    with exact():
        expected = theirs(
            **given_to(theirs),
            decoder_input_ids=torch.from_numpy(TARGET),
            output_attentions=True,
        )
    ours = loaded(checked_of(text_of("bart")), backend, weights, tmp_path, dtype)
    output, maps = output_and_maps(ours, {"source": SOURCE, "target": TARGET})
    for i in range(2):
        for name, found in {
            f"encoder_{i}.attention": expected.encoder_attentions[i],
            f"decoder_{i}.self_attention": expected.decoder_attentions[i],
            f"decoder_{i}.cross_attention": expected.cross_attentions[i],
        }.items():
            assert_same(maps[f"bart_0.{name}"], found, DTYPES[dtype])
    assert_same(output, expected.logits, 10 * DTYPES[dtype])


def assert_same_tokens(ours, theirs, inputs, start, end):
    """Greedy and with four beams, with and without an end: the tokens are theirs."""
    tensor = ours.backend.tensor
    for options in ({}, {"beams": 4}, {"end": end}, {"beams": 4, "end": end}):
        name = "input_ids" if "input_ids" not in inputs else "decoder_input_ids"
        with exact():
            expected = theirs.generate(
                **inputs,
                **{name: torch.from_numpy(start)},
                max_new_tokens=9,
                do_sample=False,
                num_beams=options.get("beams", 1),
                eos_token_id=options.get("end"),
                pad_token_id=0,
            ).numpy()
        given = [tensor(start)]
        if name != "input_ids":
            given = [tensor(inputs["input_ids"].numpy()), *given]
        found = np.asarray(ours.model.generate(*given, 9, **options))
        # no text that only repeats itself
        assert len(np.unique(found)) > 4 or options
        for one, other in zip(found, expected, strict=True):
            stop = options.get("end", -1), start.shape[1]
            assert up_to(one, *stop) == up_to(other, *stop)


def up_to(ids, end, first):
    """The new ids up to the end, if there is one: the rest only fills the row."""
    new = ids[first:].tolist()
    return new[: new.index(end) + 1] if end in new else new


@pytest.mark.thorough("tensorflow")
@one_key
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_translations_are_theirs(name, backend, tmp_path):
    theirs, weights = bart() if name == "bart" else (t5(seed=20), None)
    weights = weights or renamed(theirs, T5_NAMES)
    checked = checked_of(text_of(name))
    assert generation(checked).keeps_steps
    ours = loaded(checked, backend, weights, tmp_path)
    start = np.full((2, 1), 2 if name == "bart" else 0)
    end = int(np.asarray(ours.model.generate(
        *map(ours.backend.tensor, (SOURCE, start)), 6))[0, 4])  # fmt: skip
    assert_same_tokens(ours, theirs, given_to(theirs), start, end)


# --- ALiBi ---------------------------------------------------------------------------


def bloom():
    torch.manual_seed(0)
    config = transformers.BloomConfig(
        vocab_size=40, hidden_size=18, n_layer=2, n_head=6, hidden_dropout=0.0,
        attention_dropout=0.0, tie_word_embeddings=False, pad_token_id=0,
        bos_token_id=None, eos_token_id=None, attn_implementation="eager",
    )  # fmt: skip
    theirs = spread(transformers.BloomForCausalLM(config))
    names = [
        (r"^transformer\.", ""),
        (r"^word_embeddings\.", "embedding_0."),
        (r"^word_embeddings_layernorm", "layer_normalization_0"),
        (r"^ln_f", "layer_normalization_1"),
        (r"^lm_head", "dense_0"),
        (r"^h\.(\d)", r"bloom_layer_layers.\1"),
        (r"input_layernorm", "attention_norm"),
        (r"post_attention_layernorm", "feed_forward_norm"),
        (r"self_attention\.dense", "attention.output_projection"),
        (r"mlp\.dense_h_to_4h", "feed_forward.expand"),
        (r"mlp\.dense_4h_to_h", "feed_forward.contract"),
    ]
    weights = {}
    for name, weight in renamed(theirs, names).items():
        if "query_key_value" in name:  # [heads, 3, size, width]
            parts = weight.reshape(6, 3, 3, -1)
            for i, part in enumerate(("query", "key", "value")):
                ours = name.replace(
                    "self_attention.query_key_value", f"attention.{part}_projection"
                )
                weights[ours] = parts[:, i].reshape(18, *weight.shape[1:])
        else:
            weights[name] = weight
    return theirs, weights


@pytest.mark.thorough("tensorflow")
def test_bloom(backend, tmp_path):
    """Six heads, which are no power of two; padding before a text."""
    theirs, weights = bloom()
    ids = np.random.default_rng(1).integers(1, 40, (2, 21))
    ids[1, :4] = 0
    with exact():
        expected = theirs(
            torch.from_numpy(ids),
            attention_mask=torch.from_numpy(ids != 0).long(),
            output_attentions=True,
        )
    ours = loaded(checked_of(text_of("bloom")), backend, weights, tmp_path)
    output, maps = output_and_maps(ours, ids)
    real = ids != 0  # where all keys are hidden, theirs is a mean of what is not there
    for i in range(2):
        found = maps[f"bloom_layer_{i}"].swapaxes(1, 2)
        assert_same(found[real], expected.attentions[i].transpose(1, 2)[real], 1e-8)
    assert_same(output[real], expected.logits[real], 1e-7)
    start = ids[:, :7]
    given = {"attention_mask": torch.from_numpy(start != 0).long()}
    assert_same_tokens(ours, theirs, given, start, end=11)


# --- ViT -----------------------------------------------------------------------------

VIT_NAMES = [
    (r"^vit\.", ""),
    (r"^embeddings\.cls_token", "class_token_0.token"),
    (r"^embeddings\.position_embeddings", "positional_encoding_0.table.weight"),
    (r"^embeddings\.patch_embeddings", "patch_embedding_0"),
    (r"^layers", "transformer_encoder_layers"),
    (r"attention\.([qkvo])_proj", r"attention.\1_projection"),
    (r"\.q_", ".query_"),
    (r"\.k_", ".key_"),
    (r"\.v_", ".value_"),
    (r"\.o_", ".output_"),
    (r"layernorm_before", "attention_norm"),
    (r"layernorm_after", "feed_forward_norm"),
    (r"mlp\.fc1", "feed_forward.expand"),
    (r"mlp\.fc2", "feed_forward.contract"),
    (r"^layernorm", "layer_normalization_0"),
    (r"^classifier", "dense_0"),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_vit(backend, dtype, tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, patch_size=4,
        intermediate_size=24, image_size=16, num_labels=5, hidden_dropout_prob=0.0,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = spread(transformers.ViTForImageClassification(config))
    weights = renamed(theirs, VIT_NAMES)
    table = "positional_encoding_0.table.weight"
    weights[table] = weights[table][0]
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 3))
    with exact():
        expected = theirs(
            torch.from_numpy(images).permute(0, 3, 1, 2), output_attentions=True
        )
    ours = loaded(checked_of(text_of("vit")), backend, weights, tmp_path, dtype)
    output, maps = output_and_maps(ours, images.astype(dtype))
    for i in range(2):
        found = maps[f"transformer_encoder_{i}"]
        assert_same(found, expected.attentions[i], DTYPES[dtype])
    assert_same(output, expected.logits, DTYPES[dtype])


LEARNING = {
    "t5": {"source": SOURCE, "target": TARGET},
    "bart": {"source": SOURCE, "target": TARGET},
    "bloom": {"ids": SOURCE},
    "vit": {"image": np.random.default_rng(0).normal(size=(3, 16, 16, 3))},
}


@pytest.mark.thorough("bloom-tensorflow", "vit-tensorflow", "t5-tensorflow")
@each_training_backend
@pytest.mark.parametrize("name", LEARNING)
def test_gradients_reach_every_weight(name, backend):
    assert_gradients_reach_all(checked_of(text_of(name)), backend, LEARNING[name])


# --- attentions of other kinds -------------------------------------------------------

X = np.random.default_rng(7).normal(size=(2, 9, 16))
SHOWN = np.ones((2, 9), int)
SHOWN[1, 6:] = 0
PADDED = {"x": X, "attention_mask": SHOWN}
ONE = """
network Model {{
  input: {{ x: (none, 16) attention_mask: (none,) }}
  layers: {layer}
}}
"""
LAYERS = {
    "differential": "DifferentialAttention(2, depth=3, causal=true)",
    "sigmoid": "SigmoidAttention(2)",
    "causal sigmoid": "SigmoidAttention(2, causal=true)",
    "linear": "LinearAttention(2)",
    "linear, unobserved": "LinearAttention(2, observed=false)",
    "linear, causal": "LinearAttention(2, causal=true)",
    "linear, causal, unobserved": "LinearAttention(2, false, causal=true)",
    "latent": """LatentAttention(
        4, 6, key_dim=5, rotary_dim=4, value_dim=3, query_latent_dim=7, causal=true)""",
    "latent, whole queries": "LatentAttention(4, 6, rotary_dim=4, causal=true)",
}


def one(layer):
    return checked_of(ONE.format(layer=LAYERS[layer]))


def hidden_future():
    """What is added to the logits where padding or the future is: a great negative."""
    seen = np.tril(np.ones((9, 9), bool)) & (SHOWN != 0)[:, None, None]
    return torch.from_numpy(np.where(seen, 0, -1e30))


def test_differential_attention(backend, tmp_path):
    """DiffLlama's, whose values of a head stand in two halves of its heads."""
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention

    config = transformers.DiffLlamaConfig(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = spread(DiffLlamaAttention(config, layer_idx=3))
    names = [(r"([qkvo])_proj", r"\1_projection"), (r"^q_", "query_"), (r"^k_", "key_")]
    names += [
        (r"^v_", "value_"),
        (r"^o_", "output_"),
        (r"^", "differential_attention_0."),
    ]
    weights = renamed(theirs, names)
    value = "differential_attention_0.value_projection.weight"
    weights[value] = weights[value].reshape(2, 2, 4, 16).swapaxes(0, 1).reshape(16, 16)
    weights["differential_attention_0.norm_scale"] = np.ones(8)
    still = torch.ones(2, 9, 4).double(), torch.zeros(2, 9, 4).double()
    with exact():
        theirs.groupnorm.eps = 1e-5
        expected, maps = theirs(torch.from_numpy(X), still, hidden_future())
        parts = [
            torch.exp(
                (
                    getattr(theirs, f"lambda_q{i}") * getattr(theirs, f"lambda_k{i}")
                ).sum()
            )
            for i in (1, 2)
        ]
    difference = maps[:, :2] - (parts[0] - parts[1] + theirs.lambda_init) * maps[:, 2:]
    ours = loaded(one("differential"), backend, weights, tmp_path)
    output, found = output_and_maps(ours, PADDED)
    assert_same(found["differential_attention_0"], difference, 1e-8)
    assert_same(output, expected, 1e-8)


def projected(weights, name):
    """Queries, keys and values [batch, heads, time, size] by NumPy alone."""
    for part in ("query", "key", "value"):
        own = f"{name}_attention_0.{part}_projection"
        y = X @ weights[f"{own}.weight"].T + weights[f"{own}.bias"]
        yield y.reshape(2, 9, 2, 8).swapaxes(1, 2)


def answer(weights, name, context):
    own = f"{name}_attention_0.output_projection"
    context = context.swapaxes(1, 2).reshape(2, 9, 16)
    return context @ weights[f"{own}.weight"].T + weights[f"{own}.bias"]


@pytest.mark.parametrize("causal", [False, True])
def test_sigmoid_attention(causal, backend, tmp_path):
    """Ramapuram et al. (2024), equation 3, with b = -log(n)."""
    checked = one("causal sigmoid" if causal else "sigmoid")
    weights = random_weights(checked)
    q, k, v = projected(weights, "sigmoid")
    seen = np.broadcast_to((SHOWN != 0)[:, None, None], (2, 1, 9, 9))
    seen = seen & np.tril(np.ones((9, 9), bool)) if causal else seen
    logits = q @ k.swapaxes(2, 3) / np.sqrt(8)
    bias = -np.log(seen.sum(-1, keepdims=True))
    expected = np.where(seen, special.expit(logits + bias), 0)
    output, maps = output_and_maps(loaded(checked, backend, weights, tmp_path), PADDED)
    assert_same(maps["sigmoid_attention_0"], expected, 1e-12)
    assert_same(output, answer(weights, "sigmoid", expected @ v), 1e-12)


@pytest.mark.parametrize("kind", [name for name in LAYERS if "linear" in name])
def test_linear_attention(kind, backend, tmp_path):
    """Katharopoulos et al. (2020), equations 4 and 8, with phi(x) = elu(x) + 1.

    What reads step by step, as their equations 18 to 20, gives the same.
    """
    checked = one(kind)
    weights = random_weights(checked)
    q, k, v = projected(weights, "linear")
    q, k = (np.where(x > 0, x + 1, np.exp(x)) for x in (q, k))
    seen = (SHOWN != 0)[:, None, None]
    seen = seen & np.tri(9, dtype=bool) if "causal" in kind else seen
    products = np.where(seen, q @ k.swapaxes(2, 3), 0)
    expected = products / np.maximum(products.sum(-1, keepdims=True), 1e-9)
    output, maps = output_and_maps(loaded(checked, backend, weights, tmp_path), PADDED)
    if "unobserved" not in kind:
        assert_same(maps["linear_attention_0"], expected, 1e-12)
    else:
        assert maps == {}
    assert_same(output, answer(weights, "linear", expected @ v), 1e-12)


@pytest.mark.parametrize("kind", ["latent", "latent, whole queries"])
def test_latent_attention(kind, backend, tmp_path):
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as deepseek

    whole = "whole" in kind
    config = transformers.DeepseekV3Config(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=6,
        q_lora_rank=None if whole else 7, qk_nope_head_dim=4 if whole else 5,
        qk_rope_head_dim=4, v_head_dim=4 if whole else 3, rope_interleave=False,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = spread(deepseek.DeepseekV3Attention(config, layer_idx=0))
    names = [
        ("q_a_proj", "query_compression"),
        (r"q_a_layernorm\.weight", "query_norm.scale"),
        ("q_(b_)?proj", "query_projection"),
        ("kv_a_proj_with_mqa", "compression"),
        (r"kv_a_layernorm\.weight", "latent_norm.scale"),
        ("kv_b_proj", "expansion"),
        ("o_proj", "output_projection"),
        ("^", "latent_attention_0."),
    ]
    with exact():
        angles = torch.arange(9).double()[None, :, None] * 10000 ** -(
            torch.arange(2).double() / 2
        )
        angles = torch.cat([angles, angles], dim=-1)
        expected, attended = theirs(
            torch.from_numpy(X), (angles.cos(), angles.sin()), hidden_future()
        )
    ours = loaded(one(kind), backend, renamed(theirs, names), tmp_path)
    output, maps = output_and_maps(ours, PADDED)
    assert_same(maps["latent_attention_0"], attended, 1e-8)
    assert_same(output, expected, 1e-8)


@each_training_backend
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_reach_every_weight_of_other_kinds(kind, backend):
    assert_gradients_reach_all(one(kind), backend, PADDED)


TEXT = """
network Model {{
  input: (none,)
  layers: Embedding(40, 16, mask_zero=true) {layer} Dense(40)
}}
"""


@pytest.mark.thorough("tensorflow")
@one_key
@pytest.mark.parametrize("kind", ["differential", "causal sigmoid", "latent"])
def test_what_is_kept_changes_nothing(kind, backend, tmp_path):
    """Greedy tokens are those of whole forwards, with padding before a text."""
    checked = checked_of(TEXT.format(layer=LAYERS[kind]))
    assert generation(checked).keeps_steps
    ours = loaded(checked, backend, random_weights(checked, 0.8), tmp_path)
    ids = np.array([[0, 0, 3, 1], [7, 4, 1, 5]])
    found = np.asarray(ours.model.generate(ours.backend.tensor(ids), 5))
    for _ in range(5):
        with ours.backend.inference():
            logits = ours.backend.array(ours.model(ours.backend.tensor(ids)))
        if kind == "latent":  # its positions are counted from the first real id
            logits[0] = ours.backend.array(
                ours.model(ours.backend.tensor(ids[:1, 2:]))
            )[0, -1:]
        ids = np.concatenate([ids, logits[:, -1:].argmax(-1)], axis=1)
    np.testing.assert_array_equal(found, ids)


def test_padding_does_not_go_past_a_class_token():
    """What it hands on has a step more than the mask."""
    text = TEXT.format(layer="ClassToken() TransformerEncoder(2, 8)")
    _, (warning,) = check_text(text)
    assert warning.code == "W0107"
    assert "ClassToken" in warning.message
