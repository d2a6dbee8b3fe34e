"""The console report: the guide's numbers of one text, and what there is evidence of.

Entropy and the greatest weight have no null, as the order of a row leaves them alike:
their words say no more than what they amount to, beside uniform attention. Of the own
position a word is said where heads attend to it more than chance (see
`analysis/significance.py`); where none does, that nothing special was found. A ratio
alone, such as the diagonal strength, names nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from neural_attn.analysis.analyzer import Analyzer, parts_of
from neural_attn.analysis.heads import Head, what_is_missing
from neural_attn.figures.token_labels import readable
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.metrics.guide import AttentionPatterns, analyze_attention_patterns
from neural_attn.promises import NONNEGATIVE, PROMISES, SHARES, Rows
from neural_attn.reports.elements import UNTRAINED
from neural_attn.reports.unbroken import print_line
from neural_attn.reports.words import (
    entropy_words,
    greatest_words,
    own_position_words,
)

__all__ = ["AttentionReport", "LayerReport", "build_report"]

SCHEMA_VERSION = 1

NO_DIAGONAL = {
    "cross": "not defined: cross-attention",
    "other": "not defined: not square",
}


@dataclass(frozen=True)
class LayerReport:
    """One layer: `shape` is [batch, heads, queries, keys], as the map holds it.

    `queries` and `keys` count what is left of the example without its padding;
    `uniform_diagonal` is the diagonal strength of uniform attention under the mask;
    `heads` are what the analysis finds of each head in this one text.
    """

    name: str
    kind: str
    causal: bool
    shape: tuple[int, ...]
    queries: int
    keys: int
    head_indices: tuple[int, ...]
    patterns: AttentionPatterns
    uniform_diagonal: float | None
    rows: Rows = SHARES
    heads: tuple[Head, ...] = ()

    @property
    def interpretation(self) -> dict[str, str]:
        """What the averages amount to, a few words each; only what is defined."""
        words = {
            "entropy": entropy_words(self.patterns["avg_entropy"], self.heads),
            "max_attention": greatest_words(self.heads),
        }
        if self.patterns["diagonal_attention_strength"] is not None:
            words["diagonal"] = own_position_words(self.heads)
        return {key: word for key, word in words.items() if word is not None}


@dataclass(frozen=True)
class AttentionReport:
    """The report of one example: as text for people, as data for `--json`."""

    layers: tuple[LayerReport, ...]
    trained: bool | None
    source: str | None
    backend: str | None
    batch_index: int

    @property
    def warnings(self) -> list[str]:
        """One sentence each; empty where there is nothing to warn of."""
        return [UNTRAINED] if self.trained is False else []

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain data, which JSON takes."""
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "backend": self.backend,
            "trained": self.trained,
            "batch_index": self.batch_index,
            "warnings": self.warnings,
            "num_layers": len(self.layers),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "causal": layer.causal,
                    "shape": list(layer.shape),
                    "queries": layer.queries,
                    "keys": layer.keys,
                    "head_indices": list(layer.head_indices),
                    "rows": layer.rows,
                    "uniform_diagonal": layer.uniform_diagonal,
                    "interpretation": layer.interpretation,
                    **layer.patterns,
                }
                for layer in self.layers
            ],
        }

    def to_text(self, *, heads: bool = False) -> str:
        """Give the report as plain text; `heads` adds a line for each head."""
        return "".join(line.plain + "\n" for line in self._lines(heads))

    def print(self, console: Console | None = None, *, heads: bool = False) -> None:
        """Print the report, in colour where the console is a terminal that has it."""
        out = console or Console(highlight=False)
        for line in self._lines(heads):
            print_line(out, line)

    def _lines(self, heads: bool) -> list[Text]:
        lines = [Text("Attention Analysis:", style="bold")]
        about = [readable(self.source, 80)] if self.source else []
        about += [f"backend {readable(self.backend, 40)}"] if self.backend else []
        if about:
            lines.append(Text("  " + ", ".join(about), style="dim"))
        lines += [Text(f"  Warning: {w}", style="bold yellow") for w in self.warnings]
        lines.append(Text(f"  Layers with attention: {len(self.layers)}"))
        for layer in self.layers:
            lines += _layer_lines(layer, heads)
        return lines


def build_report(maps: AttentionMaps, batch_index: int = 0) -> AttentionReport:
    """Analyze every map for one example, padding left out.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If a map has no such example.
    """
    layers = []
    items = [maps.item(one.name, batch_index) for one in maps.maps]
    heads = _heads(maps, items)
    for one, item in zip(maps.maps, items, strict=True):
        patterns = analyze_attention_patterns(
            item.weights, item.allowed, cross=item.kind == "cross", rows=item.rows
        )
        layers.append(
            LayerReport(
                name=item.name,
                kind=item.kind,
                causal=item.causal,
                shape=one.weights.shape,
                queries=len(item.query_tokens),
                keys=len(item.key_tokens),
                head_indices=item.head_indices,
                patterns=patterns,
                uniform_diagonal=_uniform_diagonal(item),
                rows=item.rows,
                heads=tuple(head for head in heads if head.map == item.name),
            )
        )
    return AttentionReport(
        tuple(layers), maps.trained, maps.source, maps.backend, batch_index
    )


