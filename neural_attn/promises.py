"""What an attention map is said to be: its kind, and what its rows promise."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "KINDS",
    "NONNEGATIVE",
    "PARTS",
    "PROMISES",
    "ROWS",
    "SHARES",
    "Kind",
    "Rows",
    "nowhere",
]

Kind = Literal["encoder_self", "decoder_self", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# the word in `observe(…, rows="…")`
Rows = Literal["shares", "parts", "gates", "signed"]

ROWS: tuple[Rows, ...] = get_args(Rows)
SHARES: Rows = "shares"  # what a softmax gives, and a map that says nothing
PARTS: Rows = "parts"  # what a softmax with a sink gives
# rows that are shares once each is divided by its sum
NONNEGATIVE: tuple[Rows, ...] = ("shares", "parts", "gates")

PROMISES: dict[Rows, str] = {
    "shares": "0 or more, and each row sums to 1, or to 0 where no key is visible",
    "parts": "0 or more, and each row sums to at most 1",
    "gates": "0 or more, and a row sums to anything",
    "signed": "any sign, and a row sums to anything",
}


def nowhere(missing: float) -> str:
    """What rows of parts lack of 1, in words; `missing` is their mean."""
    return f"{missing:.0%} of the attention goes to no key, as with a learned sink"
