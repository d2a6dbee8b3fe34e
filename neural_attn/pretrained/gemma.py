"""Gemma (Gemma Team, 2024), Gemma 2 (2024) and the text part of Gemma 3 (2025)."""

from __future__ import annotations

from neural_attn.pretrained.conversion.activations import activation, activation_named
from neural_attn.pretrained.conversion.common import (
    TEXT,
    TIED_HEAD,
    described,
    every,
    kinds_of_layers,
    last_step,
    refuse,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Array,
    Block,
    Code,
    Family,
    Layer,
    Plan,
    rules,
    unless,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE
from neural_attn.pretrained.conversion.network_text import two_kinds
from neural_attn.pretrained.conversion.rotary import rotary
from neural_attn.pretrained.llama import (
    COMPUTED,
    DEFAULTS,
    LAYER,
    decoder_depth,
    head_sizes,
)

_TITLES = {"gemma": "Gemma", "gemma2": "Gemma 2", "gemma3_text": "Gemma 3"}
_SANDWICH = {
    "post_attention_layernorm.weight": "attended_norm.scale",
    "pre_feedforward_layernorm.weight": "feed_forward_norm.scale",
    "post_feedforward_layernorm.weight": "fed_norm.scale",
}


def plan(config: Config) -> Plan:
    """The network of a config.json of Gemma's kin."""
    kind = config.text("model_type")
    refuse(
        config,
        {
            "use_bidirectional_attention": (
                (False,),
                "each step must see only the past",
            ),
        },
    )
    width, depth = config.size("hidden_size"), decoder_depth(config)
    vocabulary = config.size("vocab_size")
    sizes = head_sizes(config, width)
    epsilon: dict[str, Argument] = {"epsilon": config.number("rms_norm_eps", 1e-6)}
    title = _TITLES[kind]
    name = title.replace(" ", "")
    first, period = _kinds(config, kind, depth)
    layers = {
        local: Layer(
            "LlamaDecoder", _arguments(config, kind, sizes, local=local), name="layer"
        )
        for local in (True, False)
    }
    mixed = period > 1 and first < depth
    if mixed:
        local = Code(every(first, period))
        decoder = Layer(f"{name}Layer", {"local": local}, depth, "layer")
    else:
        alike = layers[period > 1]
        decoder = Layer("LlamaDecoder", alike.arguments, depth, "layer")
    tied = config.flag("tie_word_embeddings", True)
    head: list[Layer] = []
    answer, cap = ["return norm(x)"], _cap(config, kind)
    if config.head == LANGUAGE:
        if not tied:
            units: dict[str, Argument] = {"units": vocabulary, "use_bias": False}
            head = [Layer("Dense", units, name="head")]
        logits = "norm(x) @ transpose(weight(token))" if tied else "head(norm(x))"
        answer = [f"return {logits}"]
        if cap:
            answer = [f"logits = {logits}", f"return {cap} * tanh(logits / {cap})"]
    elif config.head == SEQUENCE:
        labels: dict[str, Argument] = {"units": config.labels(), "use_bias": False}
        head = [Layer("LastStep", {}, name="last"), Layer("Dense", labels, name="head")]
        answer = [f"return head({last_step(config, 'norm(x)', 0)})"]
    table = {"input_dim": vocabulary, "output_dim": width}
    inner = "layer.#.layer." if mixed else "layer.#."
    names = LAYER if kind == "gemma" else {**LAYER, **_SANDWICH}
    norms = {n: ours for n, ours in names.items() if ours.endswith("scale")}
    others = {n: ours for n, ours in names.items() if n not in norms}
    return Plan(
        summary=described(title, depth, int(str(sizes["num_heads"]))),
        inputs=TEXT,
        defines=[two_kinds(f"{name}Layer", list(layers.values()))] if mixed else [],
        block=Block(
            f"{name}Model",
            [
                f"x = token(input_ids) * sqrt({width})",
                "x = layer(x, attention_mask=attention_mask)",
                *answer,
            ],
        ),
        layers=[
            Layer("Embedding", table, name="token"),
            decoder,
            Layer("RMSNorm", unless(DEFAULTS, **epsilon), name="norm"),
            *head,
        ],
        rules=[
            *rules({"embed_tokens": "token", "lm_head": "head", "score": "head"}),
            *rules({"norm.weight": "norm.scale"}, convert=_plus_one),
            *rules(others, "layers.#.", inner),
            *rules(norms, "layers.#.", inner, _plus_one),
        ],
        extras=[COMPUTED, *([TIED_HEAD] if tied else [])],
        body=("embed_tokens", "layers.", "norm."),
    )


def _plus_one(values: Array) -> Array:
    """Scales of norms are kept less 1."""
    return values + 1


def _arguments(
    config: Config, kind: str, sizes: dict[str, Argument], *, local: bool
) -> dict[str, Argument]:
    biased = config.flag("attention_bias", False)
    turned = (
        _rotary(config, local=local)
        if kind == "gemma3_text"
        else rotary(config, yarn=True)
    )
    return {
        **sizes,
        "ff_dim": config.size("intermediate_size"),
        **unless(
            DEFAULTS,
            activation=_activation(config, kind),
            dropout=config.number("attention_dropout", 0.0),
            epsilon=config.number("rms_norm_eps", 1e-6),
            sandwich_norm=kind != "gemma",
            **turned,
            window=config.size("sliding_window", 4096) if local else None,
            scale=_scale(config, kind, sizes),
            cap=_plain(config, "attn_logit_softcapping", 50.0)
            if kind == "gemma2"
            else None,
            qk_norm=kind == "gemma3_text",
            use_bias=biased,
            output_bias=biased,
        ),
    }


def _activation(config: Config, kind: str) -> str:
    """The first Gemma has another key, and means the approximation by `gelu` alone."""
    usual = "gelu_pytorch_tanh"
    if kind != "gemma":
        return activation(config, "hidden_activation", usual)
    named = config.text("hidden_act", usual)
    return activation_named(config, usual if named == "gelu" else named)


def _rotary(config: Config, *, local: bool) -> dict[str, Argument]:
    """The positions of Gemma 3, whose local layers have angles of their own."""
    which = "sliding_attention" if local else "full_attention"
    if local and not config.inner("rope_parameters").has(which):  # the old spelling
        return {"theta": _plain(config, "rope_local_base_freq", 10000.0)}
    return rotary(config, which, 10000.0 if local else 1000000.0, yarn=True)


def _scale(config: Config, kind: str, sizes: dict[str, Argument]) -> Argument:
    """What logits are multiplied by, where it is not 1 / sqrt(size)."""
    width, heads = config.size("hidden_size"), config.size("num_attention_heads")
    size = sizes.get("head_dim", width // heads)
    scalar = config.size("query_pre_attn_scalar", 256)
    return None if kind == "gemma" or scalar == size else Code(f"1 / sqrt({scalar})")


def _plain(config: Config, key: str, default: float) -> Argument:
    """A bound of logits, or none where it is null."""
    if not (config.has(key) or config.lacks(key)):
        return None
    value = config.number(key, default, 1e12)
    return int(value) if value == int(value) else value


def _cap(config: Config, kind: str) -> Argument:
    """The bound of the output; Gemma 2 alone has one where nothing is said."""
    key = "final_logit_softcapping"
    if kind == "gemma" or (kind == "gemma3_text" and config.lacks(key)):
        return None
    return _plain(config, key, 30.0)


def _kinds(config: Config, kind: str, depth: int) -> tuple[int, int]:
    """The first layer that sees all, and every how many layers another does."""
    if kind == "gemma":
        return 0, 1
    usual = 2 if kind == "gemma2" else config.size("sliding_window_pattern", 6)
    return kinds_of_layers(config, depth, (usual - 1, usual))


FAMILY = Family(
    tuple(_TITLES), plan, prefixes=("model.",), heads={LANGUAGE: "", SEQUENCE: "score"}
)
