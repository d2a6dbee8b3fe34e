"""How focused a network was at each step that it wrote: one row for each head and step.

The numbers are those of the metrics (`entropy`, `normalized_entropy`, `max_weight`),
row by row instead of their mean over a text.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.written import Written, tells_rows
from neural_attn.metrics.registry import Measuring, look_at_rows

__all__ = ["MEASURED", "Spread", "StepRow", "Steps"]

# the numbers of a row, which `Spread` sums up
MEASURED = ("entropy", "normalized_entropy", "max_weight")


@dataclass(frozen=True)
class StepRow:
    """What one head did at one step of one text.

    `text` and `step` count from 0; `fed` and `token` are the token that went in and the
    one that was written, with its `probability`. `keys` may be attended to; `attended`
    is the one with the greatest weight, at `position`. `entropy` is in nats,
    `normalized_entropy` a share of ln(keys), NaN where there is one key.
    """

    text: int
    step: int
    fed: str
    token: str
    probability: float
    kind: str
    map: str
    head: int
    keys: int
    entropy: float
    normalized_entropy: float
    max_weight: float
    attended: str
    position: int


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of one number over `steps` steps of some heads.

    `kind` is that of the attention; `map` and `head` are None where it is of all heads
    of the kind. The deviation is that of a sample, None of a single step.
    """

    kind: str
    map: str | None
    head: int | None
    metric: str
    mean: float
    std: float | None
    least: float
    greatest: float
    steps: int


@dataclass
class Steps:
    """The rows of all texts that were added."""

    rows: list[StepRow] = field(default_factory=list)
    texts: int = 0

    def add(self, maps: AttentionMaps) -> None:
        """Add the steps of every text that the maps are of.

        Of each text those that predict a token which the network wrote; in maps of
        signed weights, which are not shares, there are none.
        """
        for number, written in enumerate(maps.written):
            items = [maps.item(name, number) for name in maps]
            for item in items:
                if tells_rows(item, written):
                    self.rows += _rows_of(item, written, self.texts)
            self.texts += 1

    def merge(self, other: Steps) -> Steps:
        """The steps of both, whose texts are numbered on."""
        moved = [_numbered(row, row.text + self.texts) for row in other.rows]
        return Steps([*self.rows, *moved], self.texts + other.texts)

    def spreads(self) -> list[Spread]:
        """Every number over all heads of a kind, then over each head alone."""
        kinds = dict.fromkeys(row.kind for row in self.rows)
        heads = dict.fromkeys((row.kind, row.map, row.head) for row in self.rows)
        groups: dict[tuple[str, str | None, int | None], list[StepRow]]
        groups = {(kind, None, None): [] for kind in kinds}
        groups |= {head: [] for head in heads}
        for row in self.rows:
            groups[row.kind, None, None].append(row)
            groups[row.kind, row.map, row.head].append(row)
        found = [
            _spread(place, name, rows)
            for place, rows in groups.items()
            for name in MEASURED
        ]
        return [one for one in found if one is not None]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: what was counted, and mean and spread of each number."""
        return {
            "texts": self.texts,
            "rows": len(self.rows),
            "spreads": [asdict(one) for one in self.spreads()],
        }

    def to_csv(self) -> str:
        """Every row as CSV below the names; what is not defined is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_NAMES)
        for row in self.rows:
            writer.writerow("" if _is_nan(v) else v for v in astuple(row))
        return text.getvalue()

    def to_frame(self) -> Any:
        """Every row as a pandas DataFrame, whose columns are those of `StepRow`.

        Raises NeuralError (E0502) where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            fail("E0502.pandas")
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=_NAMES)


_NAMES = [one.name for one in fields(StepRow)]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _numbered(row: StepRow, text: int) -> StepRow:
    return StepRow(**{**asdict(row), "text": text})


def _rows_of(item: AttentionItem, written: Written, text: int) -> Iterator[StepRow]:
    """The rows of one map of one text, of those heads whose rows are shares."""
    own = item.kind != "cross"
    masks = look_at_rows(item.weights, item.allowed, self_attention=own, rows=item.rows)
    for heads, looked in masks:
        if looked.shares is not None:
            for at, head in enumerate(heads):
                yield from _steps(item, written, text, head, (looked.shares, at))


def _steps(
    item: AttentionItem,
    written: Written,
    text: int,
    head: int,
    found: tuple[Measuring, int],
) -> Iterator[StepRow]:
    """The steps of one head, which is row `found[1]` of what was measured."""
    shares, at = found
    for step, one in enumerate(written.steps):
        row = written.first + step
        if not shares.counts[at, row]:
            continue  # there was nothing that it might attend to
        choice = bool(shares.choice[at, row])
        position = int(item.weights[head, row].argmax())
        yield StepRow(
            text,
            step,
            written.fed[row],
            one.chosen.token,
            one.chosen.probability,
            item.kind,
            item.name,
            item.head_indices[head],
            int(shares.geometry.options[row]),
            float(shares.sums.entropy[at, row]),
            float(shares.normalized[at, row]) if choice else math.nan,
            float(shares.sums.high[at, row]),
            item.key_tokens[position],
            position,
        )


def _spread(
    place: tuple[str, str | None, int | None], metric: str, rows: Sequence[StepRow]
) -> Spread | None:
    values = np.array([getattr(row, metric) for row in rows])
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    std = float(values.std(ddof=1)) if values.size > 1 else None
    mean, least, greatest = float(values.mean()), values.min(), values.max()
    return Spread(*place, metric, mean, std, float(least), float(greatest), values.size)
