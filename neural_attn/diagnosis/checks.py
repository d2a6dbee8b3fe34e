"""The registry: every kind of fault, in the order in which they are reported."""

from __future__ import annotations

from neural_attn.diagnosis.faults import Check
from neural_attn.diagnosis.hallucination import HALLUCINATION
from neural_attn.diagnosis.long_inputs import LONG_INPUTS
from neural_attn.diagnosis.masking import MASKING
from neural_attn.diagnosis.positions import POSITIONS
from neural_attn.diagnosis.redundancy import REDUNDANCY
from neural_attn.diagnosis.repetition import REPETITION
from neural_attn.diagnosis.untrained import UNTRAINED_CHECK

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {
    check.kind: check
    for check in (
        MASKING,
        UNTRAINED_CHECK,
        POSITIONS,
        HALLUCINATION,
        REPETITION,
        LONG_INPUTS,
        REDUNDANCY,
    )
}
