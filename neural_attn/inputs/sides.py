"""The two texts of a network that reads one and writes the other, or its only one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.borders import Borders
from neural_attn.inputs.tokenizer import FILE_NAME, Tokenizer, find_tokenizer

__all__ = ["SOURCE", "TARGET", "Given", "Sides", "open_sides", "sides_given"]

SOURCE, TARGET = "source", "target"

PathLike = str | os.PathLike[str]
Given = PathLike | Tokenizer | Mapping[str, Any] | None


@dataclass(frozen=True)
class Sides:
    """What reads the source (None: there is no such text) and the target.

    `own` are the ids that the model itself starts and ends a target with.
    """

    source: Tokenizer | None
    target: Tokenizer
    own: Borders = field(default_factory=Borders)

    @property
    def borders(self) -> tuple[int | None, int | None]:
        """The ids that start and that end what is written; None where there is none."""
        return self.own.over(self.target.borders)


def open_sides(
    file: Path | None, checkpoint: Path | None, given: Given, *, reads: bool
) -> Sides:
    """The tokenizers of a network that writes; with `reads` it reads another text.

    `given` is one for both, a path or a `Tokenizer`, or a mapping with "source" and
    "target". Without it they are looked for beside the network and the weights:
    `source.tokenizer.json` and `target.tokenizer.json`, with the name of either and a
    dot before it or without, else the one that both share, as in `find_tokenizer`.
    The borders of an imported model lie beside its file.

    Raises NeuralError where there is none.
    """
    each = dict(given) if isinstance(given, Mapping) else {SOURCE: given, TARGET: given}
    target = _open(file, checkpoint, TARGET, each.get(TARGET))
    if not reads:
        if isinstance(given, Mapping) and each.get(SOURCE) is not None:
            fail("E0461.source")
        return Sides(None, target)
    source = _open(file, checkpoint, SOURCE, each.get(SOURCE))
    return Sides(source, target, Borders.beside(file) or Borders())


def sides_given(options: Mapping[str, Any]) -> Given:
    """The tokenizers that options say: one for all texts, or one for each of two."""
    own = {side: options[f"{side}_tokenizer"] for side in ("source", "target")}
    both = options["tokenizer"]
    if not any(own.values()):
        return both  # type: ignore[no-any-return]
    return {side: given or both for side, given in own.items()}


def _open(
    file: Path | None, checkpoint: Path | None, side: str, given: Any
) -> Tokenizer:
    if isinstance(given, Tokenizer):
        return given
    path = None if given is not None else _beside(file, checkpoint, side)
    path = path or find_tokenizer(file, checkpoint, given)
    if path is None:
        fail("E0415.side", what=file.name if file else "the network", side=side)
    return Tokenizer(path)


def _beside(file: Path | None, checkpoint: Path | None, side: str) -> Path | None:
    owners = [path for path in (file, checkpoint) if path is not None]
    name = f"{side}.{FILE_NAME}"
    candidates = [owner.with_name(f"{owner.stem}.{name}") for owner in owners]
    candidates += [owner.with_name(name) for owner in reversed(owners)]
    return next((path for path in candidates if path.is_file()), None)
