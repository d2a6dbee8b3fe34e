"""Whisper (Radford et al., 2022): from frames of sound to a text."""

from __future__ import annotations

from neural_attn.pretrained.bart import SIDES, layer_rules
from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    counted,
    rate_note,
    refuse,
    tied_head,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Block,
    Family,
    Layer,
    Plan,
    rules,
)
from neural_attn.pretrained.conversion.heads import LANGUAGE

_EPSILON: dict[str, Argument] = {"epsilon": 1e-5}  # PyTorch's own
_OUTER = {
    "encoder.conv1": "frame_embedding.first",
    "encoder.conv2": "frame_embedding.second",
    "encoder.embed_positions": "source_position.table",
    "decoder.embed_tokens": "token",
    "decoder.embed_positions": "target_position.table",
    "proj_out": "head",
}


def plan(config: Config) -> Plan:
    """The network of a Whisper config.json."""
    refuse(config, {"scale_embedding": ((False,), "embeddings are not scaled")})
    width, heads = width_and_heads(config, "d_model", "encoder_attention_heads")
    width_and_heads(config, "d_model", "decoder_attention_heads")
    vocabulary = config.size("vocab_size")
    lengths = {
        "encoder": config.size("max_source_positions", 1500),
        "decoder": config.size("max_target_positions", 448),
    }
    layers = [
        Layer("FrameEmbedding", {"d_model": width}, name="frame_embedding"),
        Layer(
            "Embedding", {"input_dim": vocabulary, "output_dim": width}, name="token"
        ),
    ]
    for side, length in lengths.items():
        layers += _side(config, side, length)
    answer = "return y"
    if config.head == LANGUAGE and config.flag("tie_word_embeddings", True):
        answer = "return y @ transpose(weight(token))"
    elif config.head == LANGUAGE:
        head: dict[str, Argument] = {"units": vocabulary, "use_bias": False}
        layers.append(Layer("Dense", head, name="head"))
        answer = "return head(y)"
    frames = 2 * lengths["encoder"], config.size("num_mel_bins", 80)
    depths = [counted(config.size(f"{side}_layers"), "layer") for side in SIDES]
    return Plan(
        summary=f"Whisper with {' + '.join(depths)} of {counted(heads, 'head')}",
        inputs=[("frames", str(frames)), ("target", "(none,)")],
        block=Block(
            "WhisperModel",
            [
                "x = source_position(frame_embedding(frames))",
                "memory = encoder_norm(encoder(x))",
                "y = target_position(token(target))",
                "y = decoder_norm(decoder(y, memory))",
                answer,
            ],
        ),
        layers=layers,
        rules=[*layer_rules(), *rules(_OUTER)],
        extras=[tied_head("proj_out.weight")] if "@" in answer else [],
        body=("encoder.", "decoder."),
        # keys have no bias
        zeros=(r".*\.key_projection\.bias",),
        notes=rate_note(
            config, "attention_dropout", 0.0, "dropout", config.number("dropout", 0.0)
        ),
    )


def _side(config: Config, side: str, length: int) -> list[Layer]:
    """Layers of the encoder, or of the decoder."""
    decodes = side == "decoder"
    table: dict[str, Argument] = {"max_len": length, "encoding_type": "learned"}
    return [
        Layer("PositionalEncoding", table, name=f"{SIDES[side]}_position"),
        Layer(
            "TransformerDecoder" if decodes else "TransformerEncoder",
            {
                "num_heads": config.size(f"{side}_attention_heads"),
                "ff_dim": config.size(f"{side}_ffn_dim"),
                "dropout": config.number("dropout", 0.0),
                "activation": activation(config, "activation_function", "gelu"),
                "norm_first": True,
                **_EPSILON,
                **({"with_memory": True} if decodes else {}),
            },
            config.size(f"{side}_layers", maximum=MAX_LAYERS),
            side,
        ),
        Layer("LayerNormalization", _EPSILON, name=f"{side}_norm"),
    ]


FAMILY = Family(("whisper",), plan, prefixes=("model.",), heads={LANGUAGE: ""})
