"""Rotary positions as config.json files describe them."""

from __future__ import annotations

import math

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import Argument

_FAR = 1e12  # no model has angles that turn more slowly


def rotary(
    config: Config,
    kind: str = "",
    base: float = 10000.0,
    *,
    partial: bool = False,
    yarn: bool = False,
) -> dict[str, Argument]:
    """The arguments of `RotaryPositions`, old and new spellings alike.

    `kind` is that of the layers where `rope_parameters` tells several apart; `base`
    is theta where none is given. `partial` allows that a part of a head is turned,
    which is the family's to say, and `yarn` the scaling that not all blocks have.
    Raises NeuralError (E0626) for scalings that the block does not have.
    """
    old = "rope_scaling" if config.has("rope_scaling") else "rope_parameters"
    outer = found = config.inner(old)
    if kind and found.has(kind):
        found = found.inner(kind)
    base = config.number("rope_theta", base, _FAR)
    base = found.number("rope_theta", base, _FAR)
    arguments: dict[str, Argument] = {"theta": int(base) if base == int(base) else base}
    if not partial:
        for place in (config, found):
            place.refuse("partial_rotary_factor", (1,), "all of a head must be rotated")
    name = found.text("rope_type", found.text("type", "default"))
    known = ["default", "linear", "llama3", *(["yarn"] if yarn else [])]
    if name not in known:
        fail(
            "E0626",
            path=config.path,
            key=f"{old}.rope_type",
            shown=f'"{name}"',
            reason=f"supported are {', '.join(known[:-1])} and {known[-1]}",
        )
    if name == "yarn":
        return arguments | _yarn(config, outer, found, base)
    if name != "default":
        arguments["factor"] = _plain(found.number("factor", maximum=_FAR))
    if name == "llama3":
        arguments["original_length"] = found.size("original_max_position_embeddings")
        found.refuse("low_freq_factor", (1,), "only 1 is supported, as in Llama 3")
        found.refuse("high_freq_factor", (4,), "only 4 is supported, as in Llama 3")
    return arguments


def _yarn(
    config: Config, outer: Config, found: Config, base: float
) -> dict[str, Argument]:
    """YaRN (Peng et al., 2023) as transformers has it, and as RotaryPositions does."""
    length = found.size("original_max_position_embeddings")
    # Elsewhere the first pair that is slowed would come behind the last.
    config.check(base > 1, "rope_theta", "above 1 for YaRN")
    fits = 7 <= length <= 200 * base
    found.check(fits, "original_max_position_embeddings", f"from 7 to {200 * base:g}")
    factor = config.size("max_position_embeddings", length) / length
    factor = found.number("factor", factor, _FAR)
    found.refuse("beta_fast", (32,), "only 32 is supported, as in YaRN")
    found.refuse("beta_slow", (1,), "only 1 is supported, as in YaRN")
    usual = 0.1 * math.log(max(factor, 1)) + 1
    sharp = "only 0.1 ln(factor) + 1 is supported, as in YaRN"
    if abs(found.number("attention_factor", usual, _FAR) - usual) > 1e-6:
        found.refuse("attention_factor", (), sharp)
    if found.has("mscale"):
        found.refuse("mscale_all_dim", (0,), sharp)
    return {
        "factor": _plain(factor),
        "original_length": length,
        "yarn": True,
        # transformers looks for it beside the kinds of layers
        "truncate": outer.flag("truncate", True),
    }


def _plain(value: float) -> int | float:
    """4.0 as 4, which reads better."""
    return int(value) if value == int(value) else value
