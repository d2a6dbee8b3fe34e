"""What attention maps say in numbers and words; see docs/analysis.

- `guide.py`: the numbers of the attention visualization guide for one layer;
- `geometry.py`, `scores.py`, `plan.py`, `measure.py`, `extras.py`: every metric, in one
  pass per text;
- `tally.py`, `analyzer.py`: statistics over many texts, in parts that merge;
- `baselines.py`, `patterns.py`, `heads.py`: is it more than chance, and what is it;
- `planted.py`: heads whose pattern is known;
- `doctor.py`, `findings.py`: would a picture of these weights lie;
- `rollout.py`, `redundancy.py`: through layers, and between heads;
- `connections.py`, `example.py`: one text closely; `groups.py`, `links.py`: groups of
  texts, given links;
- `texts.py`, `saved.py`, `probe.py`, `run.py`: from files to attention;
- `partial.py`, `partial_file.py`, `trust.py`: what one machine hands to another;
- `whole.py`, `result.py`, `standing_out.py`: everything together;
- `parts.py`, `document.py`, `particulars.py`: the report, for every format.
"""

from neural_attn.analysis.analyze_maps import analyze
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.head_types import THRESHOLDS, Pattern
from neural_attn.analysis.heads import Head
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.metrics.guide import (
    AttentionPatterns,
    Distribution,
    analyze_attention_patterns,
    guide_patterns,
)

__all__ = [
    "THRESHOLDS",
    "Analysis",
    "Analyzer",
    "AttentionPatterns",
    "Distribution",
    "Head",
    "PartialAnalysis",
    "Pattern",
    "analyze",
    "analyze_attention_patterns",
    "guide_patterns",
]
