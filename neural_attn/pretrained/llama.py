"""Llama (Touvron et al., 2023), and its kin: Mistral, Qwen2 and Qwen3."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    TIED_HEAD,
    described,
    last_step,
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
    rules,
    unless,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE, SPAN, TAGS
from neural_attn.pretrained.conversion.rotary import rotary

LAYER = {
    "self_attn.q_proj": "attention.query_projection",
    "self_attn.k_proj": "attention.key_projection",
    "self_attn.v_proj": "attention.value_projection",
    "self_attn.o_proj": "attention.output_projection",
    "self_attn.q_norm.weight": "attention.query_norm.scale",
    "self_attn.k_norm.weight": "attention.key_norm.scale",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.expand",
    "mlp.down_proj": "feed_forward.contract",
    "input_layernorm.weight": "attention_norm.scale",
    "post_attention_layernorm.weight": "feed_forward_norm.scale",
}
OUTER = {
    "embed_tokens": "token",
    "norm.weight": "norm.scale",
    "lm_head": "head",
    "score": "head",
    "qa_outputs": "head",
}
COMPUTED = Extra(r".*rotary_emb\.inv_freq", "constants that are computed here")
HEADS = {LANGUAGE: "", TAGS: "score", SEQUENCE: "score", SPAN: "qa_outputs"}
_TITLES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
# what a LlamaDecoder has where nobody says anything else
DEFAULTS: dict[str, Argument] = {
    "activation": "silu",
    "dropout": 0.0,
    "epsilon": 1e-6,
    "theta": 10000,
    "factor": 1,
    "original_length": None,
    "window": None,
    "scale": None,
    "cap": None,
    "sandwich_norm": False,
    "yarn": False,
    "truncate": True,
    "qk_norm": False,
    "use_bias": False,
    "output_bias": False,
    "ff_bias": False,
}


_SINGLE = "only a factor of 1 is supported"
# what Granite and SmolLM3 have, which may call themselves Llama
_OF_OTHERS: dict[str, tuple[Sequence[object], str]] = {
    "pretraining_tp": ((1,), _SINGLE),
    "embedding_multiplier": ((1,), _SINGLE),
    "residual_multiplier": ((1,), _SINGLE),
    "logits_scaling": ((1,), _SINGLE),
    "attention_multiplier": ((), "a scale of its own is not supported"),
}


def plan(config: Config) -> Plan:
    """The network of a config.json of Llama's kin."""
    kind = config.text("model_type")
    refuse(config, _OF_OTHERS)
    width, depth = config.size("hidden_size"), decoder_depth(config)
    if kind == "llama" and config.has("sliding_window"):
        longest = config.size("max_position_embeddings", 2048)
        if config.size("sliding_window") < longest:
            config.refuse("sliding_window", (), "Llama has no window; Mistral has one")
    turned = "layers without positions are not supported"
    config.refuse("no_rope_layers", ([1] * depth,), turned)
    if not config.has("no_rope_layers"):
        config.refuse("no_rope_layer_interval", (0,), turned)
    sizes = head_sizes(config, width)
    biased = config.flag("attention_bias", False)
    epsilon = config.number("rms_norm_eps", 1e-6)
    decoder = Layer(
        "LlamaDecoder",
        {
            **sizes,
            "ff_dim": config.size("intermediate_size"),
            **unless(
                DEFAULTS,
                activation=activation(config, "hidden_act", "silu"),
                dropout=config.number("attention_dropout", 0.0),
                epsilon=epsilon,
                **rotary(config, yarn=True),
                window=_window(config, kind, depth),
                qk_norm=kind == "qwen3",
                use_bias=biased or kind == "qwen2",
                output_bias=biased,
                ff_bias=config.flag("mlp_bias", False),
            ),
        },
        depth,
        "layer",
    )
    vocabulary = config.size("vocab_size")
    layers = [
        Layer(
            "Embedding", {"input_dim": vocabulary, "output_dim": width}, name="token"
        ),
        decoder,
        Layer("RMSNorm", unless(DEFAULTS, epsilon=epsilon), name="norm"),
    ]
    title = _TITLES[kind]
    layers, block = with_head(config, layers, f"{title}Model")
    return Plan(
        summary=described(title, depth, int(str(sizes["num_heads"]))),
        inputs=TEXT,
        block=block,
        layers=layers,
        rules=[*rules(OUTER), *rules(LAYER, "layers.#.", "layer.#.")],
        extras=[COMPUTED, *tied_to(config)],
        body=("embed_tokens", "layers.", "norm."),
    )


def with_head(
    config: Config, layers: list[Layer], name: str
) -> tuple[list[Layer], Block | None]:
    """Layers with that of the task behind them; a block of them where it is tied."""
    called = "x = layer(token(input_ids), attention_mask=attention_mask)"
    if tied_to(config):
        return layers, Block(
            name, [called, "return norm(x) @ transpose(weight(token))"]
        )
    head: dict[str, Argument] = {"units": config.size("vocab_size"), "use_bias": False}
    if config.head in (TAGS, SPAN):
        head = {"units": config.labels() if config.head == TAGS else 2}
    if config.head == SEQUENCE:
        head["units"] = config.labels()
        layers = [*layers, Layer("LastStep", {}, name="last")]
        layers.append(Layer("Dense", head, name="head"))
        answer = f"return head({last_step(config, 'norm(x)')})"
        return layers, Block(name, [called, answer])
    return layers + ([Layer("Dense", head, name="head")] if config.head else []), None


def tied_to(config: Config) -> list[Extra]:
    """What is stored again where the head is the table of tokens."""
    tied = config.flag("tie_word_embeddings", False)
    return [TIED_HEAD] if config.head == LANGUAGE and tied else []


def decoder_depth(config: Config) -> int:
    """The number of layers."""
    return config.size("num_hidden_layers", maximum=MAX_LAYERS)


def head_sizes(config: Config, width: int) -> dict[str, Argument]:
    """How many heads there are of queries and of keys, and how large they are."""
    heads = config.size("num_attention_heads")
    shared = config.size("num_key_value_heads", heads)
    if heads % shared:
        fail(
            "E0625.heads",
            path=config.path,
            width="num_attention_heads",
            d_model=heads,
            name="num_key_value_heads",
            heads=shared,
        )
    sizes: dict[str, Argument] = {"num_heads": heads, "num_kv_heads": shared}
    size = config.size("head_dim", max(width // heads, 1))
    if size * heads != width:
        sizes["head_dim"] = size
    return sizes


def _window(config: Config, kind: str, depth: int) -> int | None:
    """How many steps each query sees, the same for all layers."""
    unbounded = not (config.has("sliding_window") or config.lacks("sliding_window"))
    if kind == "llama" or unbounded:
        return None
    if kind != "mistral" and not config.flag("use_sliding_window", False):
        return None
    kinds = set(config.names("layer_types"))
    first = 0 if kind == "mistral" else config.whole("max_window_layers", 28)
    if kinds == {"full_attention"} or (not kinds and first >= depth):
        return None
    if len(kinds) > 1 or (not kinds and first > 0):
        reason = "layers of this type must be alike: windows in all or in none"
        config.refuse("layer_types" if kinds else "max_window_layers", (), reason)
    return config.size("sliding_window", 4096)


FAMILY = Family(tuple(_TITLES), plan, prefixes=("model.", "transformer."), heads=HEADS)
