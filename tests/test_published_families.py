"""Families of attention against the modules of transformers, with random weights."""

import numpy as np
import pytest

from tests.published import (
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


def t5(**options):
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=4,
        dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=0,
        attn_implementation="eager", **options,
    )  # fmt: skip
    return spread(transformers.T5ForConditionalGeneration(config))


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


@each_training_backend
def test_all_of_t5_learns(backend):
    inputs = {"source": SOURCE, "target": TARGET}
    assert_gradients_reach_all(checked_of(text_of("t5")), backend, inputs)
