"""Labels of cells: whole, apart, decoded; none is left out without a word."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from neural_attn.figures.colorbar import BAR
from neural_attn.figures.fonts import choose_fonts, numbered, text_width
from neural_attn.figures.heatmap import plot_heads, plot_heatmap
from neural_attn.figures.layout import MOST_LABELLED
from neural_attn.figures.reading import labels

SCRIPTS = {
    "latin": "the quick Ågypt fjord jumps over a lazy dog's unbelievably long tail",
    "korean": "나는 어제 고양이 한 마리를 보았습니다 정말 귀여웠어요",
    "chinese": "我 喜欢 机器 翻译 因为 它 很 有趣 注意力 机制",
    "arabic": "القطة جلست على السجادة لأنها كانت متعبة جدا",
    "emoji": "😀 cat 🎉 👍 dog ❤ the 🚀",
    "byte-level": "ĠThe Ġcaf Ã© Ġna Ã¯ ve ĠìķĪëħķ Ċ Ġmat",
}
BELOW_60 = (10, 26, 60)


def tokens_of(script: str, count: int) -> list[str]:
    words = SCRIPTS[script].split()
    return [words[index % len(words)] for index in range(count)]


def draw(script, count, heads, **how):
    weights = np.full((heads, count, count), 1 / count, np.float32)
    tokens = tokens_of(script, count)
    if heads == 1:
        return plot_heatmap(weights[0], tokens, tokens, **how)
    return plot_heads(weights, tokens, tokens, **how)


def assert_labels(figure, count: int) -> None:
    """By their drawn boxes: none cut, none on another, and those left out are told."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    told = " ".join(text.get_text() for text in figure.texts)
    panels = [axes for axes in figure.axes if axes.get_label() != BAR]
    for axis in ("x", "y"):
        drawn = [getattr(axes, f"get_{axis}ticklabels")() for axes in panels]
        for some in filter(None, drawn):
            boxes = [one.get_window_extent(renderer) for one in some]
            for box in boxes:
                assert min(box.x0, box.y0) >= -0.5
                assert box.x1 <= width + 0.5
                assert box.y1 <= height + 0.5
            for one, two in pairwise(boxes):
                apart = two.x0 - one.x1 if axis == "x" else one.y0 - two.y1
                assert apart >= -0.5
            assert all(one.get_size() >= 6 for one in some)
            side = {"x": "key", "y": "query"}[axis]
            said = re.search(rf"(\d+) of {count} {side} labels", told)
            left_out = int(said[1]) if said else 0
            assert len(some) + left_out == count
            assert count > MOST_LABELLED or not left_out
    texts = [text for text in figure.texts if text.get_text()]
    for text in texts:
        box = text.get_window_extent(renderer)
        assert box.x1 <= width + 1
        assert box.y1 <= height + 1


# The case that failed: with 26 tokens a grid of heads labelled every second one.
@pytest.mark.thorough("byte", "arabic")
@pytest.mark.parametrize(
    ("script", "count", "heads"),
    [("latin", 26, 12), ("korean", 60, 1), ("byte-level", 60, 4), ("arabic", 128, 2)],
)
def test_every_token_has_its_label_up_to_60_and_the_rest_is_told(script, count, heads):
    assert_labels(draw(script, count, heads), count)


@pytest.mark.thorough
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("heads", [1, 2, 5, 16])
@pytest.mark.parametrize("count", [*BELOW_60, 128, 512])
def test_labels_of_every_script_size_and_number_of_heads(script, count, heads):
    assert_labels(draw(script, count, heads), count)


def test_a_mark_that_is_hardly_seen_is_quoted():
    tokens = ["It", "'", "s", ".", "。", "!", "?"]
    figure = plot_heatmap(np.full((7, 7), 1 / 7), tokens, tokens)
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert drawn == ["It", "“'”", "s", "“.”", "“。”", "!", "?"]


def test_one_wide_label_among_narrow_ones_does_not_turn_them_all():
    tokens = [*"alphabet", "</s>"]
    figure = plot_heads(np.full((2, 9, 9), 1 / 9), tokens, tokens)
    assert_labels(figure, 9)
    assert {text.get_rotation() for text in figure.axes[0].get_xticklabels()} == {0}
    wide = [*"alphabe", "unbelievable", "t"]
    turned = plot_heads(np.full((2, 9, 9), 1 / 9), wide, wide).axes[0]
    assert {text.get_rotation() for text in turned.get_xticklabels()} == {90}


@pytest.mark.parametrize("size", [(4, 4), (6, 3)])
def test_a_size_that_was_asked_for_leaves_labels_out_aloud(size):
    figure = draw("latin", 60, 1, figsize=size)
    assert any("labels" in text.get_text() for text in figure.texts)


def test_where_labels_are_left_out_the_others_are_numbered():
    figure = draw("emoji", 512, 1)
    assert any("begin with their number" in text.get_text() for text in figure.texts)
    drawn = figure.axes[0].get_yticklabels()
    places = [int(place) for place in figure.axes[0].get_yticks()]
    assert len(places) > 1
    for place, label in zip(places, drawn, strict=True):
        assert label.get_text().startswith(f"{place}: ")
    numbers = plot_heatmap(np.full((128, 128), 1 / 128)).axes[0].get_yticklabels()
    assert all(label.get_text().isdigit() for label in numbers)  # not twice


def test_a_number_stands_before_a_label_that_runs_from_the_right(monkeypatch):
    mark = "\u200e"  # without it the first letter would turn the number, too
    assert numbered(40, "ة") == f"{mark}40: ة"
    assert numbered(40, "cat") == "40: cat"
    fonts = choose_fonts(["40: ة"])
    widths = [text_width(f"{m}40: ة", 10, fonts.families) for m in ("", mark)]
    assert widths[0] == pytest.approx(widths[1], abs=0.5)
    monkeypatch.setattr("matplotlib.__version_info__", (3, 10, 9, "final", 0))
    assert numbered(40, "ة") == "40: ة"


def test_a_matplotlib_that_writes_backwards_says_so(monkeypatch):
    monkeypatch.setattr("matplotlib.__version_info__", (3, 10, 9, "final", 0))
    even = np.full((1, 1), 1.0)
    arabic = plot_heatmap(even, ["على"], ["cat"])
    assert any("right-to-left" in text.get_text() for text in arabic.texts)
    latin = plot_heatmap(even, ["cat"], ["cat"])
    assert not any("right-to-left" in text.get_text() for text in latin.texts)


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        (["Ġhello", "Ã©"], ["hello", "·é"]),
        # without a mark of a space; beside what was added as it reads
        (["Ã©", "t", "Ã©"], ["é", "·t", "·é"]),
        (["Ġhello", "안녕", "Ã©"], ["hello", "·안녕", "·é"]),
        # parts of one character, beside a space that is a token
        (["Ġ", "ìķ", "Ī"], ["␣", "안 1/2", "안 2/2"]),
        (["Ġa", "\ud800"], ["a", "\\ud800"]),
        # and what is no such spelling
        (["Ã", "b"], ["Ã", "b"]),
        (["é", "Ā"], ["é", "Ā"]),
    ],
)
def test_byte_level_tokens_are_drawn_as_they_read(tokens, read):
    count = len(tokens)
    figure = plot_heatmap(np.full((count, count), 1 / count), tokens, tokens)
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert drawn == labels(tokens) == read
