"""BART (Lewis et al., 2020), and its kin: mBART, Marian and Pegasus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    MAX_LAYERS,
    TEXT,
    TIED_HEAD,
    TRANSLATION,
    counted,
    last_step,
    padding_of,
    rate_note,
    refuse,
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
)
from neural_attn.pretrained.conversion.heads import LANGUAGE, SEQUENCE


@dataclass(frozen=True)
class _Kin:
    """How a family differs: learned positions, norms behind embeddings or first.

    `labelled`: where it gives labels to a text, the decoder reads the text again, with
    a start of its own before it (mBART's begins with the text's last token).
    """

    title: str
    learned: bool = True
    embedding_norm: bool = True
    norm_first: bool = False
    labelled: bool = False


_KIN = {
    "bart": _Kin("BART", labelled=True),
    "mbart": _Kin("mBART", norm_first=True),
    "pegasus": _Kin("Pegasus", learned=False, embedding_norm=False, norm_first=True),
    "marian": _Kin("Marian", learned=False, embedding_norm=False),
}


@dataclass(frozen=True)
class _Texts:
    """What the ids of both sides are called, and the mask of the first."""

    source: str
    target: str
    mask: str


_TRANSLATED = _Texts("source", "target", "memory_mask")
_LABELLED = _Texts("input_ids", "shifted", "attention_mask")  # its own second text
SIDES = {"encoder": "source", "decoder": "target"}
_ATTENTION = {
    "q_proj": "query_projection",
    "k_proj": "key_projection",
    "v_proj": "value_projection",
    "out_proj": "output_projection",
}
_FEED_FORWARD = {
    "fc1": "feed_forward.expand",
    "fc2": "feed_forward.contract",
    "final_layer_norm": "feed_forward_norm",
}
_EPSILON = {"epsilon": 1e-5}  # PyTorch's own


def plan(config: Config) -> Plan:
    """The network of a config.json of BART's kin."""
    kin = _KIN[config.text("model_type")]
    shared = "source and target must share one token embedding"
    refuse(config, {"share_encoder_decoder_embeddings": ((True,), shared)})
    width, heads = width_and_heads(config, "d_model", "encoder_attention_heads")
    width_and_heads(config, "d_model", "decoder_attention_heads")
    table = {"input_dim": config.size("vocab_size"), "output_dim": width}
    tied = config.flag("tie_word_embeddings", True)
    # where nothing is tied, each side has a table of its own
    apart = not tied and config.stores("encoder.embed_tokens.weight")
    tables = ["source_token", "target_token"] if apart else ["token"]
    layers = [Layer("Embedding", table, name=name) for name in tables]
    for side in SIDES:
        layers += _side(config, kin, side)
    texts = _TRANSLATED
    if config.head == LANGUAGE:
        answer = _add_head(config, layers, tied=tied)
    elif config.head == SEQUENCE and kin.labelled:
        texts = _LABELLED
        answer = _add_labels(config, layers)
    else:
        answer = "y"
    depths = [counted(config.size(f"{side}_layers"), "layer") for side in SIDES]
    return Plan(
        summary=f"{kin.title} with {' + '.join(depths)} of {counted(heads, 'head')}",
        inputs=TEXT if texts is _LABELLED else TRANSLATION,
        block=Block(
            f"{kin.title}Model",
            [
                *_equations(config, kin, tables, texts),
                f"return {answer}",
            ],
        ),
        layers=layers,
        rules=[*_rules(kin), *rules(_APART if apart else {"shared": "token"})],
        extras=[
            _UNUSED if apart else _COPIES,
            *([TIED_HEAD] if tied else []),
            *([] if kin.learned else [_COMPUTED]),
        ],
        body=("shared", "encoder.", "decoder."),
        notes=rate_note(
            config, "attention_dropout", 0.0, "dropout", config.number("dropout", 0.1)
        ),
    )


_APART = {
    "encoder.embed_tokens": "source_token",
    "decoder.embed_tokens": "target_token",
}
_UNUSED = Extra(r"shared\.weight", "a token embedding that neither side uses")
_COPIES = Extra(
    r"(en|de)coder\.embed_tokens\.weight",
    "copies of the token embedding",
    "token.weight",
)


