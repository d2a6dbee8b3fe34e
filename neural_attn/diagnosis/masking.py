"""Masks that are missing or wrong: NaN, empty rows, weight where none belongs."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.diagnosis.faults import Check, Checked, Fault, Number, Threshold, Token
from neural_attn.diagnosis.leaks import Leak
from neural_attn.diagnosis.record import Record
from neural_attn.maps.findings import Finding
from neural_attn.maps.validation import LEAK_TOLERANCE, PADDING_SHARE

__all__ = ["MASKING"]

KIND = "masking"
SAYS = {
    "later": "reads later tokens: up to {share:.1%} of a row's attention",
    "padding": "gives up to {share:.1%} of a head's attention to padding",
    "masked": "gives up to {share:.1%} of a row's attention to keys that are masked",
    "empty": "has rows that are 0 everywhere: {share:.1%} of those of a head",
}
NAMES = {
    "later": "attention of the worst row on later tokens",
    "padding": "mean attention of a head on padding",
    "masked": "attention of the worst row on masked keys",
    "empty": "rows of 0",
}
REMEDIES = {
    "nan": (
        "a row whose keys are all hidden gives NaN after a softmax: let each row see "
        "one key",
        "lower the learning rate, or clip gradients: weights that are NaN give NaN",
        "compute the softmax in float32 where weights are float16",
    ),
    "later": (
        "say `causal=true`: `TransformerDecoder(causal=true)`, or "
        "`MultiHeadAttention(…, causal=true)`; train again, as it has learnt to cheat",
        "for a decoder that writes all tokens at once this is right: ignore it",
    ),
    "padding": (
        "say `Embedding(…, mask_zero=true)`, and pad with 0: the mask then follows the "
        "tokens through the network",
        "in a model of your own, pass `attention_mask`",
    ),
    "masked": (
        "add the mask to the scores before the softmax, not to the weights after it: "
        "`attention_softmax(scores, attention_mask)` does",
    ),
    "empty": (
        "the mask hides every key of these rows: is it the right way round (True may "
        "be "
        "attended), and of the shape [batch, 1, 1, keys]?",
        "a text of nothing but padding has nothing to attend to: leave it out",
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """NaN as the input doctor found it, then what leaks, by map."""
    nan = [one for one in record.findings.values() if one.code == "W0801"]
    faults = [_nan(one) for one in nan]
    found: dict[tuple[str, str], list[Leak]] = {}
    for leak in record.leaks:
        found.setdefault((leak.map, leak.cause), []).append(leak)
    faults += [_fault(leaks) for leaks in found.values()]
    if not record.texts and not faults:
        return [], Checked(KIND, why_not="no map can be read")
    heads = sum(len(p.head_indices) for p in record.analyzer.places.values())
    rows = sum(record.rows.values())
    return faults, Checked(KIND, heads, rows, record.texts)


def _nan(one: Finding) -> Fault:
    says = f"{one.map}: {one.message}"
    return Fault(KIND, "nan", says, (one.map,), (), (), REMEDIES["nan"])


def _fault(leaks: Sequence[Leak]) -> Fault:
    """One fault of a map, from what each batch showed of it."""
    worst = max(leaks, key=lambda leak: leak.share)
    heads = dict.fromkeys(head for leak in leaks for head in leak.heads)
    number = Number(
        NAMES[worst.cause],
        worst.share,
        worst.threshold,
        True,
        sum(leak.rows for leak in leaks),
        sum(leak.texts for leak in leaks),
        0.0,
        "a mask that holds",
    )
    return Fault(
        KIND,
        worst.cause,
        f"{worst.map} {SAYS[worst.cause].format(share=worst.share)}",
        (worst.map,),
        tuple(heads),
        (number,),
        REMEDIES[worst.cause],
        tuple(Token(*one) for one in worst.tokens),
    )


MASKING = Check(
    KIND,
    "Masks that are missing or wrong",
    "every weight of every map: NaN, rows that are 0 everywhere, weight on padding (as "
    "its token is written), on masked keys, and on later tokens where a map is causal "
    "or "
    "of a decoder's layer",
    "A softmax under a mask gives hidden keys exactly 0. A decoder that sees what it "
    "is "
    "to predict learns to copy it, and fails when it has to write.",
    {
        "later": Threshold(
            LEAK_TOLERANCE, "share of a row's attention on later tokens"
        ),
        "masked": Threshold(
            LEAK_TOLERANCE, "share of a row's attention on masked keys"
        ),
        "padding": Threshold(PADDING_SHARE, "share of a head's attention on padding"),
        "empty": Threshold(0.0, "share of a head's rows that are 0 everywhere"),
    },
    REMEDIES,
    examine,
    of_trained=False,
)
