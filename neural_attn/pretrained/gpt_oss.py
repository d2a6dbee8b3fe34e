"""gpt-oss (OpenAI, 2025)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from neural_attn.pretrained.conversion.common import (
    TEXT,
    described,
    every,
    kinds_of_layers,
    refuse,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Array,
    Code,
    Family,
    Layer,
    Plan,
    Rule,
    rules,
    unless,
)
from neural_attn.pretrained.conversion.network_text import two_kinds
from neural_attn.pretrained.conversion.rotary import rotary
from neural_attn.pretrained.llama import (
    COMPUTED,
    DEFAULTS,
    HEADS,
    LAYER,
    OUTER,
    decoder_depth,
    head_sizes,
    tied_to,
    with_head,
)

_LAYER = {
    **{theirs: ours for theirs, ours in LAYER.items() if "mlp" not in theirs},
    "self_attn.sinks": "attention.sink_logits",
    "mlp.router": "feed_forward.router",
    "mlp.experts.down_proj": "feed_forward.contract",
}


_EXPERTS = r"layers\.(\d+)\.mlp\.experts\."


def plan(config: Config) -> Plan:
    """The network of a gpt-oss config.json."""
    swish = "only x sigmoid(1.702 x) is supported"
    refuse(config, {"swiglu_alpha": ((1.702,), swish)})
    width, depth = config.size("hidden_size"), decoder_depth(config)
    vocabulary, sizes = config.size("vocab_size"), head_sizes(config, width)
    first, period = kinds_of_layers(config, depth, (1, 2))
    local, whole = (
        Layer("MixtralDecoder", _arguments(config, sizes, local=local), name="layer")
        for local in (True, False)
    )
    mixed = period > 1 and first < depth
    decoder = Layer("GptOssLayer", {"local": Code(every(first, period))})
    if not mixed:
        decoder = local if period > 1 else whole
    table = {"input_dim": vocabulary, "output_dim": width}
    epsilon = config.number("rms_norm_eps", 1e-5)
    layers = [
        Layer("Embedding", table, name="token"),
        replace(decoder, repeat=depth, name="layer"),
        Layer("RMSNorm", unless(DEFAULTS, epsilon=epsilon), name="norm"),
    ]
    layers, block = with_head(config, layers, "GptOssModel")
    inner = "layer.#.layer." if mixed else "layer.#."
    return Plan(
        summary=described("gpt-oss", depth, int(str(sizes["num_heads"]))),
        inputs=TEXT,
        block=block,
        defines=[two_kinds("GptOssLayer", [local, whole])] if mixed else [],
        layers=layers,
        rules=[
            *rules(OUTER),
            *rules(_LAYER, "layers.#.", inner),
            *_experts(inner.replace("#", r"\1") + "feed_forward."),
        ],
        extras=[COMPUTED, *tied_to(config)],
        body=("embed_tokens", "layers.", "norm."),
    )


def _arguments(
    config: Config, sizes: dict[str, Argument], *, local: bool
) -> dict[str, Argument]:
    biased = config.flag("attention_bias", True)
    limit = config.number("swiglu_limit", 7.0, 1e12)
    turned = config.has("rope_scaling") or config.has("rope_parameters")
    config.check(turned, "rope_parameters", "the rotations of positions")
    return {
        **sizes,
        "ff_dim": config.size("intermediate_size"),
        "num_experts": config.size("num_local_experts", 128),
        "experts_per_token": config.size("num_experts_per_tok", 4),
        "activation": "gelu_sigmoid",
        **unless(
            DEFAULTS,
            dropout=config.number("attention_dropout", 0.0),
            epsilon=config.number("rms_norm_eps", 1e-5),
            **rotary(config, base=150000.0, yarn=True),
            window=config.size("sliding_window", 128) if local else None,
            use_bias=biased,
            output_bias=biased,
        ),
        "sinks": True,
        "ff_bias": True,
        "limit": int(limit) if limit == int(limit) else limit,
    }


def _experts(ours: str) -> list[Rule]:
    """Gates and values stand by turns in one tensor, whose inputs come first."""
    found = []
    for place, name in enumerate(("gate", "expand")):
        turn = partial(_every_other, place)
        found.append(Rule(f"{_EXPERTS}gate_up_proj", f"{ours}{name}", turn))
        bias = partial(_bias_of_other, place)
        found.append(Rule(f"{_EXPERTS}gate_up_proj_bias", f"{ours}{name}_bias", bias))
    last = Rule(f"{_EXPERTS}down_proj_bias", f"{ours}contract_bias", _beside_steps)
    return [*found, last]


def _every_other(place: int, values: Array) -> Array:
    return values[..., place::2]


def _bias_of_other(place: int, values: Array) -> Array:
    return _beside_steps(_every_other(place, values))


def _beside_steps(values: Array) -> Array:
    """[experts, size] as [experts, 1, size], for all steps alike."""
    return values[:, None]


FAMILY = Family(("gpt_oss",), plan, prefixes=("model.",), heads=HEADS)