def _halves(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The sines, then the cosines, as `PositionalEncoding` has them."""
    steps, width = shape
    angles = np.arange(steps)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :width]


_COMPUTED = Extra(
    r"(en|de)coder\.embed_positions\.weight",
    "positions that are computed here",
    computed=_halves,
)


def _side(config: Config, kin: _Kin, side: str) -> list[Layer]:
    """Layers of the encoder, or of the decoder."""
    name, decodes = SIDES[side], side == "decoder"
    positions = {"max_len": config.size("max_position_embeddings", 1024)}
    kind = "learned" if kin.learned else "halves"
    length = positions if kin.learned else {}
    found = [
        Layer(
            "PositionalEncoding",
            {**length, "encoding_type": kind},
            name=f"{name}_position",
        )
    ]
    norm = Layer("LayerNormalization", _EPSILON, name=f"{name}_norm")
    found += [norm] if kin.embedding_norm else []
    found.append(
        Layer(
            "TransformerDecoder" if decodes else "TransformerEncoder",
            {
                "num_heads": config.size(f"{side}_attention_heads"),
                "ff_dim": config.size(f"{side}_ffn_dim"),
                "dropout": config.number("dropout", 0.1),
                "activation": activation(config, "activation_function", "gelu"),
                **({"norm_first": True} if kin.norm_first else {}),
                **_EPSILON,
                **({"with_memory": True} if decodes else {}),
            },
            config.size(f"{side}_layers", maximum=MAX_LAYERS),
            side,
        )
    )
    last = Layer("LayerNormalization", _EPSILON, name=f"{side}_norm")
    return [*found, last] if kin.norm_first else found


def _equations(
    config: Config, kin: _Kin, tables: Sequence[str], texts: _Texts
) -> list[str]:
    """From ids to the vectors of the decoder, which are `y`."""

    def embedded(side: str, table: str, ids: str) -> str:
        vectors = f"{table}({ids})"
        if config.flag("scale_embedding", False):
            vectors += f" * sqrt({config.size('d_model')})"
        placed = f"{SIDES[side]}_position({vectors})"
        return f"{SIDES[side]}_norm({placed})" if kin.embedding_norm else placed

    def normed(side: str, call: str) -> str:
        return f"{side}_norm({call})" if kin.norm_first else call

    memory = normed("encoder", f"encoder(x, attention_mask={texts.mask})")
    answer = normed("decoder", f"decoder(y, memory, memory_mask={texts.mask})")
    shifted = []
    if texts is _LABELLED:
        start = config.whole("decoder_start_token_id", 2)
        shifted = [
            f"start = slice({texts.source}, 0, 1, axis=1) * 0 + {start}",
            f"text = slice({texts.source}, 0, -1, axis=1)",
            f"{texts.target} = concatenate([start, text], axis=1)",
        ]
    return [
        *([] if shifted else padding_of(config, 1)),
        f"x = {embedded('encoder', tables[0], texts.source)}",
        f"memory = {memory}",
        *shifted,
        f"y = {embedded('decoder', tables[-1], texts.target)}",
        f"y = {answer}",
    ]


def _add_head(config: Config, layers: list[Layer], *, tied: bool) -> str:
    vocabulary = config.size("vocab_size")
    answer = "y @ transpose(weight(token))"
    if not tied:
        layers.append(
            Layer("Dense", {"units": vocabulary, "use_bias": False}, name="head")
        )
        answer = "head(y)"
    if config.stores("final_logits_bias"):
        layers.append(
            Layer("Weight", {"shape": vocabulary, "start": "zeros"}, name="bias")
        )
        answer += " + bias"
    return answer


def _add_labels(config: Config, layers: list[Layer]) -> str:
    """Labels of a text, by the step of the decoder that has read all of it."""
    layers += [
        Layer("LastStep", {}, name="last"),
        Layer("Dense", {"units": config.size("d_model")}, name="pool"),
        Layer("Dense", {"units": config.labels()}, name="head"),
    ]
    return f"head(tanh(pool({last_step(config, 'y', 1)})))"


def layer_rules() -> list[Rule]:
    """The rules for the layers of both sides, which Whisper has too."""
    found = []
    for side in SIDES:
        layer, ours = f"{side}.layers.#.", f"{side}.#."
        own = "self_attention" if side == "decoder" else "attention"
        parts = [("self_attn", own), ("encoder_attn", "cross_attention")]
        for theirs, attention in parts:
            found += rules(_ATTENTION, f"{layer}{theirs}.", f"{ours}{attention}.")
            found += rules({f"{theirs}_layer_norm": f"{attention}_norm"}, layer, ours)
        found += rules(_FEED_FORWARD, layer, ours)
        found += rules({"layer_norm": f"{side}_norm"}, f"{side}.")
    return found


def _rules(kin: _Kin) -> list[Rule]:
    found = [
        *rules({"lm_head": "head"}),
        *rules(
            {
                "classification_head.dense": "pool",
                "classification_head.out_proj": "head",
            }
        ),
        Rule("final_logits_bias", "bias", _only_row),
        *layer_rules(),
    ]
    for side, name in SIDES.items():
        found += rules({"layernorm_embedding": f"{name}_norm"}, f"{side}.")
        if kin.learned:
            position = {"embed_positions": f"{name}_position.table"}
            found += rules(position, f"{side}.", convert=_behind_padding)
    return found


def _behind_padding(table: Array) -> Array:
    """Positions begin at row 2."""
    return table[2:]


def _only_row(values: Array) -> Array:
    return values.reshape(-1)


FAMILY = Family(
    tuple(_KIN),
    plan,
    prefixes=("model.",),
    heads={LANGUAGE: "", SEQUENCE: r"classification_head\.out_proj"},
)
