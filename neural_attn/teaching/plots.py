"""Teaching pictures in Python: what a file declares, as Matplotlib figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_attn.figures.choices import ThemeName
from neural_attn.inputs.prepared import Tokens
from neural_attn.inputs.texts import as_texts
from neural_attn.teaching.draw import draw
from neural_attn.teaching.source import Source

__all__ = ["plot_loss", "plot_masks", "plot_positions", "plot_schedule"]

PathLike = str | os.PathLike[str]


def plot_masks(
    source: PathLike,
    inputs: Any = None,
    *,
    layer: str | int | None = None,
    tokens: Tokens | None = None,
    checkpoint: PathLike | None = None,
    network: str | None = None,
    tokenizer: Any = None,
    theme: ThemeName = "light",
) -> Figure:
    """Draw which keys each layer lets each query see, as the network computes it.

    Parameters
    ----------
    source : a .neural file, or the folder of a pretrained model
    inputs : a text, a list of texts, an array, or a mapping of arrays by input name
        None takes a random sample whose last steps are padding, if the network masks
        padding. Of several examples, the one with the most hidden is drawn.
    layer : a name, a prefix of one, or an index, as in `AttentionMaps.select`
    tokens : labels, as `capture` has them
    checkpoint, network, tokenizer, theme : as the options of `neural visualize`

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each mask; layers that have the same share one.

    Raises
    ------
    NeuralError
        If something is wrong with the file or the inputs, or there is no attention.
    """
    texts = as_texts(inputs)
    found = Source(
        source,
        network,
        None if checkpoint is None else Path(checkpoint),
        Path(tokenizer) if isinstance(tokenizer, str) else tokenizer,
        data=inputs if texts is None else None,
        tokens=tokens,
        texts=texts or (),
        layer=layer,
    )
    return draw(found.masks(), theme)


def plot_positions(
    source: PathLike,
    length: int | None = None,
    *,
    checkpoint: PathLike | None = None,
    network: str | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Draw how the layers of a network encode positions.

    Sinusoidal and learned encodings as they are added, rotary angles, and biases by
    distance (ALiBi, T5), all measured on the outputs of the layers.

    Parameters
    ----------
    source : a .neural file, or the folder of a pretrained model
    length : how many positions; None: 100, or as many as the network takes
    checkpoint, network, theme : as the options of `neural visualize`
        Learned encodings without weights are random, and the picture says so.

    Raises
    ------
    NeuralError
        If no layer encodes positions (E0481), or the file has problems.
    """
    weights = None if checkpoint is None else Path(checkpoint)
    return draw(Source(source, network, weights).positions(length), theme)


def plot_schedule(
    source: PathLike,
    steps: int | None = None,
    *,
    network: str | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Draw the learning rate of each training step, as the optimizer gets it.

    A file with several networks gives a curve for each, unless `network` names one.
    `steps` is how many steps are drawn; None shows the whole schedule. `theme` is
    "light" or "dark".

    Raises
    ------
    NeuralError
        If a network declares no schedule (E0481), or the file has problems.
    """
    return draw(Source(source, network).schedule(steps), theme)


def plot_loss(
    source: PathLike, *, network: str | None = None, theme: ThemeName = "light"
) -> Figure:
    """Draw what the loss of a network asks for, and what an error costs.

    For cross-entropy: the target distribution, smoothed as the file says, and the loss
    over the probability of the correct class. `theme` is "light" or "dark".

    Raises
    ------
    NeuralError
        If the network declares no loss (E0481), or the file has problems.
    """
    return draw(Source(source, network).loss(), theme)
