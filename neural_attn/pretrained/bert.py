"""BERT (Devlin et al., 2019) and the models of its shape."""

from __future__ import annotations

import re

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Array,
    Extra,
    Family,
    Layer,
    Plan,
    Rule,
    unchanged,
)

_EMBEDDING = "transformer_embedding_0"
_MAX_LAYERS = 1000

_EXTRAS = (
    Extra(r"embeddings\.(position|token_type)_ids", "constants that are computed here"),
    Extra(r"pooler\..*", "the pooler, which comes after the last attention"),
    Extra(r"cls\..*", "the heads of pretraining"),
    Extra(r"(classifier|qa_outputs)\..*", "the head of a task"),
)


# How transformers calls its classes; other names say nothing of the architecture.
_CLASS = re.compile(r"[A-Z]\w*(Model|For[A-Z]\w*)")


def plan(config: Config) -> Plan:
    """The network of a BERT config.json."""
    _check_architecture(config)
    _check_options(config)
    width, heads = config.size("hidden_size"), config.size("num_attention_heads")
    if width % heads:
        fail("E0625.heads", path=config.path, d_model=width, heads=heads)
    depth = config.size("num_hidden_layers", maximum=_MAX_LAYERS)
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
        summary=f"BERT with {_count(depth, 'layer')} of {_count(heads, 'head')}",
        inputs=[
            (name, "(None,)")
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ],
        layers=[embedding, encoder],
        rules=_rules(depth),
        extras=_EXTRAS,
        body=("embeddings.", "encoder."),
        notes=_dropout_notes(config, dropout),
    )


def _check_architecture(config: Config) -> None:
    """Refuse RoBERTa and its kin, whose tensors have the names and shapes of BERT's.

    Their positions begin after that of the padding token, which the table has room for.
    """
    for name in config.names("architectures"):
        if _CLASS.fullmatch(name) and "Bert" not in name:
            fail("E0626.architecture", path=config.path, name=name)
    padding = config.whole("pad_token_id", 0)
    offset = padding + 1
    length = config.size("max_position_embeddings")
    if padding and length > offset and (length - offset) % 64 == 0:
        fail("E0626.offset", path=config.path, length=length, padding=padding)


def _absolute(table: Array) -> Array:
    """A table of positions that count from 0."""
    # The row of the padding token is never learned: it stays 0.
    if len(table) > 1 and not table[1].any() and table[0].any():
        fail("E0626.padding")
    return table


def _check_options(config: Config) -> None:
    config.refuse(
        "position_embedding_type", "absolute", "only absolute positions are supported"
    )
    config.refuse("is_decoder", False, "decoders of this type are not supported")
    config.refuse(
        "add_cross_attention", False, "cross-attention is not supported for this type"
    )
    config.refuse("pruned_heads", None, "models with heads cut out are not supported")
    config.refuse("quantization_config", None, "quantized weights are not supported")


def _rules(depth: int) -> list[Rule]:
    # A single layer is not repeated, and named by its number.
    layer, stack = (
        (r"encoder\.layer\.(\d+)\.", r"transformer_encoder_layers.\1.")
        if depth > 1
        else (r"encoder\.layer\.(0)\.", r"transformer_encoder_\1.")
    )
    dense = r"\.(weight|bias)"
    # Models converted from TensorFlow 1 say gamma and beta.
    norm = r"\.LayerNorm\."
    rules = [
        Rule(
            rf"embeddings\.{theirs}_embeddings\.weight",
            f"{_EMBEDDING}.{ours}.weight",
            convert,
        )
        for theirs, ours, convert in (
            ("word", "token", unchanged),
            ("token_type", "segment", unchanged),
            ("position", "position", _absolute),
        )
    ]
    rules += [
        Rule(rf"{layer}{theirs}{dense}", rf"{stack}{ours}.\2")
        for theirs, ours in (
            (r"attention\.self\.query", "attention.query_projection"),
            (r"attention\.self\.key", "attention.key_projection"),
            (r"attention\.self\.value", "attention.value_projection"),
            (r"attention\.output\.dense", "attention.output_projection"),
            (r"intermediate\.dense", "feed_forward.expand"),
            (r"output\.dense", "feed_forward.contract"),
        )
    ]
    for theirs, ours in (("weight|gamma", "weight"), ("bias|beta", "bias")):
        rules += [
            Rule(rf"embeddings{norm}(?:{theirs})", f"{_EMBEDDING}.norm.{ours}"),
            Rule(
                rf"{layer}attention\.output{norm}(?:{theirs})",
                rf"{stack}attention_norm.{ours}",
            ),
            Rule(
                rf"{layer}output{norm}(?:{theirs})",
                rf"{stack}feed_forward_norm.{ours}",
            ),
        ]
    return rules


def _dropout_notes(config: Config, dropout: float) -> list[str]:
    on_weights = config.number("attention_probs_dropout_prob", 0.1)
    if on_weights == dropout:
        return []
    return [
        f"attention_probs_dropout_prob {on_weights:g} became {dropout:g}, the rate of "
        "hidden_dropout_prob: the block has one rate, which matters in training only"
    ]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


FAMILY = Family(("bert",), plan, prefixes=("bert.",))
