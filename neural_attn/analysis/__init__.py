"""What attention maps say in numbers and words; see docs/analysis.

- `guide.py`: the numbers of the attention visualization guide for one layer;
- `geometry.py`, `scores.py`, `measure.py`: every metric, in one pass per text;
- `tally.py`, `analyzer.py`: statistics over many texts, in parts that merge;
- `baselines.py`, `patterns.py`, `heads.py`: is it more than chance, and what is it;
- `planted.py`: heads whose pattern is known;
- `doctor.py`: would a picture of these weights lie;
- `rollout.py`, `redundancy.py`: through layers, and between heads;
- `connections.py`, `groups.py`, `links.py`: tokens, groups of texts, given links;
- `whole.py`, `result.py`, `standing_out.py`: everything together.
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
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.whole import analyze

__all__ = [
    "THRESHOLDS",
    "Analysis",
    "Analyzer",
    "AttentionPatterns",
    "Distribution",
    "Head",
    "Pattern",
    "analyze",
    "analyze_attention_patterns",
    "guide_patterns",
]
