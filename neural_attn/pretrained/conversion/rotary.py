"""Rotary positions as config.json files describe them."""

from __future__ import annotations

from neural_attn.diagnostics.errors import fail
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import Argument

_FAR = 1e12  # no model has angles that turn more slowly


def rotary(
    config: Config, kind: str = "", base: float = 10000.0, *, partial: bool = False
) -> dict[str, Argument]:
    """The arguments of `RotaryPositions`, old and new spellings alike.

    `kind` is that of the layers where `rope_parameters` tells several apart; `base`
    is theta where none is given, and `partial` allows that a part of a head is turned,
    which is the family's to say. Raises NeuralError (E0626) for scalings that the
    block does not have.
    """
    old = "rope_scaling" if config.has("rope_scaling") else "rope_parameters"
    found = config.inner(old)
    if kind and found.has(kind):
        found = found.inner(kind)
    base = config.number("rope_theta", base, _FAR)
    base = found.number("rope_theta", base, _FAR)
    arguments: dict[str, Argument] = {"theta": int(base) if base == int(base) else base}
    if not partial:
        for place in (config, found):
            place.refuse("partial_rotary_factor", (1,), "all of a head must be turned")
    name = found.text("rope_type", found.text("type", "default"))
    if name not in ("default", "linear", "llama3"):
        fail(
            "E0626",
            path=config.path,
            key=f"{old}.rope_type",
            shown=f'"{name}"',
            reason="supported are default, linear and llama3",
        )
    if name != "default":
        arguments["factor"] = _plain(found.number("factor", maximum=_FAR))
    if name == "llama3":
        arguments["original_length"] = found.size("original_max_position_embeddings")
        found.refuse("low_freq_factor", (1,), "only 1 is supported, as in Llama 3")
        found.refuse("high_freq_factor", (4,), "only 4 is supported, as in Llama 3")
    return arguments


def _plain(value: float) -> int | float:
    """4.0 as 4, which reads better."""
    return int(value) if value == int(value) else value
