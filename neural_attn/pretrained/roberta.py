"""RoBERTa (Liu et al., 2019) and the models of its shape, such as XLM-R."""

from __future__ import annotations

from neural_attn.pretrained.conversion.common import ABSOLUTE_POSITIONS
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.encoders import HEADS, Kin, encoder_plan
from neural_attn.pretrained.conversion.family import Extra, Family, Plan
from neural_attn.pretrained.conversion.heads import MASKED, SEQUENCE

_KIN = Kin(
    "RoBERTa",
    masked=(
        {
            "lm_head.dense": "transform",
            "lm_head.layer_norm": "transform_norm",
            "lm_head.bias": "bias",
            "lm_head.decoder": "head",
        },
        "gelu",
    ),
    pooled=({"classifier.dense": "pool", "classifier.out_proj": "head"}, "tanh"),
    options=ABSOLUTE_POSITIONS,
    extras=(
        Extra(r"embeddings\.position_ids", "constants that are computed here"),
        Extra(r"pooler\..*", "the pooler, which comes after the last attention"),
        Extra(r"(lm_head|classifier|qa_outputs)\..*", "a task head"),
    ),
    counts_real=True,
)


def plan(config: Config) -> Plan:
    """The network of a config.json of RoBERTa's kin."""
    return encoder_plan(config, _KIN)


FAMILY = Family(
    ("roberta", "xlm-roberta", "camembert"),
    plan,
    prefixes=("roberta.",),
    heads={**HEADS, MASKED: "lm_head", SEQUENCE: r"classifier\.out_proj"},
)
