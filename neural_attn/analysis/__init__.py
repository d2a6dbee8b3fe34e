"""What attention maps say in numbers and words; see docs/analysis.

- `guide.py`: the numbers of the attention visualization guide for one layer;
- `geometry.py`, `scores.py`, `measure.py`: every metric, in one pass per text;
- `tally.py`, `analyzer.py`: statistics over many texts, in parts that merge;
- `baselines.py`, `patterns.py`, `heads.py`: is it more than chance, and what is it;
- `planted.py`: heads whose pattern is known.
"""

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.guide import (
    AttentionPatterns,
    Distribution,
    analyze_attention_patterns,
    guide_patterns,
)
from neural_attn.analysis.heads import Head
from neural_attn.analysis.patterns import THRESHOLDS, Pattern

__all__ = [
    "THRESHOLDS",
    "Analyzer",
    "AttentionPatterns",
    "Distribution",
    "Head",
    "Pattern",
    "analyze_attention_patterns",
    "guide_patterns",
]
