"""What the files of several families say in the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import Extra

MAX_LAYERS = 1000
TEXT = [("input_ids", "(none,)"), ("attention_mask", "(none,)")]
TRANSLATION = [("source", "(none,)"), ("target", "(none,)")]
# an option of BERT and its kin, the values that are supported, and why no others
ABSOLUTE_POSITIONS: Mapping[str, tuple[Sequence[object], str]] = {
    "position_embedding_type": (
        ("absolute",),
        "only absolute positions are supported",
    ),
}


def tied_head(name: str) -> Extra:
    """A head that is the table of tokens, stored once more."""
    meaning = "the head, which is the token embedding"
    return Extra(re.escape(name), meaning, "token.weight")


TIED_HEAD = tied_head("lm_head.weight")


def described(name: str, depth: int, heads: int) -> str:
    """The summary of a stack of layers: `GPT-2 with 12 layers of 12 heads`."""
    return f"{name} with {counted(depth, 'layer')} of {counted(heads, 'head')}"


def kinds_of_layers(
    config: Config, depth: int, usual: tuple[int, int]
) -> tuple[int, int]:
    """The first layer that sees all steps, and every how many layers another does.

    Others see near steps alone; `usual` is said of what `layer_types` does not tell.
    Raises NeuralError (E0625) for kinds that follow no such pattern.
    """
    kinds = config.names("layer_types")
    if not kinds:
        return usual
    whole = [place for place, one in enumerate(kinds) if one == "full_attention"]
    first = whole[0] if whole else depth
    period = whole[1] - first if len(whole) > 1 else max(first + 1, depth - first)
    alike = whole == list(range(first, depth, period)) and len(kinds) == depth
    config.check(
        (alike and first < period) or not whole, "layer_types", "a pattern that repeats"
    )
    return first, period


def every(first: int, period: int) -> str:
    """The condition of layers that see near steps alone."""
    if period == 2:
        return f"index % 2 == {1 - first}"
    return f"index % {period} != {first}"


def padding_of(config: Config, default: int) -> list[str]:
    """The equation that hides the padding of a source, by its id."""
    padding = config.whole("pad_token_id", default)
    if not padding:
        return ["memory_mask = padding_mask(source)"]
    return [
        f"memory_mask = padding_mask(source - {padding})  # id {padding} is padding"
    ]


def last_step(config: Config, x: str, default: int | None = None) -> str:
    """The last step of x that is no padding, which `transformers` tells by its id.

    `default` is the id of padding where config.json has none; None is the last of all.
    """
    padding = default if config.lacks("pad_token_id") else None
    if config.has("pad_token_id"):
        padding = config.whole("pad_token_id", 0)
    if padding is None:
        return f"last({x})"
    return f"last({x}, input_ids - {padding})" if padding else f"last({x}, input_ids)"


def counted(number: int, thing: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def width_and_heads(
    config: Config,
    width: str = "hidden_size",
    heads: str = "num_attention_heads",
    defaults: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """The two sizes, which must fit. Raises NeuralError (E0625)."""
    if defaults is None:
        sizes = config.size(width), config.size(heads)
    else:
        sizes = config.size(width, defaults[0]), config.size(heads, defaults[1])
    if sizes[0] % sizes[1]:
        fail(
            "E0625.heads",
            path=config.path,
            width=width,
            d_model=sizes[0],
            name=heads,
            heads=sizes[1],
        )
    return sizes


def refuse(config: Config, options: Mapping[str, tuple[Sequence[object], str]]) -> None:
    """Stop (E0626) where an option is set to something that cannot be said.

    Each option has the values that it may have, and what is said of others.
    """
    for key, (allowed, reason) in (_ALWAYS | dict(options)).items():
        config.refuse(key, allowed, reason)


_ALWAYS: dict[str, tuple[Sequence[object], str]] = {
    "pruned_heads": ((), "models with pruned heads are not supported"),
    "quantization_config": ((), "quantized weights are not supported"),
}
# of families whose stack can serve as an encoder or as a decoder
ENCODER: dict[str, tuple[Sequence[object], str]] = {
    "is_decoder": ((False,), "decoders of this type are not supported"),
    "add_cross_attention": (
        (False,),
        "cross-attention is not supported for this type",
    ),
}


def rate_note(
    config: Config, key: str, default: float, kept: str, rate: float
) -> list[str]:
    """A note where a block has one rate of dropout, and the model two."""
    other = config.number(key, default)
    if other == rate:
        return []
    return [
        f"{key} {other:g} became {rate:g}, the rate of {kept}: the block has one rate, "
        "which matters in training only"
    ]
