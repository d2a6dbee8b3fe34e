"""Long texts on which cross-attention holds to the ends, or blurs."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.analysis.heads import Head
from neural_attn.analysis.type_table import above_chance
from neural_attn.diagnosis.faults import Check, Checked, Fault, Number, Threshold
from neural_attn.diagnosis.record import LONG, LONG_KEYS, SHORT, Record, sharpest, where

__all__ = ["LONG_INPUTS"]

KIND = "long_inputs"
ENDS = 0.5  # part of the way from uniform to all of it on the ends, in every head
EVEN = 0.9  # normalized entropy of every head
BLUR = 0.1  # rise of the normalized entropy of the sharpest head
LENGTH = "train on texts as long as these: the network has not seen such positions"
RELATIVE = (
    "use positions that extend beyond those of training: `RotaryEncoder`, or a bias by "
    "distance, `LinearBiasAttention`"
)
REMEDIES = {
    "ends": (
        "give it positions for this many tokens: `PositionalEncoding(max_len=…)`",
        RELATIVE,
        LENGTH,
    ),
    "uniform": (
        LENGTH,
        "give it more heads, or cut the texts into parts",
        RELATIVE,
    ),
    "blurred": (LENGTH, RELATIVE),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """All heads of cross-attention on long texts; of encoders, whether all are even."""
    texts = record.counts[LONG]
    if not texts:
        return [], Checked(KIND, why_not=f"no text has {LONG_KEYS} tokens or more")
    every = record.uneven(LONG)
    cross = [h for h in every if h.kind == "cross"]
    heads = cross or every
    layers, _ = where(heads)
    seen = Checked(KIND, len(heads), record.rows_of(layers, LONG), texts)
    if not heads:
        return [], Checked(KIND, why_not="no row has a choice between keys")
    found = _uniform(heads, seen)
    if cross:
        found = found or _ends(heads, seen) or _blurred(heads, record, seen)
    return ([] if found is None else [found]), seen


def _uniform(heads: Sequence[Head], seen: Checked) -> Fault | None:
    least = sharpest(heads)
    if least < EVEN:
        return None
    number = Number(
        "normalized entropy of the sharpest head on long texts",
        least, EVEN, True, seen.rows, seen.texts, 1.0, "uniform attention",
    )  # fmt: skip
    says = f"on long texts all {len(heads)} heads attend almost evenly"
    return _fault("uniform", says, heads, number)


def _ends(heads: Sequence[Head], seen: Checked) -> Fault | None:
    ways = []
    for head in heads:
        bands = [head.statistics.get(name) for name in ("prefix", "suffix")]
        share = sum(band.mean for band in bands if band is not None)
        even = sum(band.uniform or 0.0 for band in bands if band is not None)
        ways.append(above_chance(share, even))
    least = min(ways)
    if not least >= ENDS:
        return None
    number = Number(
        "part of the way from chance to all attention on first and last tokens",
        least, ENDS, True, seen.rows, seen.texts, 0.0, "uniform attention",
    )  # fmt: skip
    says = (
        f"on long texts all {len(heads)} heads of cross-attention look at the first "
        "and "
        "last eighth"
    )
    return _fault("ends", says, heads, number)


def _blurred(heads: Sequence[Head], record: Record, seen: Checked) -> Fault | None:
    short = record.uneven(SHORT, kind="cross")
    if not short:
        return None
    before, after = sharpest(short), sharpest(heads)
    if after - before < BLUR:
        return None
    number = Number(
        "rise of the normalized entropy of the sharpest head",
        after - before, BLUR, True, seen.rows, seen.texts, 0.0,
        f"{before:.2f} on {record.counts[SHORT]} shorter texts; here {after:.2f}",
    )  # fmt: skip
    says = "cross-attention loses its peaks as texts grow"
    return _fault("blurred", says, heads, number)


def _fault(cause: str, says: str, heads: Sequence[Head], number: Number) -> Fault:
    return Fault(KIND, cause, says, *where(heads), (number,), REMEDIES[cause])


LONG_INPUTS = Check(
    KIND,
    "Long inputs: attention that does not reach",
    f"texts of {LONG_KEYS} tokens or more: whether all heads of cross-attention (where "
    "there is none, all heads) are even, whether they cling to the first and last "
    "tokens, "
    "and whether they are less sharp than on shorter texts",
    "Positions beyond those of training mean nothing to the network, and a softmax "
    "over more keys needs larger differences of its scores to stay sharp.",
    {
        "ends": Threshold(
            ENDS,
            "(share on the first and last eighth - uniform) / (1 - uniform), in every "
            "head "
            "of cross-attention",
        ),
        "uniform": Threshold(EVEN, "normalized entropy of every head"),
        "blurred": Threshold(
            BLUR,
            "normalized entropy of the sharpest head of cross-attention, long texts "
            "minus "
            "shorter ones",
        ),
    },
    REMEDIES,
    examine,
)
