"""What a diagnosis is made of: checks, the faults that they find, and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "SCHEMA", "Check", "Checked", "Diagnosis", "Fault", "Number", "Threshold", "Token",
]  # fmt: skip

SCHEMA = "neural-attn/diagnosis"


@dataclass(frozen=True)
class Threshold:
    """A limit of a check: `value`, and `of` what."""

    value: float
    of: str


@dataclass(frozen=True)
class Number:
    """A number behind a fault: it is at least (or at most) its threshold.

    `chance` is what stands for "nothing there", and `baseline` says what that is; None
    where there is no such thing. `rows` and `texts` are how many it rests on.
    """

    name: str
    value: float
    threshold: float
    at_least: bool
    rows: int
    texts: int
    chance: float | None = None
    baseline: str = ""


@dataclass(frozen=True)
class Token:
    """A token of a text: both are numbered from 0."""

    text: int
    position: int
    token: str


@dataclass(frozen=True)
class Fault:
    """Something that was found, of one `kind`; `cause` says which form of it.

    `heads` are labels as the analysis has them, `layers` the names of their maps.
    """

    kind: str
    cause: str
    message: str
    layers: tuple[str, ...]
    heads: tuple[str, ...]
    numbers: tuple[Number, ...]
    remedies: tuple[str, ...]
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What one check looked at; with `why_not`, why it looked at nothing."""

    kind: str
    heads: int = 0
    rows: int = 0
    texts: int = 0
    why_not: str = ""
    looks_at: str = ""


@dataclass(frozen=True)
class Check:
    """A kind of fault: what is looked at, the limits, and what to try.

    `examine` gives, of a `Record`, the faults and what was looked at; `remedies` are by
    cause. A check that reads what attention means has no sense where an earlier one
    found that there is nothing to read: `of_trained` says so.
    """

    kind: str
    title: str
    looks_at: str
    why: str
    thresholds: Mapping[str, Threshold]
    remedies: Mapping[str, Sequence[str]]
    examine: Callable[[Any], tuple[list[Fault], Checked]] = field(repr=False)
    of_trained: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """All that was found, and what was looked at."""

    source: str | None
    backend: str | None
    trained: bool | None
    texts: int
    tokens: int
    layers: int
    heads: int
    faults: tuple[Fault, ...]
    checked: tuple[Checked, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of fault that were found, each once."""
        return tuple(dict.fromkeys(fault.kind for fault in self.faults))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain data; docs/diagnosis.md describes it."""
        return {"schema": SCHEMA, "schema_version": "1.0", **asdict(self)}

    def __str__(self) -> str:
        """The report, as the command prints it."""
        from neural_attn.diagnosis.view import lines

        return "\n".join(lines(self))
