"""Draws one head on one reaction: product atoms by reactant atoms, the truth circled.

    python examples/reactions/draw_reaction.py

It needs what `neural import` and make_links.py wrote, as README.md has it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from neural_attn.figures.heatmap import plot_heatmap, save_figure
from neural_attn.pipeline import Request, capture

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "reactions"


def draw(folder: Path, line: int, layer: int, head: int, picture: Path) -> None:
    """Run the network on the reaction in `line` of links.jsonl, and draw the head."""
    rows = (folder / "links.jsonl").read_text("utf-8").splitlines()
    given = json.loads(rows[line - 1])
    network, weights = folder / "reactions.neural", folder / "reactions.safetensors"
    request = Request(network, checkpoint=weights, texts=[given["text"]])
    maps = capture(request).captured.maps
    item = maps.item(maps.layers[layer][0].name)
    reactant = given["candidates"]
    product = [query for query, _ in given["links"]]
    figure = plot_heatmap(
        item.weights[head][product][:, reactant],
        [f"{at}:{item.query_tokens[at]}" for at in product],
        [f"{at}:{item.key_tokens[at]}" for at in reactant],
        f"Layer {layer}, head {head}: where each atom came from",
        subtitle=f"{given['text']}; a circle is the true atom",
        rows="parts",
    )
    axes = figure.axes[0]
    for row, (_, key) in enumerate(given["links"]):
        axes.plot(reactant.index(key), row, "o", ms=12, mfc="none", mec="#e4572e")
    save_figure(figure, picture)


def main() -> None:
    """Draw what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=BUILD)
    parser.add_argument("--line", type=int, default=4)
    parser.add_argument("--layer", type=int, default=10)
    parser.add_argument("--head", type=int, default=5)
    parser.add_argument("-o", "--picture", type=Path, default=Path("reaction.png"))
    args = parser.parse_args()
    draw(args.folder, args.line, args.layer, args.head, args.picture)
    print(f"wrote {args.picture}")


if __name__ == "__main__":
    main()
