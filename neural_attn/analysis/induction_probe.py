"""The induction probe: random tokens, twice (Olsson et al., 2022)."""

from __future__ import annotations

import numpy as np

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.maps.validation import usable
from neural_attn.models.attention_model import AttentionModel

__all__ = ["PROBES", "PROBE_LENGTH", "measure_induction"]

PROBE_LENGTH = 25  # random tokens, then the same again
PROBES = 4  # such sequences


def measure_induction(
    model: AttentionModel, seed: int = 0
) -> tuple[Analyzer, str] | None:
    """Run a model on repetitions that it cannot know from its training.

    Returns
    -------
    analyzer, note
        Its heads have the induction score; the note says what was measured. None where
        the model does not take one sequence of token ids, or too short a one.
    """
    vocabulary = model.vocabulary
    if vocabulary is None:
        return None
    longest = vocabulary.longest or 2 * PROBE_LENGTH
    length = min(PROBE_LENGTH, longest // 2)
    # The first ids are often reserved: special tokens, unused rows.
    low = vocabulary.size // 10
    if length < 4 or vocabulary.size - low < length:
        return None
    random = np.random.default_rng(seed)
    rows = [
        random.choice(vocabulary.size - low, length, replace=False) + low
        for _ in range(PROBES)
    ]
    ids = np.concatenate([np.stack(rows)] * 2, axis=1).astype(np.int64)
    captured = model.run(model.encode_ids(ids))
    probe = Analyzer()
    probe.add(usable(captured.maps, captured.findings), network=model.outline)
    return probe, (
        f"induction is measured on {PROBES} sequences of {length} random tokens, "
        f"each twice (seed {seed})"
    )
