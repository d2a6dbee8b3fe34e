"""Cross-attention that finds nothing in the source: diffuse, or always the same key."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.analysis.heads import Head
from neural_attn.analysis.type_table import SIGNIFICANT, above_chance
from neural_attn.diagnosis.faults import (
    Check,
    Checked,
    Fault,
    Number,
    Threshold,
    Token,
)
from neural_attn.diagnosis.grounding import FEWEST_KEYS, PEAK
from neural_attn.diagnosis.record import Record, sharpest, where

__all__ = ["HALLUCINATION"]

KIND = "hallucination"
DIFFUSE = 0.7  # normalized entropy of the sharpest head of cross-attention
SAME = 0.5  # part of the way from uniform to 1 of the most attended key, in every head
UNFOUNDED, FEWEST = 0.2, 3  # share of produced tokens without a source, and how many
SHOWN = 12
DATA = "train on more pairs: from only a few no alignment is learnt"
SPLIT = "look at the tokens of the source: does the tokenizer split it as in training?"
REMEDIES = {
    "diffuse": (
        DATA,
        "give the decoder more heads or layers: `TransformerDecoder(8, …) * 2`",
        SPLIT,
    ),
    "misplaced": (
        SPLIT,
        "is the source what the network was trained on, and padded on the same side?",
        "does the memory hold the source? `TransformerDecoder(…, memory=source)`",
    ),
    "unfounded": (
        "look at these tokens first: they come from the decoder alone, not the source",
        DATA,
        SPLIT,
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """Every head of cross-attention together: one that aligns is enough."""
    heads = record.uneven(kind="cross")
    if not heads:
        return [], Checked(KIND, why_not="there is no cross-attention")
    layers, _ = where(heads)
    checked = Checked(KIND, len(heads), record.rows_of(layers), record.analyzer.texts)
    found = _diffuse(heads, record, checked) or _misplaced(heads, checked)
    found = found or _unfounded(heads, record)
    return ([] if found is None else [found]), checked


def _diffuse(heads: Sequence[Head], record: Record, seen: Checked) -> Fault | None:
    least = sharpest(heads)
    if least < DIFFUSE:
        return None
    number = Number(
        "normalized entropy of the sharpest head",
        least, DIFFUSE, True, seen.rows, seen.texts, 1.0, "uniform attention",
    )  # fmt: skip
    says = f"cross-attention is diffuse: none of its {len(heads)} heads has clear peaks"
    return Fault(
        KIND, "diffuse", says, *where(heads), (number,), REMEDIES["diffuse"],
        _tokens(record),
    )  # fmt: skip


def _misplaced(heads: Sequence[Head], seen: Checked) -> Fault | None:
    ways = []
    for head in heads:
        same = head.statistics.get("top_key_share")
        if same is None or same.uniform is None:
            return None
        if head.evidence["top_key_share"].p_corrected >= SIGNIFICANT:
            return None  # any order of each row's weights might give it
        ways.append((above_chance(same.mean, same.uniform), same))
    way, least = min(ways, key=lambda pair: pair[0])
    if not way >= SAME:
        return None
    number = Number(
        "part of the way from chance to 1 of the most attended key, least of all heads",
        way, SAME, True, seen.rows, seen.texts, 0.0,
        f"uniform attention, a share of {least.uniform:.2f}; here {least.mean:.2f}",
    )  # fmt: skip
    says = (
        f"cross-attention is misplaced: in all {len(heads)} heads every row looks at "
        "one and the same key, whatever is written"
    )
    return Fault(
        KIND, "misplaced", says, *where(heads), (number,), REMEDIES["misplaced"]
    )


def _unfounded(heads: Sequence[Head], record: Record) -> Fault | None:
    seen, count = record.grounding, len(record.grounding.without)
    if count < FEWEST or count < UNFOUNDED * seen.rows:
        return None
    number = Number(
        "share of written tokens without a peak in any head",
        count / seen.rows, UNFOUNDED, True, seen.rows, seen.texts,
    )  # fmt: skip
    says = f"{count} of {seen.rows} rows have no peak in any head of cross-attention"
    return Fault(
        KIND, "unfounded", says, *where(heads), (number,), REMEDIES["unfounded"],
        _tokens(record),
    )  # fmt: skip


def _tokens(record: Record) -> tuple[Token, ...]:
    return tuple(Token(*one) for one in record.grounding.without[:SHOWN])


HALLUCINATION = Check(
    KIND,
    "Hallucination: output that does not come from the source",
    "all heads of cross-attention together: how sharp the sharpest is, whether all "
    "look "
    "at one and the same key, and for which written tokens no head has a peak",
    "A decoder that does not look at the source writes what is likely without it. One "
    "sharp head that moves with the output is enough to align, so only all together "
    "are "
    "a fault.",
    {
        "diffuse": Threshold(DIFFUSE, "normalized entropy of the sharpest head"),
        "misplaced": Threshold(
            SAME,
            "(share of the most attended key - uniform) / (1 - uniform), in every "
            "head, "
            f"with evidence (corrected p < {SIGNIFICANT})",
        ),
        "unfounded": Threshold(
            UNFOUNDED,
            f"share of rows, at least {FEWEST}, whose greatest weight in any head is "
            "less "
            f"than {PEAK} of the way from uniform to 1 (sources of {FEWEST_KEYS} "
            "tokens or "
            "more)",
        ),
    },
    REMEDIES,
    examine,
)
