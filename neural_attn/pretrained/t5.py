"""T5 (Raffel et al., 2020), and T5 1.1, whose feed-forward layers have gates."""

from __future__ import annotations

from neural_attn.pretrained.conversion.activations import activation_named
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TIED_HEAD,
    TRANSLATION,
    counted,
    padding_of,
    refuse,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Block,
    Extra,
    Family,
    Layer,
    Plan,
    Rule,
    rules,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE

_ATTENTION = {
    "q": "query_projection",
    "k": "key_projection",
    "v": "value_projection",
    "o": "output_projection",
}
_FEED_FORWARD = {"wi": "expand", "wi_0": "gate", "wi_1": "expand", "wo": "contract"}


def plan(config: Config) -> Plan:
    """The network of a T5 config.json."""
    refuse(config, {"is_decoder": ((False,), "decoders alone are not supported")})
    width, heads = config.size("d_model"), config.size("num_heads")
    depth = config.size("num_layers", maximum=MAX_LAYERS)
    depths = (depth, config.size("num_decoder_layers", depth, MAX_LAYERS))
    table = {"input_dim": config.size("vocab_size"), "output_dim": width}
    norm: dict[str, Argument] = {"epsilon": config.number("layer_norm_epsilon", 1e-6)}
    layer = _layer(config, heads, norm)
    buckets: dict[str, Argument] = {
        "num_heads": heads,
        "num_buckets": config.size("relative_attention_num_buckets", 32),
        "max_distance": config.size("relative_attention_max_distance", 128),
    }
    one_way = {**buckets, "bidirectional": False}
    layers = [
        Layer("Embedding", table, name="token"),
        Layer("Dropout", {"rate": config.number("dropout_rate", 0.1)}, name="dropout"),
        Layer("RelativePositionBias", buckets, name="encoder_bias"),
        Layer("T5Encoder", layer, depths[0], "encoder"),
        Layer("RMSNorm", norm, name="encoder_norm"),
        Layer("RelativePositionBias", one_way, name="decoder_bias"),
        Layer("Cache", {}, name="past_steps"),
        Layer("T5Decoder", layer, depths[1], "decoder"),
        Layer("RMSNorm", norm, name="decoder_norm"),
    ]
    counts = " + ".join(counted(number, "layer") for number in depths)
    own_head = config.stores("lm_head.weight") and not _is_tied(config)
    return Plan(
        summary=f"T5 with {counts} of {counted(heads, 'head')}",
        inputs=TRANSLATION,
        block=Block(
            "T5Model",
            [
                *padding_of(config, 0),
                "x = dropout(token(source))",
                "x = encoder(x, encoder_bias(x), attention_mask=memory_mask)",
                "memory = dropout(encoder_norm(x))",
                "y = dropout(token(target))",
                "# as many keys as there were steps",
                "bias = decoder_bias(y, past_steps(slice(y, 0, 1)))",
                "y = decoder(y, memory, bias, memory_mask=memory_mask)",
                "y = dropout(decoder_norm(y))",
                f"return {_answer(config, layers, width, own_head=own_head)}",
            ],
        ),
        layers=layers,
        rules=_rules(),
        extras=[
            Extra(
                r"(en|de)coder\.embed_tokens\.weight",
                "copies of the token embedding",
                "token.weight",
            ),
            # an old checkpoint has one that was never used
            Extra(
                r"decoder\..*EncDecAttention\.relative_attention_bias\.weight",
                "a bias that attention to the source does not have",
            ),
            *([] if own_head else [TIED_HEAD]),
        ],
        body=("shared", "encoder.", "decoder."),
    )


def _is_tied(config: Config) -> bool:
    return config.flag("tie_word_embeddings", True)


def _layer(
    config: Config, heads: int, norm: dict[str, Argument]
) -> dict[str, Argument]:
    """The arguments of a layer: `feed_forward_proj` is `relu` or `gated-gelu`.

    `dense_act_fn` and `is_gated_act`, which follow from it, win where they do not.
    """
    usual = "gated-gelu" if config.text("model_type") == "mt5" else "relu"
    kind = config.text("feed_forward_proj", usual)
    function = "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")
    function = config.text("dense_act_fn", function)
    gated = config.flag("is_gated_act", kind.startswith("gated-"))
    return {
        "num_heads": heads,
        "ff_dim": config.size("d_ff"),
        "key_dim": config.size("d_kv"),
        "activation": activation_named(config, function),
        **({"gated": True} if gated else {}),
        "dropout": config.number("dropout_rate", 0.1),
        **norm,
    }


def _answer(config: Config, layers: list[Layer], width: int, *, own_head: bool) -> str:
    if config.head != LANGUAGE:
        return "y"
    # mT5 never scales, and T5 1.1, which ties nothing, neither
    scaled = config.text("model_type") == "t5" and config.flag(
        "scale_decoder_outputs", _is_tied(config)
    )
    y = f"(y / sqrt({width}))" if scaled else "y"
    if own_head:
        units = config.size("vocab_size")
        layers.append(Layer("Dense", {"units": units, "use_bias": False}, name="head"))
        return f"head({y.strip('()') if scaled else y})"
    return f"{y} @ transpose(weight(token))"


def _rules() -> list[Rule]:
    found = rules({"shared": "token", "lm_head": "head"})
    for side, parts in {
        "encoder": {"0.SelfAttention": "attention", "1.DenseReluDense": ""},
        "decoder": {
            "0.SelfAttention": "self_attention",
            "1.EncDecAttention": "cross_attention",
            "2.DenseReluDense": "",
        },
    }.items():
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found += rules({bias: f"{side}_bias.table"})
        found += rules({f"{side}.final_layer_norm.weight": f"{side}_norm.scale"})
        layer, ours = f"{side}.block.#.layer.", f"{side}.#."
        for theirs, attention in parts.items():
            names = _ATTENTION if attention else _FEED_FORWARD
            part = attention or "feed_forward"
            found += rules(names, f"{layer}{theirs}.", f"{ours}{part}.")
            norm = {f"{theirs[0]}.layer_norm.weight": f"{part}_norm.scale"}
            found += rules(norm, layer, ours)
    return found


FAMILY = Family(("t5", "mt5"), plan, heads={LANGUAGE: ""})
