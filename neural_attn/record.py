"""Immutable records that are cheap to make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Do nothing: it speaks to type checkers alone."""
        return lambda decorator: decorator


T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """A dataclass that type checkers hold to be frozen.

    Parsing makes tens of thousands of them, and at run time one that is really frozen
    takes three times as long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