def _heads(maps: AttentionMaps, items: Sequence[AttentionItem]) -> tuple[Head, ...]:
    """What the analysis says of each head in this text; heads are not compared."""
    analyzer = Analyzer()
    analyzer.place(maps)
    parts = [replace(part, sample=None) for part in parts_of(items)]
    analyzer.count(parts, max((len(item.key_tokens) for item in items), default=0))
    return analyzer.heads()


def _uniform_diagonal(item: AttentionItem) -> float | None:
    if item.rows not in NONNEGATIVE:
        return None
    options = item.allowed.sum(axis=2, keepdims=True)
    uniform = item.allowed / np.maximum(options, 1)
    patterns = analyze_attention_patterns(
        uniform, item.allowed, cross=item.kind == "cross"
    )
    return patterns["avg_diagonal_strength"]


def _layer_lines(layer: LayerReport, heads: bool) -> list[Text]:
    patterns, words = layer.patterns, layer.interpretation
    kind = layer.kind.replace("_", " ")
    causal = ", causal" if layer.causal else ""
    lines = [
        Text(f"  {layer.name}: {layer.shape} ({kind}{causal})", style="bold cyan"),
        Text(f"    - Num heads: {patterns['num_heads']}"),
    ]
    if (layer.queries, layer.keys) != layer.shape[2:]:
        lines.append(
            Text(f"    - Without padding: {layer.queries} queries, {layer.keys} keys")
        )
    if layer.rows != SHARES:
        lines += _promise_lines(layer)
    if layer.rows not in NONNEGATIVE:
        return lines
    normalized = patterns["avg_normalized_entropy"]
    share = "" if normalized is None else f" ({normalized:.3f} of uniform)"
    entropy = _number(patterns["avg_entropy"])
    diagonal = _number(patterns["avg_diagonal_strength"])
    if patterns["diagonal_attention_strength"] is None:
        diagonal = NO_DIAGONAL["cross" if layer.kind == "cross" else "other"]
    elif layer.uniform_diagonal is not None:
        diagonal += f" (uniform attention: {layer.uniform_diagonal:.3f})"
    rows = [
        (f"Avg entropy: {entropy} nats{share}", "entropy"),
        (
            f"Avg max attention: {_number(patterns['avg_max_attention'])}",
            "max_attention",
        ),
        (f"Diagonal strength: {diagonal}", "diagonal"),
    ]
    for text, key in rows:
        word = f": {words[key]}" if key in words else ""
        lines.append(Text(f"    - {text}{word}"))
    return lines + (_head_lines(layer) if heads else _by_head(layer))


def _promise_lines(layer: LayerReport) -> list[Text]:
    """What rows promise that do not sum to 1, and what that means for the numbers."""
    found = layer.patterns["attention_distribution"]
    lows = [one["min"] for one in found if one["min"] is not None]
    highs = [one["max"] for one in found if one["max"] is not None]
    ends = f" from {min(lows):.3f} to {max(highs):.3f}" if lows and highs else ""
    shares = (
        "below, each row is divided by its sum"
        if layer.rows in NONNEGATIVE
        else "entropy, max attention and diagonal strength are not defined"
    )
    missing = what_is_missing(layer.heads)
    promise = "; ".join(filter(None, [PROMISES[layer.rows], missing, shares]))
    return [
        Text(f"    - Rows are {layer.rows}: {promise}"),
        Text(f"    - Weights:{ends}" if ends else "    - Weights: none"),
    ]


def _head_lines(layer: LayerReport) -> list[Text]:
    patterns = layer.patterns
    diagonal = patterns["diagonal_attention_strength"]
    lines = []
    for at, number in enumerate(layer.head_indices):
        text = (
            f"      Head {number}: entropy {_number(patterns['attention_entropy'][at])}"
            f", max {_number(patterns['max_attention_per_head'][at])}"
        )
        if diagonal is not None:
            text += f", diagonal {_number(diagonal[at])}"
        lines.append(Text(text))
    return lines


def _by_head(layer: LayerReport) -> list[Text]:
    """Entropy and greatest weight of every head, a line each."""
    found = layer.patterns
    rows = {
        "Entropy": found["attention_entropy"],
        "Max": found["max_attention_per_head"],
    }
    return [
        Text(f"    - {name} by head: {' '.join(map(_short, values))}")
        for name, values in rows.items()
        if len(values) > 1
    ]


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
