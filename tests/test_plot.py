"""`plot` draws what the number of maps and heads asks for, as the maps hold it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from neural_attn import AttentionMaps, plot
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.selection import select_some

TOKENS = ["a", "b", "c"]


def maps_of(*shapes, **options):
    draw = np.random.default_rng(0)
    arrays = {f"layer_{i}": draw.random(shape) for i, shape in enumerate(shapes)}
    shares = {name: w / w.sum(-1, keepdims=True) for name, w in arrays.items()}
    return AttentionMaps.from_arrays(shares, TOKENS, **options)


MAPS = maps_of((2, 4, 3, 3), (2, 4, 3, 3))


def texts(figure):
    return " ".join(
        text.get_text() for text in figure.findobj(lambda o: hasattr(o, "get_text"))
    )


def test_one_head_is_its_matrix():
    figure = plot(MAPS, layers=1, heads=2, example=1)
    matrix, *_ = (axes for axes in figure.axes if axes.get_images())
    drawn = np.asarray(matrix.get_images()[0].get_array())
    np.testing.assert_allclose(drawn, MAPS["layer_1"][1, 2], rtol=1e-6)
    assert "layer_1: head 2" in texts(figure)


@pytest.mark.parametrize(
    ("chosen", "title"),
    [
        ({"layers": 0}, "layer_0: 4 heads"),
        ({"layers": 0, "mean": True}, "layer_0: average over 4 heads"),
        ({"heads": 3}, "2 layers: head 3"),
        ({"mean": True}, "2 layers: average over 4 heads"),
        ({"heads": [0, 1], "mean": True}, "2 layers: average over 2 heads"),
        ({}, "Every head"),
    ],
    ids=str,
)
def test_the_title_says_what_is_drawn(chosen, title):
    figure = plot(MAPS, **chosen)
    assert isinstance(figure, Figure)
    assert title in texts(figure)


def test_heads_and_layers_of_a_part_are_told_by_their_numbers():
    part = select_some(MAPS, layers=1, heads=[1, 3])
    assert "layer_1: head 3" in texts(plot(part, layers=1, heads=3))
    with pytest.raises(NeuralError, match="layer_1 has no head 0: it has heads 1, 3"):
        plot(part, heads=0)
    with pytest.raises(NeuralError, match="no attention layer 0: there is layer_1"):
        plot(part, layers=0)


def test_a_notebook_shows_it():
    assert plot(MAPS, layers=0)._repr_png_().startswith(b"\x89PNG")
    assert plot(MAPS)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.requires_torch
def test_a_model_is_run_first():
    from torch import nn, randn

    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = randn(1, 3, 8)
    figure = plot(attention, (x, x, x), heads=1, tokens=TOKENS)
    assert "head 1" in texts(figure)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(NeuralError, match="no example 2"):
        plot(MAPS, layers=0, example=2)
    with pytest.raises(NeuralError, match="head"):
        plot(MAPS, heads=4)
    with pytest.raises(NeuralError, match="inputs"):
        plot(MAPS, "a text")
    for none in ("a", None, 1.0, True):
        with pytest.raises(NeuralError, match="not the number of an example"):
            plot(MAPS, layers=0, example=none)
    with pytest.raises(ValueError, match="colour"):
        plot(MAPS, cmap="nothing")
    draw = np.full((1, 2, 3, 3), 1 / 3)
    apart = AttentionMaps.from_arrays({"a": draw, "b": draw[:, :, :, :2] * 1.5})
    with pytest.raises(NeuralError, match="a, b are over other tokens"):
        plot(apart, mean=True)


def test_arrays_say_what_their_axes_are_or_are_asked():
    draw = np.full((2, 3, 3), 1 / 3)
    assert "2 heads" in texts(plot(draw[None]))
    with pytest.raises(NeuralError, match="axes="):
        plot(draw)
    assert "2 heads" in texts(plot(draw, axes="hqk"))
    assert "2 heads" not in texts(plot(draw, axes="bqk"))
