"""What the rows of an attention map promise: the word in `observe(…, rows="…")`."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["NONNEGATIVE", "PARTS", "PROMISES", "ROWS", "SHARES", "Rows"]

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
