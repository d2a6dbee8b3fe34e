"""What attention maps say in numbers and words; see README.md and docs/analysis."""

from neural_attn.analysis.analyze_maps import analyze
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.heads import Head
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.analysis.type_table import THRESHOLDS, Pattern
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
