"""Every file that a visualization leaves in its folder, under the documented names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_attn.figures import palette
from neural_attn.figures.dashboard import write_dashboard
from neural_attn.figures.heatmap import FORMATS, save_figure
from neural_attn.figures.of_maps import axes_of, draw_averages, draw_heads
from neural_attn.figures.on_picture import draw_item, draw_rollout
from neural_attn.files import safe_names
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError

__all__ = ["write_pictures"]

INTERACTIVE = "attention_interactive.html"


def write_pictures(
    maps: AttentionMaps,
    output_dir: str | os.PathLike[str],
    *,
    layer: str | int | None = None,
    head: int | None = None,
    batch_index: int = 0,
    formats: Sequence[str] = ("png",),
    dpi: float = 150,
    cmap: str | None = None,
) -> dict[str, Path]:
    """Write every picture of one example, and the interactive page.

    - `attention_heatmap`: the average over heads, or head `head`; of several layers,
      one panel each (layers over other tokens: `attention_heatmap_{layer}`);
    - `attention_heads_{layer}`: all heads of a layer;
    - `attention_image_{layer}` and `attention_image_rollout` of networks that saw an
      image: what the class token, else the mean patch, attends to, over the image;
    - `attention_interactive.html`;
    - of networks with cross-attention also `cross_attention_layer{N}`,
      `cross_attention_multihead_layer{N}` and `self_attention_layer{N}`, where N
      counts the decoder layers of the whole network from 0.

    Parameters
    ----------
    layer, head : as in `AttentionMaps.select`
    formats : some of png, svg, pdf
    dpi : dots per inch of png

    Returns
    -------
    dict
        File name to path, in the order of writing.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there is no such layer, head or example; nothing is written.
    ValueError
        If there is no such format or colour map; nothing is written.
    OSError
        If a file cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"pictures are {', '.join(FORMATS)}, not {name!r}")
    palette.colormap(cmap)
    chosen = maps.select(layer)
    if not len(chosen):
        raise SelectionError("there are no attention maps to draw")
    writer = _Writer(maps, chosen, Path(output_dir), batch_index, head, cmap)
    written: dict[str, Path] = {}
    for stem, draw in writer.plan():
        figure = draw()
        for kind in formats:
            path = save_figure(figure, writer.folder / f"{stem}.{kind}", dpi, kind)
            written[path.name] = path
    page = writer.folder / INTERACTIVE
    written[page.name] = write_dashboard(chosen.select(head=head), page, batch_index)
    return written


class _Writer:
    """The pictures that one call makes: what each shows, and under which name."""

    def __init__(
        self,
        everything: AttentionMaps,
        chosen: AttentionMaps,
        folder: Path,
        batch_index: int,
        head: int | None,
        cmap: str | None,
    ) -> None:
        self.folder, self.head, self.everything = folder, head, everything
        self.how: dict[str, Any] = {"trained": everything.trained, "cmap": cmap}
        self.has_cross = any(one.kind == "cross" for one in everything.maps)
        self.file_names = safe_names(everything)
        decoder_layers = [
            layer
            for layer in everything.layers
            if any(one.kind != "encoder_self" for one in layer)
        ]
        self.numbers = {
            one.name: number if one.layer is None else one.layer
            for number, layer in enumerate(decoder_layers)
            for one in layer
        }
        self.chosen, self.batch_index = chosen, batch_index
        self.items = [chosen.item(name, batch_index) for name in chosen]
        if head is None:
            self.shown = self.items
        else:
            one_head = chosen.select(head=head)
            self.shown = [one_head.item(name, batch_index) for name in one_head]

    def plan(self) -> list[tuple[str, Callable[[], Figure]]]:
        """List file stems with what draws them."""
        plan: list[tuple[str, Callable[[], Figure]]] = []

        def averages(items: Sequence[AttentionItem]) -> Callable[[], Figure]:
            return partial(draw_averages, items, **self.how)

        for number, group in enumerate(self._heatmap_groups()):
            suffix = f"_{self.file_names[group[0].name]}" if number else ""
            plan.append((f"attention_heatmap{suffix}", averages(group)))
        for item, shown in zip(self.items, self.shown, strict=True):
            layer = self.numbers.get(item.name)
            heads = f"attention_heads_{self.file_names[item.name]}"
            if self.has_cross and item.kind == "cross":
                plan.append((f"cross_attention_layer{layer}", averages([shown])))
                heads = f"cross_attention_multihead_layer{layer}"
            elif self.has_cross and item.kind == "decoder_self":
                plan.append((f"self_attention_layer{layer}", averages([shown])))
            plan.append((heads, partial(draw_heads, item, **self.how)))
        return [*plan, *self._on_pictures()]

    def _on_pictures(self) -> Iterator[tuple[str, Callable[[], Figure]]]:
        over = [self.chosen.picture_of(i.name, self.batch_index) for i in self.items]
        for item, picture in zip(self.items, over, strict=True):
            if picture is not None:
                stem = f"attention_image_{self.file_names[item.name]}"
                yield stem, partial(draw_item, picture, item, **self.how)
        first = next(filter(None, over), None)
        if first is None:
            return
        cmap = self.how["cmap"]
        rollout = draw_rollout(first, self.everything, self.batch_index, cmap)
        if rollout is not None:
            yield "attention_image_rollout", lambda: rollout

    def _heatmap_groups(self) -> list[list[AttentionItem]]:
        """Group items that share axes and scale; a decoder has pictures of its own."""
        by_axes: dict[object, list[AttentionItem]] = {}
        for item in self.shown:
            by_axes.setdefault(axes_of(item), []).append(item)
        groups = list(by_axes.values())
        own = [
            group
            for group in groups
            if not self.has_cross or group[0].kind == "encoder_self"
        ]
        return own or groups[:1]
