"""Networks that cannot tell copies of a token apart: they do not see positions."""

from __future__ import annotations

from neural_attn.diagnosis.faults import Check, Checked, Fault, Number, Threshold, Token
from neural_attn.diagnosis.record import Record

__all__ = ["POSITIONS"]

KIND = "positions"
APART = 0.01  # how far apart the weights of copies are in the first layer, at most
FEWEST_ROWS = 8
SHOWN = 8
REMEDIES = {
    "blind": (
        "put `PositionalEncoding()` after the `Embedding`, in each branch",
        "was the checkpoint trained with positions? A file without them loads all the "
        "same, "
        "as sinusoidal positions have no weights",
        "where the order of tokens does not matter, this is right: ignore it",
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """The first layer of each kind: later ones of a decoder know what was before."""
    copies, places = record.copies, record.analyzer.places
    first: dict[str, str] = {}
    for name, place in places.items():
        if place.kind != "cross":
            first.setdefault(place.kind, name)
    names = [n for n in first.values() if copies.rows[n] >= FEWEST_ROWS]
    if not names:
        few = f"fewer than {FEWEST_ROWS} rows of self-attention see a token twice"
        return [], Checked(KIND, why_not=few)
    heads = sum(len(places[name].head_indices) for name in names)
    rows = sum(copies.rows[name] for name in names)
    texts = max(copies.texts[name] for name in names)
    faults = [_fault(record, n) for n in names if copies.apart(n).max() <= APART]
    return faults, Checked(KIND, heads, rows, texts)


def _fault(record: Record, name: str) -> Fault:
    copies, place = record.copies, record.analyzer.places[name]
    number = Number(
        "difference of the weights on copies of a token, the greatest of all heads",
        float(copies.apart(name).max()), APART, False,
        copies.rows[name], copies.texts[name], 0.0, "a layer without positions",
    )  # fmt: skip
    heads = tuple(place.label(number) for number in place.head_indices)
    says = f"{name} gives copies of a token equal weights: it does not see positions"
    tokens = tuple(Token(*one) for one in copies.places[name][:SHOWN])
    return Fault(
        KIND, "blind", says, (name,), heads, (number,), REMEDIES["blind"], tokens
    )


POSITIONS = Check(
    KIND,
    "Positions that are missing",
    "tokens that come twice or more in a text, in the first layer of self-attention of "
    "encoder and decoder: (greatest - least) / (greatest + least) of the weights that "
    "a "
    "row gives to the copies",
    "Attention by itself does not know the order of its keys (Vaswani et al., 2017, "
    "3.5): "
    "without positions, equal tokens get exactly equal weights.",
    {"blind": Threshold(APART, "mean difference in every head of the layer, at most")},
    REMEDIES,
    examine,
    of_trained=False,
)
