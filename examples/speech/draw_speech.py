"""Draws two kinds of cross-attention heads on one sentence: tokens by seconds of sound.

    python examples/speech/draw_speech.py

It needs what `neural import` and make_links.py wrote, as README.md has it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from neural_attn.figures.heatmap import save_figure
from neural_attn.figures.palette import LIGHT, chart_style
from neural_attn.inputs.tokenizer import Tokenizer
from neural_attn.pipeline import Request, capture

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "speech"
STEPS = 50  # a second
# layer of the decoder, head, how far the row of a token stands before it
HEADS = (
    (1, 5, 1, "the row that predicts the token"),
    (1, 2, 0, "the row of the token"),
)


def draw(
    axes: Axes, weights: Any, tokens: list[str], given: dict[str, Any]
) -> AxesImage:
    """One head, weights [tokens, steps]; a frame round the steps of each word."""
    count, steps = weights.shape
    extent = (0, steps / STEPS, count - 0.5, -0.5)
    image = axes.imshow(
        weights, aspect="auto", extent=extent, vmin=0, interpolation="nearest"
    )
    for at, keys in given["links"]:
        corner = (keys[0] / STEPS, at - given["links"][0][0] - 0.5)
        width = (keys[-1] - keys[0]) / STEPS
        frame = Rectangle(corner, width, 1, fill=False, ec="#e4572e", lw=1.5)
        frame.set_clip_on(False)
        axes.add_patch(frame)
    axes.set_yticks(range(count), tokens)
    axes.set_xlabel("seconds")
    return image


def main() -> None:
    """Run the network on one example, and draw its heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=BUILD)
    parser.add_argument("--line", type=int, default=1)
    parser.add_argument("-o", "--picture", type=Path, default=Path("speech.png"))
    args = parser.parse_args()
    at = args.line - 1
    given = json.loads((args.folder / "links.jsonl").read_text("utf-8").split("\n")[at])
    with np.load(args.folder / "speech.npz") as arrays:
        data = {name: arrays[name][at : at + 1] for name in arrays}
    network = args.folder / "whisper.neural"
    checkpoint = network.with_suffix(".safetensors")
    maps = capture(Request(network, checkpoint=checkpoint, data=data)).captured.maps
    cross = [one for one in maps.maps if one.kind == "cross"]
    first, last = given["links"][0][0], given["links"][-1][0]
    tokenizer = Tokenizer(args.folder / "whisper.tokenizer.json")
    tokens = tokenizer(data["target"][0, first : last + 1].tolist())
    tokens = [token.replace("Ġ", "") for token in tokens]
    with chart_style(LIGHT):
        figure = Figure(figsize=(11, 8.5), layout="constrained")
        for axes, (layer, head, before, what) in zip(
            figure.subplots(2, 1), HEADS, strict=True
        ):
            rows = slice(first - before, last + 1 - before)
            weights = cross[layer].weights[0, head, rows][:, given["candidates"]]
            image = draw(axes, weights, tokens, given)
            figure.colorbar(image, label="attention weight", pad=0.01)
            axes.set_title(f"Decoder layer {layer}, head {head}: {what}")
        save_figure(figure, args.picture)
    print(f"wrote {args.picture}")


if __name__ == "__main__":
    main()
