"""Static pictures: nothing cut off, nothing overlapping, nothing hidden or invented."""

from __future__ import annotations

import gc
import logging
import weakref
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from neural_attn.figures import fonts
from neural_attn.figures.colorbar import BAR
from neural_attn.figures.heatmap import (
    plot_attention_summary,
    plot_heads,
    plot_heatmap,
    plot_panels,
    save_figure,
)
from neural_attn.figures.palette import MOST_GROWN, SIZE_LABEL, SIZE_TITLE
from neural_attn.figures.pictures import write_pictures
from neural_attn.figures.token_labels import differing, readable, shortened
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, SelectionError
from tests.work import counted

HOSTILE = [
    "$x^2$",
    "a_b",
    "\\frac{1}{2}",
    "\n",
    "\t",
    "\x1b[31m",
    "",
    "   ",
    "x" * 10_000,
    "<b>&amp;</b>",
    "</script>",
    "שלום",
    "مرحبا",
    "\u202eevil",
    "\ud800",
    "안녕",
    "机器翻译",
]
WORDS = ["The", "cat", "sat", "on", "the", "mat"]


def softmax(*shape, mask=None):
    logits = np.random.default_rng(0).normal(size=shape) * 2
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    exponential = np.exp(logits - logits.max(-1, keepdims=True))
    return (exponential / exponential.sum(-1, keepdims=True)).astype(np.float32)


def panels(figure: Figure):
    """The axes with a matrix."""
    return [axes for axes in figure.axes if axes.images and axes.get_label() != BAR]


def image_of(axes):
    (image,) = axes.images
    return np.ma.filled(np.ma.asarray(image.get_array()).astype(float), np.nan)


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def all_texts(figure: Figure):
    """Every text that is drawn."""
    drawn = list(figure.texts)
    for axes in figure.axes:
        low, high = sorted(axes.get_ylim())
        drawn += [*axes.texts, *axes.get_xticklabels()]
        # A colour bar also has ticks beyond its ends, which are not drawn.
        drawn += [
            t for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high
        ]
        drawn += [axes.xaxis.label, axes.yaxis.label]
    return [text for text in drawn if text.get_text() and text.get_visible()]


# --- tokens as text ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("cat", "cat"),
        (" cat", "␣cat"),
        ("", "∅"),
        ("\n\t", "⏎⇥"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("$x$<b>", "$x$<b>"),
        ("x" * 11 + "y" * 10_000 + "z" * 12, "x" * 11 + "…" + "z" * 12),
        ("안녕", "안녕"),
    ],
)
def test_tokens_are_shown_literally(token, expected):
    assert readable(token) == expected


# --- layout -----------------------------------------------------------------------


def test_a_text_that_is_cut_keeps_its_codes_and_spaces():
    assert shortened("\\U0001f468" * 3, 24) == r"\U0001f468…\U0001f468"
    assert shortened("layer 0, head 1", 10) == "layer…ad 1"


def boxes(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts if text.get_text()]


def assert_legible(figure: Figure) -> None:
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    for text in all_texts(figure):
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
        assert text.get_size() >= 6
    for axes in panels(figure):
        across = boxes(axes.get_xticklabels(), renderer)
        along = boxes(axes.get_yticklabels(), renderer)
        for before, after in pairwise(across):
            assert before.x1 <= after.x0 + 1
        for above, below in pairwise(along):
            assert above.y0 >= below.y1 - 1


@pytest.mark.parametrize(
    ("queries", "keys"),
    [(1, 1), (6, 6), (7, 12), (50, 50), (1, 40), (40, 1), (128, 128), (512, 512)],
)
def test_labels_are_whole_and_apart_at_every_size(queries, keys):
    words = [WORDS[i % 6] * (1 + i % 3) for i in range(512)]
    single = plot_heatmap(
        softmax(queries, keys),
        words[:queries],
        words[:keys],
        "a_layer.self: " + "x " * 9,
    )
    assert_legible(single)
    grid = plot_heads(softmax(5, queries, keys), words[:queries], words[:keys])
    assert_legible(grid)
    for axes in panels(single):
        assert axes.get_xticklabels()
        assert axes.get_yticklabels()


