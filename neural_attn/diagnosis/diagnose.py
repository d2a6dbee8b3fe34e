"""The registry of checks, and what runs them over what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from neural_attn.diagnosis.faults import Check, Checked, Diagnosis, Fault
from neural_attn.diagnosis.hallucination import HALLUCINATION
from neural_attn.diagnosis.long_inputs import LONG_INPUTS
from neural_attn.diagnosis.masking import MASKING
from neural_attn.diagnosis.positions import POSITIONS
from neural_attn.diagnosis.record import Record
from neural_attn.diagnosis.redundancy import REDUNDANCY
from neural_attn.diagnosis.repetition import REPETITION
from neural_attn.diagnosis.untrained import UNTRAINED_CHECK
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import examine

__all__ = ["CHECKS", "conclude", "diagnose_maps"]

# every kind of fault, in the order in which they are reported
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
# What the input doctor finds that is a fault here: of `masking`, and of `untrained`.
FAULTS = frozenset({"W0801", "W0804", "W0805", "W0809", "W0810"})
UNREAD = "the weights are untrained: there is nothing to read in them"


def diagnose_maps(maps: AttentionMaps | Iterable[AttentionMaps]) -> Diagnosis:
    """Diagnose maps, or batches of them in turn; of the weights nothing is kept.

    Raises
    ------
    ValueError
        If batches hold maps of one name with different heads.
    """
    record = Record()
    for batch in [maps] if isinstance(maps, AttentionMaps) else maps:
        record.add(batch, examine(batch))
    return conclude(record)


def conclude(record: Record, notes: Sequence[str] = ()) -> Diagnosis:
    """Examine what was recorded, one check after the other."""
    faults: list[Fault] = []
    checked: list[Checked] = []
    for check in CHECKS.values():
        if check.of_trained and any(one.kind == "untrained" for one in faults):
            checked.append(Checked(check.kind, why_not=UNREAD))
            continue
        found, seen = check.examine(record)
        faults += found
        checked.append(replace(seen, looks_at=check.looks_at))
    places = record.analyzer.places
    return Diagnosis(
        record.source,
        record.backend,
        record.trained,
        record.texts,
        record.analyzer.tokens,
        len({place.layer for place in places.values()}),
        sum(len(place.head_indices) for place in places.values()),
        tuple(faults),
        tuple(checked),
        (*notes, *_left_out(record)),
    )


def _left_out(record: Record) -> list[str]:
    """What the input doctor found beside faults, and whether its map was read."""
    return [
        f"{'left out ' if one.stops else ''}{one.map}: {one.message} ({one.code})"
        for one in record.findings.values()
        if one.code not in FAULTS
    ]
