"""GPT-NeoX (Black et al., 2022), and Pythia, which is of its shape."""

from __future__ import annotations

from functools import partial

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    described,
    last_step,
    rate_note,
    refuse,
    tied_head,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Array,
    Block,
    Extra,
    Family,
    Layer,
    Plan,
    Rule,
    rules,
    unless,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE, TAGS
from neural_attn.pretrained.conversion.rotary import rotary

_LAYER = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "feed_forward_norm",
    "attention.dense": "attention.output_projection",
    "mlp.dense_h_to_4h": "feed_forward.expand",
    "mlp.dense_4h_to_h": "feed_forward.contract",
}
_OUTER = {
    "embed_in": "token",
    "final_layer_norm": "norm",
    "embed_out": "head",
    "classifier": "head",
    "score": "head",
}
_DEFAULTS = {
    "theta": 10000,
    "factor": 1,
    "original_length": None,
    "activation": "gelu",
    "parallel": True,
    "use_bias": True,
    "dropout": 0.0,
    "epsilon": 1e-5,
}


def plan(config: Config) -> Plan:
    """The network of a GPT-NeoX config.json."""
    refuse(config, {})
    width, heads = width_and_heads(config)
    depth = config.size("num_hidden_layers", maximum=MAX_LAYERS)
    vocabulary = config.size("vocab_size")
    epsilon = config.number("layer_norm_eps", 1e-5)
    dropout = config.number("hidden_dropout", 0.0)
    base = config.number("rotary_emb_base", 10000.0, 1e12)
    turned = rotary(config, base=base, partial=True)
    decoder = Layer(
        "NeoXDecoder",
        {
            "num_heads": heads,
            "ff_dim": config.size("intermediate_size"),
            "rotary_dim": _rotary_dim(config, width // heads),
            **unless(
                _DEFAULTS,
                **turned,
                activation=activation(config, "hidden_act", "gelu"),
                parallel=config.flag("use_parallel_residual", True),
                use_bias=config.flag("attention_bias", True),
                dropout=dropout,
                epsilon=epsilon,
            ),
        },
        depth,
        "layer",
    )
    table = {"input_dim": vocabulary, "output_dim": width}
    layers = [
        Layer("Embedding", table, name="token"),
        decoder,
        Layer("LayerNormalization", {"epsilon": epsilon}, name="norm"),
    ]
    tied = config.head == LANGUAGE and config.flag("tie_word_embeddings", False)
    called = "x = layer(token(input_ids), attention_mask=attention_mask)"
    answer = "norm(x) @ transpose(weight(token))"
    if config.head == SEQUENCE:
        head = {"units": config.labels(), "use_bias": False}
        layers += [
            Layer("LastStep", {}, name="last"),
            Layer("Dense", head, name="head"),
        ]
        answer = f"head({last_step(config, 'norm(x)')})"
    elif config.head == TAGS:
        layers.append(Layer("Dense", {"units": config.labels()}, name="head"))
    elif config.head and not tied:
        head = {"units": vocabulary, "use_bias": False}
        layers.append(Layer("Dense", head, name="head"))
    block = Block("GPTNeoXModel", [called, f"return {answer}"])
    fused = r"layers\.(\d+)\.attention\.query_key_value\.(weight|bias)"
    return Plan(
        summary=described("GPT-NeoX", depth, heads),
        inputs=TEXT,
        block=block if tied or config.head == SEQUENCE else None,
        layers=layers,
        rules=[
            *rules(_OUTER),
            *rules(_LAYER, "layers.#.", "layer.#."),
            *(
                Rule(
                    fused,
                    rf"layer.\1.attention.{name}_projection.\2",
                    partial(_of_heads, heads, place),
                )
                for place, name in enumerate(("query", "key", "value"))
            ),
        ],
        extras=[
            Extra(
                r".*\.(attention\.(masked_)?bias|rotary_emb\.inv_freq)",
                "constants that are computed here",
            ),
            *([tied_head("embed_out.weight")] if tied else []),
        ],
        body=("embed_in", "layers.", "final_layer_norm"),
        notes=rate_note(config, "attention_dropout", 0.0, "hidden_dropout", dropout),
    )


def _rotary_dim(config: Config, size: int) -> int:
    """How much of a head is turned, in pairs."""
    place, key = config.inner("rope_parameters"), "partial_rotary_factor"
    if not place.has(key):
        place, key = config, "rotary_pct"
    turned = int(size * place.number(key, 0.25))
    pairs = f"a share that turns an even number of the {size} of a head, not {turned}"
    place.check(turned > 0 and turned % 2 == 0, key, pairs)
    return turned


def _of_heads(heads: int, place: int, values: Array) -> Array:
    """The rows of the queries, keys or values, which stand together for each head."""
    parts = values.reshape(heads, 3, -1, *values.shape[1:])
    return parts[:, place].reshape(-1, *values.shape[1:])


FAMILY = Family(
    ("gpt_neox",),
    plan,
    prefixes=("gpt_neox.",),
    heads={LANGUAGE: "", TAGS: "classifier", SEQUENCE: "score"},
)
