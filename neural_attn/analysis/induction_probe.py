"""The induction probe: random tokens, twice (Olsson et al., 2022)."""

from __future__ import annotations

import numpy as np

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.compile import LoadedModel
from neural_attn.inputs.arrays import id_limits, max_length, prepare
from neural_attn.inputs.texts import of_every_input
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import usable
from neural_attn.models.capture import capture

__all__ = ["PROBES", "PROBE_LENGTH", "measure_induction"]

PROBE_LENGTH = 25  # random tokens, then the same again
PROBES = 4  # such sequences


def measure_induction(
    loaded: LoadedModel, network: AttentionMaps | None = None, seed: int = 0
) -> tuple[Analyzer, str] | None:
    """Run a network on repetitions that it cannot know from its training.

    Returns
    -------
    analyzer, note
        Its heads have the induction score; the note says what was measured. None where
        the network does not take one sequence of token ids, or too short a one.
    """
    checked = loaded.checked
    first = checked.network.inputs[0]
    limit = id_limits(checked).get(first.name)
    if first.dtype != "int" or limit is None or len(first.shape) != 1:
        return None
    longest = max_length(checked) or 2 * PROBE_LENGTH
    length = min(PROBE_LENGTH, longest // 2)
    # The first ids are often reserved: special tokens, unused rows.
    low = limit // 10
    if length < 4 or limit - low < length:
        return None
    random = np.random.default_rng(seed)
    rows = [
        random.choice(limit - low, length, replace=False) + low for _ in range(PROBES)
    ]
    ids = np.concatenate([np.stack(rows)] * 2, axis=1).astype(np.int64)
    inputs = {first.name: ids}
    for other in checked.network.inputs[1:]:
        if other.name not in ("token_type_ids", "attention_mask"):
            return None  # a second text: what would be repeated?
        flag = other.name == "attention_mask"
        inputs[other.name] = np.full_like(ids, int(flag))
    prepared = prepare(checked, inputs)
    tokens = [[str(number) for number in row] for row in ids.tolist()]
    captured = capture(loaded, prepared.inputs, of_every_input(checked, tokens))
    probe = Analyzer()
    probe.add(usable(captured.maps, captured.findings), network=network)
    return probe, (
        f"induction is measured on {PROBES} sequences of {length} random tokens, "
        f"each twice (seed {seed})"
    )
