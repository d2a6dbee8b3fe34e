"""ALBERT (Lan et al., 2020): one layer, applied again and again."""

from __future__ import annotations

from neural_attn.pretrained.conversion.common import ABSOLUTE_POSITIONS
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.encoders import HEADS, Kin, encoder_plan
from neural_attn.pretrained.conversion.family import Extra, Family, Plan
from neural_attn.pretrained.conversion.heads import MASKED, PRETRAINING

_ALIKE = "only one layer, applied repeatedly, is supported"
_KIN = Kin(
    "ALBERT",
    masked=(
        {
            "predictions.dense": "transform",
            "predictions.LayerNorm": "transform_norm",
            "predictions.bias": "bias",
            "predictions.decoder": "head",
        },
        None,
    ),
    pooled=({"pooler": "pool", "classifier": "head"}, "tanh"),
    layer={
        "attention.query": "attention.query_projection",
        "attention.key": "attention.key_projection",
        "attention.value": "attention.value_projection",
        "attention.dense": "attention.output_projection",
        "attention.LayerNorm": "attention_norm",
        "ffn": "feed_forward.expand",
        "ffn_output": "feed_forward.contract",
        "full_layer_layer_norm": "feed_forward_norm",
    },
    stack="encoder.albert_layer_groups.0.albert_layers.0.",
    widen="encoder.embedding_hidden_mapping_in",
    options={
        **ABSOLUTE_POSITIONS,
        "num_hidden_groups": ((1,), _ALIKE),
        "inner_group_num": ((1,), _ALIKE),
    },
    extras=(
        Extra(r"embeddings\.position_ids", "constants that are computed here"),
        Extra(r"pooler\..*", "the pooler, which comes after the last attention"),
        Extra(
            r"(predictions|sop_classifier\.\w+|classifier|qa_outputs)\..*",
            "a task head",
        ),
    ),
    shared=True,
)


def plan(config: Config) -> Plan:
    """The network of an ALBERT config.json."""
    return encoder_plan(config, _KIN)


FAMILY = Family(
    ("albert",),
    plan,
    prefixes=("albert.",),
    heads={**HEADS, MASKED: "predictions", PRETRAINING: "predictions"},
)
