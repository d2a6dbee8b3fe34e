"""BERT (Devlin et al., 2019) and the models of its shape."""

from __future__ import annotations

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    ABSOLUTE_POSITIONS,
    ENCODER,
    MAX_LAYERS,
    described,
    rate_note,
    refuse,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.encoders import (
    BERT_LAYER,
    HEADS,
    Kin,
    encoder_plan,
    with_old_names,
)
from neural_attn.pretrained.conversion.family import (
    Array,
    Extra,
    Family,
    Layer,
    Plan,
    Rule,
    rules,
)
from neural_attn.pretrained.conversion.heads import (
    MASKED,
    PRETRAINING,
)

_EXTRAS = (
    Extra(r"embeddings\.(position|token_type)_ids", "constants that are computed here"),
    Extra(r"pooler\..*", "the pooler, which comes after the last attention"),
    Extra(r"cls\..*", "the heads of pretraining"),
    Extra(r"(classifier|qa_outputs)\..*", "a task head"),
)
_KIN = Kin(
    "BERT",
    masked=(
        {
            "cls.predictions.transform.dense": "transform",
            "cls.predictions.transform.LayerNorm": "transform_norm",
            "cls.predictions.bias": "bias",
            "cls.predictions.decoder": "head",
        },
        None,
    ),
    pooled=({"pooler.dense": "pool", "classifier": "head"}, "tanh"),
    options=ABSOLUTE_POSITIONS,
    extras=_EXTRAS,
)
_EMBEDDINGS = {
    "word_embeddings": "token",
    "token_type_embeddings": "segment",
    "LayerNorm": "norm",
}


def plan(config: Config) -> Plan:
    """The network of a BERT config.json."""
    _check_positions(config)
    if config.head:
        return encoder_plan(config, _KIN)
    refuse(config, {**ENCODER, **ABSOLUTE_POSITIONS})
    width, heads = width_and_heads(config)
    depth = config.size("num_hidden_layers", maximum=MAX_LAYERS)
    dropout = config.number("hidden_dropout_prob", 0.1)
    epsilon = config.number("layer_norm_eps", 1e-12)
    embedding = Layer(
        "TransformerEmbedding",
        {
            "vocab_size": config.size("vocab_size"),
            "d_model": width,
            "max_len": config.size("max_position_embeddings"),
            "type_vocab_size": config.size("type_vocab_size", 2),
            "dropout": dropout,
            "epsilon": epsilon,
        },
    )
    encoder = Layer(
        "TransformerEncoder",
        {
            "num_heads": heads,
            "ff_dim": config.size("intermediate_size"),
            "dropout": dropout,
            "activation": activation(config, "hidden_act", "gelu"),
            "epsilon": epsilon,
        },
        repeat=depth,
    )
    return Plan(
        summary=described("BERT", depth, heads),
        inputs=[
            (name, "(None,)")
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ],
        layers=[embedding, encoder],
        rules=[
            *rules(
                with_old_names(_EMBEDDINGS), "embeddings.", "transformer_embedding."
            ),
            Rule(
                r"embeddings\.position_embeddings\.weight",
                "transformer_embedding.position.weight",
                _absolute,
            ),
            *rules(
                with_old_names(BERT_LAYER), "encoder.layer.#.", "transformer_encoder.#."
            ),
        ],
        extras=_EXTRAS,
        body=("embeddings.", "encoder."),
        notes=rate_note(
            config,
            "attention_probs_dropout_prob",
            0.1,
            "hidden_dropout_prob",
            dropout,
        ),
    )


def _check_positions(config: Config) -> None:
    """Refuse RoBERTa and its kin, whose tensors have the names and shapes of BERT's.

    Their positions begin after that of the padding token, which the table has room for.
    """
    padding = config.whole("pad_token_id", 0)
    offset = padding + 1
    length = config.size("max_position_embeddings")
    has_room = length > offset and (length - offset) % 64 == 0
    # RoBERTa has one segment; a BERT that has one, and pads by 1, is not known of
    if padding and (has_room or config.whole("type_vocab_size", 2) == 1):
        fail("E0626.offset", path=config.path, length=length, padding=padding)


def _absolute(table: Array) -> Array:
    """A table of positions that count from 0."""
    # The row of the padding token is never learned: it stays 0.
    if len(table) > 1 and not table[1].any() and table[0].any():
        fail("E0626.padding")
    return table


FAMILY = Family(
    ("bert",),
    plan,
    prefixes=("bert.",),
    heads={**HEADS, MASKED: r"cls\.predictions", PRETRAINING: r"cls\.predictions"},
)
