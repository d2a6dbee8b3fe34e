"""Families of attention against the modules of transformers, with random weights."""

import numpy as np
import pytest
from neural_attn.backends.emit.generation import generation

from tests.published_families import (
    assert_gradients_reach_all,
    assert_same,
    checked_of,
    exact,
    loaded,
    output_and_maps,
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
    (r"block\.0\.layer\.0\.SelfAttention\.relative_attention_bias\.weight",
     "relative_bias.table"),
    (r"block\.(\d)", r"layer.\1"),
    (r"^(encoder.*)layer\.0\.SelfAttention", r"\1attention"),
    (r"^(encoder.*)layer\.0\.layer_norm", r"\1attention_norm"),
    (r"^(decoder.*)layer\.0\.SelfAttention", r"\1self_attention"),
    (r"^(decoder.*)layer\.0\.layer_norm", r"\1self_attention_norm"),
    (r"layer\.1\.EncDecAttention", "cross_attention"),
    (r"^(decoder.*)layer\.1\.layer_norm", r"\1cross_attention_norm"),
    (r"layer\.[12]\.DenseReluDense\.wi", "feed_forward.expand"),
    (r"layer\.[12]\.DenseReluDense\.wo", "feed_forward.contract"),
    (r"layer\.[12]\.layer_norm", "feed_forward_norm"),
    (r"final_layer_norm", "norm"),
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
            f"encoder.layer_{i}.attention": expected.encoder_attentions[i],
            f"decoder.layer_{i}.self_attention": expected.decoder_attentions[i],
            f"decoder.layer_{i}.cross_attention": expected.cross_attentions[i],
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


@one_key
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_translations_are_theirs(name, backend, tmp_path):
    theirs, weights = bart() if name == "bart" else (t5(seed=3), None)
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


@each_training_backend
@pytest.mark.parametrize("name", LEARNING)
def test_gradients_reach_every_weight(name, backend):
    assert_gradients_reach_all(checked_of(text_of(name)), backend, LEARNING[name])
