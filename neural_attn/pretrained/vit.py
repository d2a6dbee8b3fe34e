"""ViT (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021)."""

from __future__ import annotations

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    described,
    rate_note,
    refuse,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Array,
    Block,
    Extra,
    Family,
    Layer,
    Plan,
    rules,
)
from neural_attn.pretrained.conversion.heads import DISTILLED, SEQUENCE

_TITLES = {"vit": "ViT", "deit": "DeiT"}
_LAYER = {
    "attention.attention.query": "attention.query_projection",
    "attention.attention.key": "attention.key_projection",
    "attention.attention.value": "attention.value_projection",
    "attention.output.dense": "attention.output_projection",
    "layernorm_before": "attention_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
    "layernorm_after": "feed_forward_norm",
}
_OUTER = {
    "embeddings.patch_embeddings.projection": "patches.projection",
    "embeddings.cls_token": "class_token.token",
    "embeddings.distillation_token": "distillation_token.token",
    "layernorm": "norm",
    "classifier": "head",
    "cls_classifier": "head",
    "distillation_classifier": "distillation_head",
}


def plan(config: Config) -> Plan:
    """The network of a config.json of ViT's kin."""
    kind = config.text("model_type")
    refuse(config, {})
    width, heads = width_and_heads(config)
    depth = config.size("num_hidden_layers", maximum=MAX_LAYERS)
    dropout = config.number("hidden_dropout_prob", 0.0)
    height, wide = config.pair("image_size", 224)
    patch, other = config.pair("patch_size", 16)
    config.check(patch == other, "patch_size", "one number: patches are square here")
    tokens = ["distillation_token", "class_token"][kind == "vit" :]
    steps = (height // patch) * (wide // patch) + len(tokens)
    epsilon: dict[str, Argument] = {"epsilon": config.number("layer_norm_eps", 1e-12)}
    layers = [
        Layer(
            "PatchEmbedding", {"d_model": width, "patch_size": patch}, name="patches"
        ),
        *(Layer("ClassToken", {}, name=name) for name in tokens),
        Layer(
            "PositionalEncoding",
            {"max_len": steps, "encoding_type": "learned", "dropout": dropout},
            name="position",
        ),
        Layer(
            "TransformerEncoder",
            {
                "num_heads": heads,
                "ff_dim": config.size("intermediate_size"),
                "dropout": dropout,
                "activation": activation(config, "hidden_act", "gelu"),
                "norm_first": True,
                **epsilon,
            },
            depth,
            "encoder",
        ),
        Layer("LayerNormalization", epsilon, name="norm"),
    ]
    block = None
    if config.head == DISTILLED:
        labels: dict[str, Argument] = {"units": config.labels()}
        layers += [
            Layer("Dense", labels, name="head"),
            Layer("Dense", labels, name="distillation_head"),
            Layer("FirstStep", {}, name="first"),
        ]
        block = Block(
            "DeiTModel",
            [
                "x = class_token(distillation_token(patches(image)))",
                "x = norm(encoder(position(x)))",
                "told = head(first(x)) + distillation_head(first(slice(x, 1, axis=1)))",
                "return told / 2",
            ],
        )
    elif config.head:
        layers += [
            Layer("FirstStep", {}, name="first"),
            Layer("Dense", {"units": config.labels()}, name="head"),
        ]
    channels = config.size("num_channels", 3)
    return Plan(
        summary=described(_TITLES[kind], depth, heads),
        inputs=[("image", f"({height}, {wide}, {channels})")],
        block=block,
        layers=layers,
        rules=[
            *rules(_OUTER),
            *rules(
                {"embeddings.position_embeddings": "position.table.weight"},
                convert=_only_example,
            ),
            *rules(_LAYER, "encoder.layer.#.", "encoder.#."),
        ],
        extras=[
            Extra(r"embeddings\.mask_token", "a token that is used only in training"),
            Extra(r"pooler\..*", "the pooler, which comes after the last attention"),
        ],
        body=("embeddings.", "encoder.", "layernorm."),
        zeros=[]
        if config.flag("qkv_bias", True)
        else [r".*\.(query|key|value)_projection\.bias"],
        notes=rate_note(
            config, "attention_probs_dropout_prob", 0.0, "hidden_dropout_prob", dropout
        ),
    )


def _only_example(values: Array) -> Array:
    """[1, steps, width] to [steps, width]."""
    return values.reshape(values.shape[-2:])


FAMILY = Family(
    tuple(_TITLES),
    plan,
    prefixes=("vit.", "deit."),
    heads={SEQUENCE: "classifier", DISTILLED: "distillation_classifier"},
)