def test_hostile_tokens_are_drawn_literally_and_whole():
    figure = plot_heatmap(softmax(17, 17), HOSTILE, HOSTILE, "$title_$ <b>")
    assert_legible(figure)
    (axes,) = panels(figure)
    drawn = [label.get_text() for label in axes.get_yticklabels()]
    assert drawn[:3] == HOSTILE[:3]
    assert len(drawn) == len(HOSTILE)
    assert "$title_$ <b>" in texts_of(figure)
    for text in all_texts(figure):
        assert not text.get_parse_math() or "$" not in text.get_text()


def test_axes_say_which_way_attention_goes():
    figure = plot_heatmap(softmax(2, 3), ["q0", "q1"], ["k0", "k1", "k2"])
    assert {"Key (attended to)", "Query (attends from)"} <= set(texts_of(figure))
    (axes,) = panels(figure)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["k0", "k1", "k2"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["q0", "q1"]
    assert axes.yaxis.get_inverted()  # the first query is at the top


# --- what is shown ----------------------------------------------------------------


def test_the_matrix_shown_is_the_matrix_given():
    weights = softmax(6, 6)
    (axes,) = panels(plot_heatmap(weights, WORDS, WORDS))
    assert np.array_equal(image_of(axes).astype(np.float32), weights)
    assert axes.images[0].get_clim() == (0, pytest.approx(weights.max()))


def test_masked_cells_are_empty_and_explained_but_zero_is_not():
    mask = np.tri(4, dtype=bool)
    weights = softmax(4, 4, mask=mask)
    weights[3, 0] = 0
    figure = plot_heatmap(weights, mask=mask)
    shown = image_of(panels(figure)[0])
    assert np.array_equal(np.isnan(shown), ~mask)
    assert shown[3, 0] == 0
    assert any("masked" in text for text in texts_of(figure))
    assert not any("masked" in text for text in texts_of(plot_heatmap(softmax(4, 4))))


def test_a_weight_on_a_masked_cell_is_not_hidden():
    weights = np.full((2, 2), 0.5, np.float32)
    figure = plot_heatmap(weights, mask=np.eye(2, dtype=bool))
    assert not np.isnan(image_of(panels(figure)[0])).any()
    assert not any("masked" in text for text in texts_of(figure))


def test_heads_share_one_scale_and_keep_their_numbers():
    weights = softmax(3, 6, 6) * np.array([1, 0.5, 0.1])[:, None, None]
    figure = plot_heads(weights, WORDS, WORDS, head_indices=(0, 3, 7))
    for axes in panels(figure):
        assert axes.images[0].get_clim() == (0, pytest.approx(weights.max()))
    assert {"Head 0", "Head 3", "Head 7"} <= set(texts_of(figure))


@pytest.mark.parametrize(("trained", "said"), [(False, 1), (True, 0), (None, 0)])
def test_random_weights_are_said_in_the_picture(trained, said):
    for figure in (
        plot_heatmap(softmax(3, 3), trained=trained),
        plot_heads(softmax(2, 3, 3), trained=trained),
    ):
        told = [text for text in texts_of(figure) if text.startswith("untrained")]
        assert len(told) == said


def test_long_panel_titles_are_shortened_to_their_panel():
    names = [f"transformer_decoder_{i}.self_attention_of_something" for i in range(2)]
    figure = plot_panels(softmax(2, 4, 4), names)
    titles = [text for text in figure.texts if "…" in text.get_text()]
    assert len(titles) == 2
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for title, axes in zip(titles, panels(figure), strict=True):
        box = axes.get_window_extent(renderer)
        assert title.get_window_extent(renderer).width <= box.width + 1


def test_lines_are_drawn_between_cells_that_are_not_lost_beside_them():
    for count, lined in ((12, True), (40, False)):
        axes = panels(plot_heads(softmax(4, count, count)))[0]
        assert bool(axes.collections) is lined


def test_type_grows_with_a_figure_that_is_looked_at_from_afar():
    figure = plot_heads(softmax(12, 60, 60), title="wide " * 60)
    assert_legible(figure)
    (size,) = {text.get_size() for text in figure.texts if "wide" in text.get_text()}
    assert size == SIZE_TITLE * MOST_GROWN
    bar = next(axes for axes in figure.axes if axes.get_label() == BAR)
    assert bar.get_yticklabels()[0].get_size() == SIZE_LABEL * MOST_GROWN


def test_long_names_of_layers_are_told_apart_where_they_differ():
    names = [f"model.decoder.layers.{n}.encoder_attn.wrapped.inner" for n in range(3)]
    told = ["…layers.0…", "…layers.1…", "…layers.2…"]
    assert differing(names) == told
    assert set(told) <= set(texts_of(plot_panels(softmax(3, 6, 6), names)))
    assert differing(["a.b", "a.c"]) == ["a.b", "a.c"]
    assert differing(["a", "a.b"]) == ["a", "a.b"]


@pytest.mark.parametrize("size", [(4.4, 2.6), (5, 3.2), (5, 4)])
def test_the_name_of_rows_keeps_clear_of_the_title_in_a_low_figure(size):
    weights = softmax(2, 9, 9, mask=np.tri(9, dtype=bool))
    figure = plot_heads(
        weights, mask=np.tri(9, dtype=bool), figsize=size,
        query_title="Query: token fed→token predicted",
    )  # fmt: skip
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    (upright,) = (text for text in figure.texts if text.get_rotation() == 90)
    box = upright.get_window_extent(renderer)
    assert box.y0 >= 0
    for text in figure.texts:
        if text is not upright:
            assert not box.overlaps(text.get_window_extent(renderer)), text


def test_a_long_name_in_the_title_is_shortened_to_the_figure():
    name = "a_decoder.with_a_long_name." * 6
    for size in (2, 12):
        figure = plot_heatmap(softmax(size, size), title=f"{name}: head 0")
        assert_legible(figure)
        figure.canvas.draw()
        for text in figure.texts:
            box = text.get_window_extent(figure.canvas.get_renderer())
            assert box.x1 <= figure.bbox.width
        assert any("head 0" in text for text in texts_of(figure))


def test_a_lone_strong_link_survives_being_drawn_small():
    weights = np.zeros((4, 1000, 1000), np.float32)
    weights[0, 502, 77] = 1  # not the first of any block
    figure = plot_heads(weights)
    assert image_of(panels(figure)[0]).max() == 1
    assert any("each dot shows the greatest" in text for text in texts_of(figure))


def test_attention_of_nothing_but_zero_is_drawn():
    (axes,) = panels(plot_heatmap(np.zeros((2, 2))))
    assert axes.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_heatmap(np.ones((1, 2, 2))), r"shape \(1, 2, 2\)"),
        (lambda: plot_heads(np.ones((2, 2))), r"shape \(2, 2\), not \[heads"),
        (lambda: plot_heatmap(np.full((2, 2), np.nan)), "finite"),
        (lambda: plot_heatmap(softmax(2, 2), ["a"]), "1 query tokens.* have 2"),
        (lambda: plot_heatmap(softmax(2, 2), mask=np.ones((2, 2))), "not bool"),
        (lambda: plot_heatmap(softmax(2, 2), mask=np.ones(3, bool)), "broadcast"),
        (lambda: plot_heatmap(softmax(2, 2), cmap="virdis"), "did you mean 'viridis'"),
        (lambda: plot_heads(softmax(1, 2, 2), head_indices=()), "0 panel titles"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("cross_attn", "layer", "title"),
    [
        (softmax(2, 3, 2, 4), -1, "Cross-attention, last layer"),
        (softmax(3, 2, 4), 5, "Cross-attention, layer 5"),
        ([softmax(1, 3, 2, 4)] * 6, -1, "Cross-attention, layer 5"),
        ({"a": softmax(1, 3, 2, 4), "b": softmax(1, 3, 2, 4)}, 0, "attention, layer 0"),
    ],
)
def test_the_summary_shows_the_average_and_every_head(
    tmp_path, cross_attn, layer, title
):
    path = tmp_path / "my_plot.png"
    figure = plot_attention_summary(
        cross_attn, list("abcd"), list("xy"), layer_idx=layer, save_path=path
    )
    assert len(panels(figure)) == 4
    assert any(title in text for text in texts_of(figure))
    shown = [image_of(axes) for axes in panels(figure)]
    assert shown[0] == pytest.approx(np.mean(shown[1:], axis=0), abs=1e-6)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_summary_refuses_a_layer_that_is_not_there():
    with pytest.raises(IndexError, match="no layer 2: there are 1"):
        plot_attention_summary([softmax(1, 2, 2)], ["a", "b"], ["a", "b"], layer_idx=2)


