"""What stops a call from being read, where the model itself goes on."""

from __future__ import annotations

__all__ = ["UnreadError"]


class UnreadError(Exception):
    """A call whose tensors have no values to read, or a layout that is not read.

    Nothing else is let pass for it: a fault in what computes the weights shows.
    """
