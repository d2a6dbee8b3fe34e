"""Texts that go round in circles: the same tokens again and again, in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neural_attn.maps.attention_maps import AttentionItem
from neural_attn.metrics.geometry import is_special

__all__ = ["FEWEST_TOKENS", "TIMES", "Loop", "find_loops", "is_read_back"]

TIMES = 3  # so often the same tokens stand one after another
FEWEST_TOKENS = 6  # in all
LONGEST = 16  # tokens that come again together, at most


@dataclass(frozen=True)
class Loop:
    """In `text`, `period` tokens from `start` on stand there `times` times."""

    text: int
    map: str
    start: int
    period: int
    times: int
    tokens: tuple[str, ...]


def find_loops(items: Sequence[AttentionItem], text: int) -> Iterator[Loop]:
    """The longest loop of what a decoder reads: its own text, or one that is causal."""
    for item in items:
        if is_read_back(item):
            found = longest_loop(item.query_tokens)
            if found is not None:
                start, period, times = found
                tokens = item.query_tokens[start : start + period]
                yield Loop(text, item.name, start, period, times, tokens)


def is_read_back(item: AttentionItem) -> bool:
    """Whether a decoder reads there what it wrote, or a text that it continues."""
    return item.kind != "cross" and (item.causal or item.kind == "decoder_self")


def longest_loop(tokens: Sequence[str]) -> tuple[int, int, int] | None:
    """Start, period and number of repeats of what covers most tokens; None: no loop."""
    best: tuple[int, int, int] | None = None
    for period in range(1, min(LONGEST, len(tokens) // TIMES) + 1):
        start = 0
        for at in range(period, len(tokens) + 1):
            same = at < len(tokens) and tokens[at] == tokens[at - period]
            if same and not is_special(tokens[at]):
                continue
            times = (at - start) // period
            covered = times * period
            if times >= TIMES and covered >= FEWEST_TOKENS:
                if best is None or covered > best[1] * best[2]:
                    best = (start, period, times)
            start = at - period + 1
    return best
