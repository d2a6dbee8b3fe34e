"""ModernBERT (Warner et al., 2024): rotary positions, local layers, gates."""

from __future__ import annotations

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    described,
    every,
    kinds_of_layers,
    refuse,
    tied_head,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Block,
    Code,
    Extra,
    Family,
    Layer,
    Plan,
    rules,
    unless,
)
from neural_attn.pretrained.conversion.heads import MASKED, SEQUENCE, SPAN, TAGS
from neural_attn.pretrained.conversion.network_text import two_kinds
from neural_attn.pretrained.conversion.rotary import rotary

_LAYER = {
    "attn_norm": "attention_norm",
    "attn.Wo": "attention.output_projection",
    "mlp_norm": "feed_forward_norm",
    "mlp.Wo": "feed_forward.contract",
}
_FUSED = {
    "attn.Wqkv": [f"attention.{name}_projection" for name in ("query", "key", "value")],
    "mlp.Wi": ["feed_forward.gate", "feed_forward.expand"],
}
_OUTER = {
    "embeddings.tok_embeddings": "token",
    "embeddings.norm": "embedding_norm",
    "final_norm": "norm",
    "head.dense": "transform",
    "head.norm": "transform_norm",
    "decoder": "head",
    "decoder.bias": "bias",
    "classifier": "head",
}
_BASES = {"sliding_attention": 10000.0, "full_attention": 160000.0}
_DEFAULTS: dict[str, Argument] = {
    "factor": 1,
    "activation": "gelu",
    "use_bias": False,
    "ff_bias": False,
    "dropout": 0.0,
    "epsilon": 1e-5,
}


def plan(config: Config) -> Plan:
    """The network of a ModernBERT config.json."""
    refuse(
        config,
        {
            "classifier_pooling": (
                ("cls",),
                "a text is represented by its first token",
            ),
        },
    )
    width, heads = width_and_heads(config)
    depth = config.size("num_hidden_layers", maximum=MAX_LAYERS)
    vocabulary = config.size("vocab_size")
    norm: dict[str, Argument] = {"epsilon": config.number("norm_eps", 1e-5)}
    usual = config.size("global_attn_every_n_layers", 3)
    first, period = kinds_of_layers(config, depth, (0, usual))
    local = Code(every(first, period)) if depth > 1 else first > 0
    kinds = [
        Layer("RotaryEncoder", _arguments(config, heads, local=is_local), name="layer")
        for is_local in (True, False)
    ]
    table = {"input_dim": vocabulary, "output_dim": width}
    layers = [
        Layer("Embedding", table, name="token"),
        Layer("LayerNormalization", norm, name="embedding_norm"),
        Layer(
            "ModernBertLayer",
            {"local": local, "normed": Code("index > 0") if depth > 1 else False},
            depth,
            "layer",
        ),
        Layer("LayerNormalization", norm, name="norm"),
    ]
    equations = [
        "x = embedding_norm(token(input_ids))",
        "x = norm(layer(x, attention_mask=attention_mask))",
    ]
    equations += _head(config, layers, width, norm)
    return Plan(
        summary=described("ModernBERT", depth, heads),
        inputs=TEXT,
        defines=[two_kinds("ModernBertLayer", kinds, ["normed"])],
        block=Block("ModernBertModel", equations),
        layers=layers,
        rules=[
            *rules(_OUTER),
            *rules(_LAYER, "layers.#.", "layer.#.layer."),
            *rules(_FUSED, "layers.#.", "layer.#.layer."),
        ],
        extras=[
            *([tied_head("decoder.weight")] if _is_tied(config) else []),
            Extra(r"(head|decoder|classifier)\..*", "a task head"),
        ],
        body=("embeddings.", "layers.", "final_norm."),
        zeros=(
            r".*norm\.bias",
            r"model\.(bias|transform\.bias)",
            *([] if config.flag("decoder_bias", True) else [r"model\.head\.bias"]),
        ),
    )


def _is_tied(config: Config) -> bool:
    """Whether what guesses tokens is the table of them."""
    return config.head == MASKED and config.flag("tie_word_embeddings", True)


def _arguments(config: Config, heads: int, *, local: bool) -> dict[str, Argument]:
    """Those of a layer that sees near steps alone, or of one that sees all."""
    kind = "sliding_attention" if local else "full_attention"
    base = config.number(
        f"{'local' if local else 'global'}_rope_theta", _BASES[kind], 1e12
    )
    window = {"window": config.size("local_attention", 128) // 2 + 1} if local else {}
    return {
        "num_heads": heads,
        "ff_dim": config.size("intermediate_size"),
        **rotary(config, kind, base),
        **window,
        "normed": Code("normed"),
        **unless(
            _DEFAULTS,
            activation=activation(config, "hidden_activation", "gelu"),
            use_bias=config.flag("attention_bias", False),
            ff_bias=config.flag("mlp_bias", False),
            dropout=config.number("attention_dropout", 0.0),
            epsilon=config.number("norm_eps", 1e-5),
        ),
    }


def _head(
    config: Config, layers: list[Layer], width: int, norm: dict[str, Argument]
) -> list[str]:
    """The equations behind the last layer; adds the layers of the head."""
    if not config.head:
        return ["return x"]
    function = activation(config, "classifier_activation", "gelu")
    layers += [
        Layer("Dense", {"units": width, "activation": function}, name="transform"),
        Layer("LayerNormalization", norm, name="transform_norm"),
    ]
    vocabulary = config.size("vocab_size")
    if _is_tied(config):
        layers.append(
            Layer("Weight", {"shape": vocabulary, "start": "zeros"}, name="bias")
        )
        return [
            "x = transform_norm(transform(x))",
            "return x @ transpose(weight(token)) + bias",
        ]
    units = vocabulary if config.head == MASKED else config.labels()
    layers.append(Layer("Dense", {"units": units}, name="head"))
    if config.head == SEQUENCE:
        layers.append(Layer("FirstStep", {}, name="first"))
        return ["return head(transform_norm(transform(first(x))))"]
    return ["return head(transform_norm(transform(x)))"]


FAMILY = Family(
    ("modernbert",),
    plan,
    prefixes=("model.",),
    heads={
        MASKED: "head",
        SEQUENCE: "classifier",
        TAGS: "classifier",
        SPAN: "classifier",
    },
)
