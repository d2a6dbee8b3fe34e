"""CLIP (Radford et al., 2021): a tower for images, one for texts, or both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    counted,
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
    Rule,
    rules,
)

_LAYER = {
    "self_attn.q_proj": "query_projection",
    "self_attn.k_proj": "key_projection",
    "self_attn.v_proj": "value_projection",
    "self_attn.out_proj": "output_projection",
}
_TEXT_NAMES = {
    "embeddings.token_embedding": "token",
    "embeddings.position_embedding": "text_position.table",
    "final_layer_norm": "text_norm",
}
_IMAGE_NAMES = {
    "embeddings.patch_embedding": "patches.projection",
    "embeddings.position_embedding": "image_position.table",
    "pre_layrnorm": "first_norm",
}
_FEED_FORWARD = {
    "layer_norm2": "feed_forward_norm",
    "mlp.fc1": "feed_forward.expand",
    "mlp.fc2": "feed_forward.contract",
}


@dataclass(frozen=True)
class _Tower:
    """One of the two: how its files name it, and the sizes that they leave out."""

    title: str
    inner: str
    width: int
    heads: int
    ff_dim: int
    head: str  # what turns its vector into the space of both


_TEXT = _Tower("text", "text_config", 512, 8, 2048, "text_projection")
_IMAGE = _Tower("image", "vision_config", 768, 12, 3072, "visual_projection")
_KINDS = {
    "clip": (_IMAGE, _TEXT),
    "clip_vision_model": (_IMAGE,),
    "clip_text_model": (_TEXT,),
}


def plan(config: Config) -> Plan:
    """The network of a config.json of CLIP, or of one of its towers."""
    kind = config.text("model_type")
    refuse(config, {})
    towers, both = _KINDS[kind], kind == "clip"
    inputs: list[tuple[str, str]] = []
    layers: list[Layer] = []
    equations: list[str] = []
    found: list[Rule] = []
    depths = []
    for tower in towers:
        own = config.inner(tower.inner) if both else config
        projected = both or config.stores(f"{tower.head}.weight")
        inputs += [("image", _image_shape(own))] if tower is _IMAGE else TEXT
        layers += _layers(own, tower)
        equations += _image(own) if tower is _IMAGE else _text(own)
        if projected and tower is _IMAGE:
            layers.append(Layer("LayerNormalization", _epsilon(own), name="image_norm"))
        if projected:
            size = config.size("projection_dim", 512)
            layers.append(
                Layer(
                    "Dense",
                    {"units": size, "use_bias": False},
                    name=f"{tower.title}_projection",
                )
            )
            equations += _vector(own, tower)
        found += _rules(tower, both=both, projected=projected)
        depths.append(counted(_depth(own), "layer"))
    if both:
        layers.append(Layer("Weight", {"shape": 1, "start": 0}, name="logit_scale"))
        equations += [
            "# the cosine of the two",
            "image = image / sqrt(sum(image * image))",
            "text = text / sqrt(sum(text * text))",
            "return exp(logit_scale) * sum(image * text)",
        ]
    elif projected:
        equations.append(f"return {towers[0].title}")
    else:
        equations.append(f"return {'x' if towers[0] is _IMAGE else 'y'}")
    return Plan(
        summary=f"CLIP with {' + '.join(depths)}",
        inputs=inputs,
        block=Block("ClipModel", equations),
        layers=layers,
        rules=[*found, Rule("logit_scale", "logit_scale", _vector_of_one)],
        notes=_notes(config.inner("text_config") if both else config, towers),
        extras=[
            Extra(r".*embeddings\.position_ids", "constants that are computed here"),
            Extra(
                r"post_layernorm\..*|vision_model\.post_layernorm\..*",
                "the norm of a class token that is not used",
            ),
        ]
        if not both
        else [Extra(r".*\.position_ids", "constants that are computed here")],
        body=("text_model.", "vision_model.", *_BODY),
        zeros=(r".*patches\.projection\.bias",),
    )


_BODY = ("embeddings.", "encoder.", "final_layer_norm.", "pre_layrnorm.")


def _depth(config: Config) -> int:
    return config.size("num_hidden_layers", 12, MAX_LAYERS)


def _epsilon(config: Config) -> dict[str, Argument]:
    return {"epsilon": config.number("layer_norm_eps", 1e-5)}


def _image_shape(config: Config) -> str:
    size = config.size("image_size", 224)
    return f"({size}, {size}, {config.size('num_channels', 3)})"


def _notes(config: Config, towers: Sequence[_Tower]) -> list[str]:
    """That padding may end a text, which is told by the first id that ends it."""
    end = config.whole("eos_token_id", 49407)
    if _TEXT not in towers or config.whole("pad_token_id", 1) != end:
        return []
    return [f"padding has the id that ends a text, {end}: it belongs after the text"]


def _layers(config: Config, tower: _Tower) -> list[Layer]:
    """The layers of a tower up to its last vectors."""
    width, heads = width_and_heads(config, defaults=(tower.width, tower.heads))
    norm = _epsilon(config)
    body: dict[str, Argument] = {
        "num_heads": heads,
        "ff_dim": config.size("intermediate_size", tower.ff_dim),
        "dropout": config.number("attention_dropout", 0.0),
        "activation": activation(config, "hidden_act", "quick_gelu"),
        "norm_first": True,
        **norm,
    }
    title, depth = tower.title, _depth(config)
    if tower is _TEXT:
        table: dict[str, Argument] = {
            "input_dim": config.size("vocab_size", 49408),
            "output_dim": width,
        }
        length = config.size("max_position_embeddings", 77)
        positions: dict[str, Argument] = {"max_len": length, "encoding_type": "learned"}
        return [
            Layer("Embedding", table, name="token"),
            Layer("PositionalEncoding", positions, name=f"{title}_position"),
            Layer("TransformerDecoder", body, depth, f"{title}_layer"),
            Layer("LayerNormalization", norm, name=f"{title}_norm"),
        ]
    patch = config.size("patch_size", 32)
    steps = (config.size("image_size", 224) // patch) ** 2 + 1
    positions = {"max_len": steps, "encoding_type": "learned"}
    patches: dict[str, Argument] = {"d_model": width, "patch_size": patch}
    return [
        Layer("PatchEmbedding", patches, name="patches"),
        Layer("ClassToken", {}, name="class_token"),
        Layer("PositionalEncoding", positions, name=f"{title}_position"),
        Layer("LayerNormalization", norm, name="first_norm"),
        Layer("TransformerEncoder", body, depth, f"{title}_layer"),
    ]


def _image(config: Config) -> list[str]:
    return [
        "x = image_position(class_token(patches(image)))",
        "x = image_layer(first_norm(x))",
    ]


def _text(config: Config) -> list[str]:
    return [
        "y = text_position(token(input_ids))",
        "y = text_norm(text_layer(y, attention_mask=attention_mask))",
    ]


def _vector(config: Config, tower: _Tower) -> list[str]:
    """The vector of the whole, in the space of both towers."""
    width = config.size("hidden_size", tower.width)
    if tower is _IMAGE:
        first = f"reshape(slice(x, 0, 1, axis=1), (-1, {width}))"
        return [f"image = image_projection(image_norm({first}))"]
    end = config.whole("eos_token_id", 49407)
    # configurations of old have 2, and mean the highest id
    is_end = "max(input_ids, axis=1)" if end == 2 else str(end)
    return [
        "# a text is told by its first id that ends it, or if none does by its first",
        f"ends = cast(input_ids == {is_end}, y)",
        "ends = cast(ends == max(ends, axis=1), y)",
        "ends = ends * cast(cumsum(ends, axis=1) == 1, y)",
        "y = reshape(ends, (-1, 1, length(y))) @ y",
        f"text = text_projection(reshape(y, (-1, {width})))",
    ]


def _rules(tower: _Tower, *, both: bool, projected: bool) -> list[Rule]:
    """The rules of a tower, whose names begin with its own where there are two."""
    title, is_text = tower.title, tower is _TEXT
    outer = "text_model." if is_text else "vision_model."
    own = "self_attention" if is_text else "attention"
    layer = {
        **{theirs: f"{own}.{ours}" for theirs, ours in _LAYER.items()},
        "layer_norm1": f"{own}_norm",
        **_FEED_FORWARD,
    }
    names = dict(_TEXT_NAMES if is_text else _IMAGE_NAMES)
    if projected and not is_text:
        names["post_layernorm"] = "image_norm"
    found = [
        *rules(names, outer),
        *rules(layer, f"{outer}encoder.layers.#.", f"{title}_layer.#."),
        *rules({tower.head: f"{title}_projection"}),
    ]
    if not is_text:
        name = {f"{outer}embeddings.class_embedding": "class_token.token"}
        found += rules(name, convert=_one_step)
    # a tower that stands alone may do without its name
    start = re.escape(outer)
    optional = start if both else f"(?:{start})?"
    return [replace(r, pattern=r.pattern.replace(start, optional)) for r in found]


def _one_step(values: Array) -> Array:
    return values.reshape(1, 1, -1)


def _vector_of_one(values: Array) -> Array:
    return values.reshape(1)


FAMILY = Family(tuple(_KINDS), plan)
