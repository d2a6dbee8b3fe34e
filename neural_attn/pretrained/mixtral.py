"""Mixtral (Jiang et al., 2024), and Qwen3-MoE (Yang et al., 2025)."""

from __future__ import annotations

from dataclasses import dataclass

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    TEXT,
    described,
    refuse,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Family,
    Layer,
    Plan,
    Rule,
    rules,
    transposed,
    unless,
)
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


@dataclass(frozen=True)
class _Kin:
    """How a family differs: its numbers, and what its tensors are called."""

    title: str
    ff_dim: str
    experts: tuple[int, int]
    epsilon: float
    theta: float
    mixture: str
    parts: tuple[str, str, str]


_KIN = {
    "mixtral": _Kin(
        "Mixtral", "intermediate_size", (8, 2), 1e-5, 1e6, "block_sparse_moe",
        ("w1", "w3", "w2"),
    ),
    "qwen3_moe": _Kin(
        "Qwen3-MoE", "moe_intermediate_size", (128, 8), 1e-6, 1e4, "mlp",
        ("gate_proj", "up_proj", "down_proj"),
    ),
}  # fmt: skip
# what a MixtralDecoder has where nobody says anything else, beside what Llama's has
_DEFAULTS = {**DEFAULTS, "experts_per_token": 2, "normalized": True}
_SPARSE = "a mixture of experts must be in every layer"


def plan(config: Config) -> Plan:
    """The network of a config.json of Mixtral's kin."""
    kin = _KIN[config.text("model_type")]
    dense = {"mlp_only_layers": ((), _SPARSE), "decoder_sparse_step": ((1,), _SPARSE)}
    refuse(config, dense)
    width, depth = config.size("hidden_size"), decoder_depth(config)
    sizes = head_sizes(config, width)
    epsilon = config.number("rms_norm_eps", kin.epsilon)
    table = {"input_dim": config.size("vocab_size"), "output_dim": width}
    arguments = {**sizes, **_arguments(config, kin, epsilon)}
    layers = [
        Layer("Embedding", table, name="token"),
        Layer("MixtralDecoder", arguments, depth, "layer"),
        Layer("RMSNorm", unless(DEFAULTS, epsilon=epsilon), name="norm"),
    ]
    name = f"{kin.title.replace('-', '')}Model"
    layers, block = with_head(config, layers, name)
    names = {theirs: ours for theirs, ours in LAYER.items() if "mlp" not in theirs}
    names[f"{kin.mixture}.gate"] = "feed_forward.router"
    return Plan(
        summary=described(kin.title, depth, int(str(sizes["num_heads"]))),
        inputs=TEXT,
        block=block,
        layers=layers,
        rules=[
            *rules(OUTER),
            *rules(names, "layers.#.", "layer.#."),
            *_experts(kin),
        ],
        extras=[COMPUTED, *tied_to(config)],
        body=("embed_tokens", "layers.", "norm."),
    )


def _arguments(config: Config, kin: _Kin, epsilon: float) -> dict[str, Argument]:
    is_qwen = kin is _KIN["qwen3_moe"]
    count, chosen = kin.experts
    # older files of Qwen have a name of their own for it
    count = config.size("num_experts", config.size("num_local_experts", count))
    biased = is_qwen and config.flag("attention_bias", False)
    windowed = config.flag("use_sliding_window", False) if is_qwen else True
    windowed = windowed and (is_qwen or config.has("sliding_window"))
    return {
        "ff_dim": config.size(kin.ff_dim, 768 if is_qwen else 14336),
        "num_experts": count,
        **unless(
            _DEFAULTS,
            experts_per_token=config.size("num_experts_per_tok", chosen),
            activation=activation(config, "hidden_act", "silu"),
            dropout=config.number("attention_dropout", 0.0),
            epsilon=epsilon,
            **rotary(config, base=kin.theta, yarn=True),
            window=config.size("sliding_window", 4096) if windowed else None,
            qk_norm=is_qwen,
            use_bias=biased,
            output_bias=biased,
            normalized=config.flag("norm_topk_prob", False) if is_qwen else True,
        ),
    }


def _experts(kin: _Kin) -> list[Rule]:
    """Each expert has matrices of its own, [outputs, inputs]."""
    inner = rf"layers\.(\d+)\.{kin.mixture}\.experts\.(\d+)\."
    parts = zip(kin.parts, ("gate", "expand", "contract"), strict=True)
    return [
        Rule(
            rf"{inner}{part}\.weight", rf"layer.\1.feed_forward.{ours}[\2]", transposed
        )
        for part, ours in parts
    ]


FAMILY = Family(tuple(_KIN), plan, prefixes=("model.",), heads=HEADS)
