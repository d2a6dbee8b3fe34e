"""GPT-2 (Radford et al., 2019)."""

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
    Block,
    Extra,
    Family,
    Layer,
    Plan,
    rules,
    transposed,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE, TAGS

_QKV = ("query_projection", "key_projection", "value_projection")
_DENSE = {
    "attn.c_attn": [f"self_attention.{name}" for name in _QKV],
    "attn.c_proj": "self_attention.output_projection",
    "mlp.c_fc": "feed_forward.expand",
    "mlp.c_proj": "feed_forward.contract",
}
_NORMS = {"ln_1": "self_attention_norm", "ln_2": "feed_forward_norm"}
_OUTER = {
    "wte": "token",
    "wpe": "position",
    "ln_f": "norm",
    "lm_head": "head",
    "classifier": "head",
    "score": "head",
}


def plan(config: Config) -> Plan:
    """The network of a GPT-2 config.json."""
    scaled = "logits are scaled only by 1 / sqrt(size)"
    refuse(
        config,
        {
            "scale_attn_weights": ((True,), scaled),
            "scale_attn_by_inverse_layer_idx": ((False,), scaled),
            "add_cross_attention": ((False,), "cross-attention is not supported"),
        },
    )
    width, heads = width_and_heads(config, "n_embd", "n_head")
    depth = config.size("n_layer", maximum=MAX_LAYERS)
    vocabulary = config.size("vocab_size")
    dropout = config.number("resid_pdrop", 0.1)
    norm = {"epsilon": config.number("layer_norm_epsilon", 1e-5)}
    layers = [
        Layer(
            "Embedding", {"input_dim": vocabulary, "output_dim": width}, name="token"
        ),
        Layer(
            "Embedding",
            {"input_dim": config.size("n_positions"), "output_dim": width},
            name="position",
        ),
        Layer("Dropout", {"rate": config.number("embd_pdrop", 0.1)}, name="dropout"),
        Layer(
            "TransformerDecoder",
            {
                "num_heads": heads,
                "ff_dim": config.size("n_inner", 4 * width),
                "dropout": dropout,
                "activation": activation(config, "activation_function", "gelu_new"),
                "norm_first": True,
                **norm,
            },
            repeat=depth,
            name="layer",
        ),
        Layer("LayerNormalization", norm, name="norm"),
    ]
    answer = "norm(x)"
    tied = config.head == LANGUAGE and config.flag("tie_word_embeddings", True)
    if tied:
        answer = "norm(x) @ transpose(weight(token))"
    elif config.head:
        units = vocabulary if config.head == LANGUAGE else config.labels()
        bias = {} if config.head == TAGS else {"use_bias": False}
        layers.append(Layer("Dense", {"units": units, **bias}, name="head"))
        answer = "head(norm(x))"
    if config.head == SEQUENCE:
        layers.append(Layer("LastStep", {}, name="last"))
        answer = f"head({last_step(config, 'norm(x)')})"
    return Plan(
        summary=described("GPT-2", depth, heads),
        inputs=TEXT,
        block=Block(
            "GPT2Model",
            [
                "x = token(input_ids) + position(positions(input_ids))",
                "x = layer(dropout(x), attention_mask=attention_mask)",
                f"return {answer}",
            ],
        ),
        layers=layers,
        rules=[
            *rules(_OUTER),
            *rules(_NORMS, "h.#.", "layer.#."),
            *rules(_DENSE, "h.#.", "layer.#.", transposed),
        ],
        extras=[
            Extra(r"h\.\d+\.attn\.(bias|masked_bias)", "masks that are computed here"),
            *([TIED_HEAD] if tied else []),
        ],
        body=("wte", "wpe", "h.", "ln_f"),
        notes=rate_note(config, "attn_pdrop", 0.1, "resid_pdrop", dropout),
    )


FAMILY = Family(
    ("gpt2",),
    plan,
    prefixes=("transformer.",),
    heads={LANGUAGE: "", TAGS: "classifier", SEQUENCE: "score"},
)
