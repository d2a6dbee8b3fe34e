"""Which ids start and end what an imported network writes, where its model says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.preparation import Preparation

__all__ = ["Borders"]


@dataclass(frozen=True)
class Borders(Preparation):
    """The ids that start and that end a target; None: those of its tokenizer.

    They are the model's, not the tokenizer's: a BART begins what it writes with the
    token that ends a text.
    """

    KIND: ClassVar[str] = "borders"

    start: int | None = None
    end: int | None = None

    @classmethod
    def refuse(cls, path: Path) -> NoReturn:
        """See `Preparation.refuse`."""
        fail("E0462.borders", path=path)

    def check(self) -> None:
        """See `Preparation.check`."""
        for one in (self.start, self.end):
            if one is not None and (type(one) is not int or one < 0):
                raise ValueError(one)

    def over(
        self, usual: tuple[int | None, int | None]
    ) -> tuple[int | None, int | None]:
        """These, and of what is None here the usual one."""
        start, end = usual
        return (
            start if self.start is None else self.start,
            end if self.end is None else self.end,
        )
