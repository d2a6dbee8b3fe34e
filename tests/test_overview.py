"""The sheet of all heads shows every weight in its place, and text as text."""

import io
from dataclasses import replace

import numpy as np
import pytest

from neural_attn.figures import palette
from neural_attn.figures.heatmap import save_figure
from neural_attn.figures.overview import draw_overview
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, SelectionError
from neural_attn.selection import select_some


def previous_token_maps(layers=2, heads=3, length=20, **options):
    weights = np.eye(length, k=-1) + 0.0
    weights[0, 0] = 1
    array = np.broadcast_to(weights, (heads, length, length)).copy()
    return AttentionMaps.from_arrays(
        {f"encoder_{layer}": array for layer in range(layers)}, **options
    )


def texts(figure):
    axes = [text.get_text() for ax in figure.axes for text in ax.get_xticklabels()]
    axes += [text.get_text() for ax in figure.axes for text in ax.get_yticklabels()]
    return axes + [text.get_text() for text in figure.texts]


def test_heads_have_their_numbers_and_stand_below_one_another():
    of_all = previous_token_maps(2, 8)
    some = select_some(of_all, layers=None, heads=[1, 7])
    assert texts(draw_overview(some))[:2] == ["head 1", "7"]
    unlike = replace(
        some, maps=[some.maps[0], select_some(of_all, layers=1, heads=3).maps[0]]
    )
    figure = draw_overview(unlike)
    assert texts(figure)[:3] == ["head 1", "3", "7"]
    image = figure.axes[0].images[0].get_array()
    ground = image[0, len(image[0]) // 2]  # the upper row has no head 3
    assert (image[: len(image) // 3, len(image[0]) // 2] == ground).all()


def test_weights_stand_where_they_should():
    maps = previous_token_maps(1, 1, causal=False)
    image = draw_overview(maps).axes[0].images[0].get_array()
    colors = (palette.colormap()(np.arange(256)) * 255).round().astype(np.uint8)
    dots = len(image)
    for query in range(20):
        for key in range(20):
            at = image[int((query + 0.5) * dots / 20), int((key + 0.5) * dots / 20)]
            weight = maps["encoder_0"][0, 0, query, key]
            assert (at == colors[255 if weight else 0]).all()


def test_layers_and_heads_are_named():
    found = texts(draw_overview(previous_token_maps()))
    assert {"encoder_0", "encoder_1", "head 0", "1", "2", "Every head"} <= set(found)


def test_a_single_strong_weight_survives_reduction():
    weights = np.full((1, 1, 600, 600), 1e-6, np.float32)
    weights[0, 0, 301, 77] = 1.0
    figure = draw_overview(AttentionMaps([AttentionMap("a", weights, "encoder_self")]))
    image = figure.axes[0].images[0].get_array()
    colors = (palette.colormap()(np.arange(256)) * 255).round().astype(np.uint8)
    assert (image == colors[255]).all(axis=-1).any()
    assert any("greatest of a block" in text for text in texts(figure))


def test_masked_cells_are_grey_and_random_weights_are_said():
    weights = np.tri(6) / np.arange(1, 7)[:, np.newaxis]
    one = AttentionMap("a", weights[np.newaxis, np.newaxis], "decoder_self", None, True)
    figure = draw_overview(AttentionMaps([one], trained=False))
    image = figure.axes[0].images[0].get_array()
    masked = [int(palette.LIGHT.masked[at : at + 2], 16) for at in (1, 3, 5)]
    assert image[0, -1].tolist() == [*masked, 255]
    found = texts(figure)
    assert "grey: masked" in " ".join(found)
    assert any("untrained" in text for text in found)


def test_heads_may_differ_in_number_and_size():
    maps = AttentionMaps.from_arrays(
        {"a": np.ones((1, 4, 4)) / 4, "cross": np.ones((3, 2, 7)) / 7}
    )
    image = draw_overview(maps).axes[0].images[0].get_array()
    assert image.shape[1] > image.shape[0]


def test_svg_keeps_its_text_as_text(tmp_path):
    path = save_figure(draw_overview(previous_token_maps()), tmp_path / "grid.svg")
    text = path.read_text("utf-8")
    assert ">encoder_0</text>" in text
    assert ">Every head</text>" in text


def test_names_are_not_markup():
    weights = np.ones((1, 3, 3)) / 3
    maps = AttentionMaps.from_arrays({"$x^2$ <b>": weights})
    figure = draw_overview(maps, title="$\\frac$")
    figure.savefig(io.BytesIO(), format="png")
    assert any("$x^2$" in text for text in texts(figure))


def test_nothing_to_draw():
    with pytest.raises(SelectionError, match="no attention maps"):
        draw_overview(AttentionMaps([]))
