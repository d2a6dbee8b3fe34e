"""Runs the checks over what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from neural_attn.diagnosis.checks import CHECKS
from neural_attn.diagnosis.faults import Checked, Diagnosis, Fault
from neural_attn.diagnosis.record import Record
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import examine

__all__ = ["conclude", "diagnose_maps"]

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
        record.analyzer.texts,
        record.analyzer.tokens,
        len({place.layer for place in places.values()}),
        sum(len(place.head_indices) for place in places.values()),
        tuple(faults),
        tuple(checked),
        tuple(notes),
    )
