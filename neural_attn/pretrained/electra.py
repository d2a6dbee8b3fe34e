"""ELECTRA (Clark et al., 2020): the generator, and the discriminator that is used."""

from __future__ import annotations

from neural_attn.pretrained.conversion.common import ABSOLUTE_POSITIONS
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.encoders import HEADS, Kin, encoder_plan
from neural_attn.pretrained.conversion.family import Extra, Family, Plan
from neural_attn.pretrained.conversion.heads import MASKED, PRETRAINING, SEQUENCE

_KIN = Kin(
    "ELECTRA",
    masked=(
        {
            "generator_predictions.dense": "transform",
            "generator_predictions.LayerNorm": "transform_norm",
            "generator_lm_head.bias": "bias",
            "generator_lm_head": "head",
        },
        "gelu",
    ),
    pooled=({"classifier.dense": "pool", "classifier.out_proj": "head"}, "gelu"),
    detecting={
        "discriminator_predictions.dense": "transform",
        "discriminator_predictions.dense_prediction": "head",
    },
    widen="embeddings_project",
    options=ABSOLUTE_POSITIONS,
    extras=(
        Extra(r"embeddings\.position_ids", "constants that are computed here"),
        Extra(
            r"(generator_\w+|discriminator_predictions|classifier|qa_outputs)\..*",
            "a task head",
        ),
    ),
)


def plan(config: Config) -> Plan:
    """The network of an ELECTRA config.json."""
    return encoder_plan(config, _KIN)


FAMILY = Family(
    ("electra",),
    plan,
    prefixes=("electra.",),
    heads={
        **HEADS,
        MASKED: "generator_predictions",
        PRETRAINING: "discriminator_predictions",
        SEQUENCE: r"classifier\.out_proj",
    },
)
