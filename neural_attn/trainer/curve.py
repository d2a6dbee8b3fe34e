"""The loss of each epoch as a picture, and the history as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from neural_attn.trainer.checkpoint import Row


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each epoch, below the names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_picture(rows: Sequence[Row], best: int, name: str) -> bytes:
    """The curves of training and validation, and where the best epoch is; PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) < 30 else None
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        if key in rows[0]:
            values = [row[key] for row in rows]
            axes.plot(epochs, values, marker=marker, markersize=3, label=label)
    axes.axvline(best, color="0.7", linewidth=1, linestyle=":", label=f"best: {best}")
    axes.set(xlabel="epoch", ylabel="loss", title=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()
