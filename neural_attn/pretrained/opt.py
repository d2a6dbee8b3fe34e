"""OPT (Zhang et al., 2022)."""

from __future__ import annotations

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    TIED_HEAD,
    described,
    last_step,
    rate_note,
    refuse,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Array,
    Block,
    Family,
    Layer,
    Plan,
    rules,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE, SPAN

_LAYER = {
    "self_attn.q_proj": "self_attention.query_projection",
    "self_attn.k_proj": "self_attention.key_projection",
    "self_attn.v_proj": "self_attention.value_projection",
    "self_attn.out_proj": "self_attention.output_projection",
    "self_attn_layer_norm": "self_attention_norm",
    "fc1": "feed_forward.expand",
    "fc2": "feed_forward.contract",
    "final_layer_norm": "feed_forward_norm",
}
_OUTER = {
    "embed_tokens": "token",
    "project_in": "widen",
    "final_layer_norm": "norm",
    "project_out": "narrow",
    "lm_head": "head",
    "qa_outputs": "head",
    "score": "head",
}
_EPSILON = {"epsilon": 1e-5}  # PyTorch's own


def plan(config: Config) -> Plan:
    """The network of an OPT config.json."""
    refuse(config, {})
    width, heads = width_and_heads(config)
    depth = config.size("num_hidden_layers", maximum=MAX_LAYERS)
    small = config.size("word_embed_proj_dim", width)
    vocabulary = config.size("vocab_size")
    length = config.size("max_position_embeddings", 2048)
    dropout = config.number("dropout", 0.1)
    norm_first = config.flag("do_layer_norm_before", True)
    normed = norm_first and not config.flag("_remove_final_layer_norm", False)
    tied = config.head == LANGUAGE and config.flag("tie_word_embeddings", True)
    layers = [
        _embedding("token", vocabulary, small),
        _embedding("position", length, width),
        *([_dense("widen", width)] if small != width else []),
        Layer(
            "TransformerDecoder",
            {
                "num_heads": heads,
                "ff_dim": config.size("ffn_dim"),
                "dropout": dropout,
                "activation": activation(config, "activation_function", "relu"),
                **({"norm_first": True} if norm_first else {}),
                **_EPSILON,
            },
            repeat=depth,
            name="layer",
        ),
        *([Layer("LayerNormalization", _EPSILON, name="norm")] if normed else []),
        *([_dense("narrow", small)] if small != width else []),
    ]
    answer = "x"
    if tied:
        answer = "x @ transpose(weight(token))"
    elif config.head == SEQUENCE:
        layers.append(Layer("LastStep", {}, name="last"))
        layers.append(_dense("head", config.labels()))
        answer = f"head({last_step(config, 'x', 1)})"
    elif config.head:
        is_span = config.head == SPAN
        head = Layer("Dense", {"units": 2}, name="head")
        layers.append(head if is_span else _dense("head", vocabulary))
        answer = "head(x)"
    return Plan(
        summary=described("OPT", depth, heads),
        inputs=TEXT,
        block=Block("OPTModel", _equations(layers, answer)),
        layers=layers,
        rules=[
            *rules(_OUTER),
            *rules({"embed_positions": "position"}, convert=_behind_padding),
            *rules(_LAYER, "layers.#.", "layer.#."),
        ],
        extras=[TIED_HEAD] if tied else [],
        body=("embed_", "project_", "layers.", "final_layer_norm"),
        notes=rate_note(config, "attention_dropout", 0.0, "dropout", dropout),
        zeros=_without(config, "enable_bias", r".*(projection|expand|contract)\.bias")
        + _without(config, "layer_norm_elementwise_affine", r".*norm\.bias"),
        ones=_without(config, "layer_norm_elementwise_affine", r".*norm\.weight"),
    )


def _embedding(name: str, rows: int, width: int) -> Layer:
    return Layer("Embedding", {"input_dim": rows, "output_dim": width}, name=name)


def _dense(name: str, units: int) -> Layer:
    return Layer("Dense", {"units": units, "use_bias": False}, name=name)


def _equations(layers: list[Layer], answer: str) -> list[str]:
    names = {layer.name for layer in layers}
    vectors, result = "token(input_ids)", "layer(x, attention_mask=attention_mask)"
    vectors = f"widen({vectors})" if "widen" in names else vectors
    result = f"norm({result})" if "norm" in names else result
    result = f"narrow({result})" if "narrow" in names else result
    return [
        f"x = {vectors} + position(positions(input_ids, attention_mask))",
        f"x = {result}",
        f"return {answer}",
    ]


def _without(config: Config, option: str, pattern: str) -> list[str]:
    """Weights of ours that a model does without, where an option is off."""
    return [] if config.flag(option, True) else [pattern]


def _behind_padding(table: Array) -> Array:
    """Positions begin at row 2; what is padding has row 1, which nothing sees."""
    return table[2:]


FAMILY = Family(
    ("opt",),
    plan,
    prefixes=("model.decoder.", "decoder.", "model."),
    heads={LANGUAGE: "", SEQUENCE: "score", SPAN: "qa_outputs"},
)
