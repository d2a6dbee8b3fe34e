"""DistilBERT (Sanh et al., 2019)."""

from __future__ import annotations

from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.encoders import HEADS, Kin, encoder_plan
from neural_attn.pretrained.conversion.family import Extra, Family, Plan
from neural_attn.pretrained.conversion.heads import MASKED

_KIN = Kin(
    "DistilBERT",
    masked=(
        {
            "vocab_transform": "transform",
            "vocab_layer_norm": "transform_norm",
            "vocab_projector.bias": "bias",
            "vocab_projector": "head",
        },
        None,
    ),
    pooled=({"pre_classifier": "pool", "classifier": "head"}, "relu"),
    layer={
        "attention.q_lin": "attention.query_projection",
        "attention.k_lin": "attention.key_projection",
        "attention.v_lin": "attention.value_projection",
        "attention.out_lin": "attention.output_projection",
        "sa_layer_norm": "attention_norm",
        "ffn.lin1": "feed_forward.expand",
        "ffn.lin2": "feed_forward.contract",
        "output_layer_norm": "feed_forward_norm",
    },
    stack="transformer.layer.#.",
    keys={
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
    extras=(
        Extra(
            r"(vocab_\w+|pre_classifier|classifier|qa_outputs)\..*",
            "a task head",
        ),
    ),
    segments=False,
)


def plan(config: Config) -> Plan:
    """The network of a DistilBERT config.json."""
    return encoder_plan(config, _KIN)


FAMILY = Family(
    ("distilbert",),
    plan,
    prefixes=("distilbert.",),
    heads={**HEADS, MASKED: "vocab_transform"},
)