# --- fonts ------------------------------------------------------------------------


def test_korean_and_chinese_have_glyphs_where_a_font_is_installed():
    chosen = fonts.choose_fonts(["안녕", "机器翻译", "the"])
    if chosen.missing:
        pytest.skip(f"no CJK font here: {chosen.hint}")
    assert chosen.families[0] == fonts.BASE_FAMILY
    covered = [fonts._charmap(family) for family in chosen.families]
    for character in "안녕机器翻译":
        assert any(ord(character) in codes for codes in covered)


def test_a_character_without_a_font_is_a_code_and_a_hint(monkeypatch, caplog):
    monkeypatch.setattr(fonts, "_candidates", lambda characters: [])
    monkeypatch.setattr(fonts, "_add_new_fonts", lambda: False)
    fonts._complete.cache_clear()
    fonts._say_once.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "neural_attn"):
            for _ in range(2):
                figure = plot_heatmap(softmax(2, 2), ["안", "b"], ["안", "b"])
        assert_legible(figure)  # and no warning of a missing glyph, which is an error
    finally:
        fonts._complete.cache_clear()
    (axes,) = panels(figure)
    assert axes.get_yticklabels()[0].get_text() == "\\uc548"
    assert any("a character is drawn as codes" in text for text in texts_of(figure))
    (record,) = caplog.records
    assert "fonts-noto-cjk" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    ("character", "package"),
    [("안", "fonts-noto-cjk"), ("🙂", "fonts-symbola"), ("ก", "fonts-noto-core")],
)
def test_the_hint_names_the_font_that_has_the_character(character, package):
    assert fonts.Fonts((), frozenset(character)).packages == package


