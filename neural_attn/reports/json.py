"""The analysis as JSON."""

from __future__ import annotations

import json
import re

from neural_attn.analysis.result import Analysis

__all__ = ["to_json"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def to_json(analysis: Analysis) -> str:
    """The analysis as one JSON object; NaN does not occur in it."""
    text = json.dumps(analysis.to_dict(), ensure_ascii=False, allow_nan=False)
    # Tokens may hold lone surrogates, which no encoding takes; JSON has escapes.
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