def test_a_title_is_bold_where_its_fonts_are():
    assert fonts.choose_fonts(["the"]).title_weight == "bold"
    assert fonts.Fonts(("STIXGeneral", "cmr10"), frozenset()).title_weight == "normal"


def test_a_damaged_font_is_passed_over(monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("cannot open resource")

    fonts._charmap.cache_clear()
    monkeypatch.setattr(fonts.font_manager, "get_font", broken)
    try:
        assert fonts._charmap("DejaVu Serif") == frozenset()
    finally:
        fonts._charmap.cache_clear()


# --- files ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_picture_gives_the_same_bytes(tmp_path, kind):
    mask = np.tri(6, dtype=bool)
    files = [
        save_figure(
            plot_heatmap(softmax(6, 6, mask=mask), WORDS, WORDS, mask=mask),
            tmp_path / f"{number}.{kind}",
        )
        for number in range(2)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_svg_keeps_its_text_and_escapes_it(tmp_path):
    path = save_figure(
        plot_heatmap(softmax(17, 17), HOSTILE, HOSTILE, "</script><b>"),
        tmp_path / "a.svg",
    )
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    text = {"".join(element.itertext()).strip() for element in root.iter()}
    assert {"$x^2$", "<b>&amp;</b>", "</script>", "\\x1b[31m"} <= text
    assert not [e for e in root.iter() if e.tag.endswith(("script", "}b"))]
    assert "dc:date" not in path.read_text(encoding="utf-8")


def test_dpi_sets_the_size_of_a_png(tmp_path):
    figure = plot_heatmap(softmax(3, 3))
    sizes = [
        save_figure(figure, tmp_path / f"{dpi}.png", dpi=dpi).read_bytes()[16:20]
        for dpi in (100, 200)
    ]
    small, large = (int.from_bytes(size, "big") for size in sizes)
    assert large == pytest.approx(2 * small, abs=2)


@pytest.mark.parametrize("name", ["a.bmp", "a"])
def test_an_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="png, svg, pdf"):
        save_figure(plot_heatmap(softmax(2, 2)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_figures_do_not_pile_up():
    figure = weakref.ref(plot_heads(softmax(2, 3, 3)))
    gc.collect()
    assert figure() is None


@pytest.mark.thorough
def test_more_tokens_are_hardly_more_work(tmp_path):
    def picture(tokens):
        save_figure(plot_heads(softmax(12, tokens, tokens)), tmp_path / "a.png")

    picture(16)  # fonts are loaded once
    (_, few), (_, many) = counted(picture, 16), counted(picture, 128)
    assert many < 2 * few  # 64 times the cells, and more labels
    assert many < 2_000_000


# --- all files of a run -----------------------------------------------------------


def encoder(**options):
    maps = [
        AttentionMap(f"transformer_encoder_{i}", softmax(2, 3, 6, 6), **options)
        for i in range(2)
    ]
    return AttentionMaps(maps, trained=False)


def translator():
    def layer(name, kind, queries, keys):
        return AttentionMap(name, softmax(1, 2, queries, keys), kind)

    return AttentionMaps(
        [
            layer("transformer_encoder_0", "encoder_self", 5, 5),
            *(
                layer(f"transformer_decoder_{i}.{part}", kind, 3, keys)
                for i in range(2)
                for part, kind, keys in (
                    ("self_attention", "decoder_self", 3),
                    ("cross_attention", "cross", 5),
                )
            ),
        ]
    )


def test_an_encoder_gets_the_documented_files(tmp_path):
    written = write_pictures(encoder(), tmp_path / "out")
    assert list(written) == [
        "attention_heatmap.png",
        "attention_heads_transformer_encoder_0.png",
        "attention_heads_transformer_encoder_1.png",
        "attention_interactive.html",
    ]
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(written)
    assert all(path.stat().st_size > 1000 for path in written.values())


def test_an_encoder_decoder_gets_files_by_decoder_layer(tmp_path):
    written = set(write_pictures(translator(), tmp_path, layer="transformer_decoder_1"))
    assert written == {
        "attention_heatmap.png",
        "self_attention_layer1.png",
        "attention_heads_transformer_decoder_1.self_attention.png",
        "cross_attention_layer1.png",
        "cross_attention_multihead_layer1.png",
        "attention_interactive.html",
    }


def test_every_format_asked_for_is_written(tmp_path):
    written = write_pictures(
        encoder(), tmp_path, layer=0, head=1, formats=("svg", "pdf")
    )
    assert list(written)[:2] == ["attention_heatmap.svg", "attention_heatmap.pdf"]
    svg = written["attention_heatmap.svg"].read_text(encoding="utf-8")
    assert "transformer_encoder_0: head 1" in svg
    assert "untrained (random) weights" in svg


def test_padding_is_left_out_of_pictures(tmp_path):
    tokens = [["a", "b", "c", "PAD", "PAD", "PAD"]] * 2
    visible = np.array([1, 1, 1, 0, 0, 0], bool)
    maps = encoder(mask=visible, query_tokens=tokens, key_tokens=tokens)
    written = write_pictures(maps, tmp_path, batch_index=1, formats=("svg",))
    for path in written.values():
        if path.suffix == ".svg":
            assert "PAD" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["CON", "x" * 300, "..x", 'a:b*?"<>|', "주의 0"])
def test_no_name_leaves_the_folder(tmp_path, name):
    maps = AttentionMaps.from_arrays(
        {name: softmax(1, 2, 2), f"{name}.": softmax(1, 2, 2)}
    )
    written = write_pictures(maps, tmp_path / "in" / "out")
    assert len(written) == 4
    for path in written.values():
        assert path.resolve().parent == tmp_path / "in" / "out"
        assert not path.name.upper().startswith("CON.")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layer": 9}, SelectionError),
        ({"head": 9}, SelectionError),
        ({"batch_index": 2}, SelectionError),
        ({"formats": ("bmp",)}, ValueError),
        ({"cmap": "nope"}, ValueError),
    ],
)
def test_a_wrong_choice_writes_nothing(tmp_path: Path, options, error):
    with pytest.raises(error):
        write_pictures(encoder(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_maps_is_said(tmp_path):
    with pytest.raises(SelectionError, match="no attention maps"):
        write_pictures(AttentionMaps([]), tmp_path)
