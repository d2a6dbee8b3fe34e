"""Every file that a visualization leaves in its folder, under the documented names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_attn.diagnostics.choices import check_choice
from neural_attn.figures import palette
from neural_attn.figures.dashboard import write_dashboard
from neural_attn.figures.filters import axes_of
from neural_attn.figures.heatmap import FORMATS, save_figure
from neural_attn.figures.look import PLAIN, Look, Shown
from neural_attn.figures.of_maps import (
    draw_averages,
    draw_heads,
    shared_tops,
)
from neural_attn.figures.on_picture import draw_item, draw_rollout
from neural_attn.files import safe_names
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError

__all__ = ["write_pictures"]

INTERACTIVE = "attention_interactive.html"
EXAMPLE = "attention_example_"


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
    look: Look = PLAIN,
    examples_dir: str | os.PathLike[str] | None = None,
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
      counts the decoder layers of the whole network from 0;
    - of those that wrote what is drawn also `attention_example_{K}`, in `examples_dir`
      if it is given: the last cross-attention of example K, counted from 1.

    Parameters
    ----------
    layer, head : as in `AttentionMaps.select`
    formats : some of png, svg, pdf
    dpi : dots per inch of png
    look : what is drawn of matrices, and how

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
        check_choice("format", name, FORMATS)
    palette.colormap(cmap)
    chosen = maps.select(layer)
    if not len(chosen):
        raise SelectionError("there are no attention maps to draw")
    folder = Path(output_dir)
    writer = _Writer(maps, chosen, folder, batch_index, head, cmap, look)
    written: dict[str, Path] = {}
    for stem, draw in writer.plan():
        figure = draw()
        where = folder
        if stem.startswith(EXAMPLE) and examples_dir is not None:
            where = Path(examples_dir)
        for kind in formats:
            path = save_figure(figure, where / f"{stem}.{kind}", dpi, kind)
            written[path.name] = path
    page = writer.folder / INTERACTIVE
    written[page.name] = write_dashboard(
        chosen.select(head=head), page, batch_index, look
    )
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
        look: Look,
    ) -> None:
        self.folder, self.head, self.everything = folder, head, everything
        self.how: dict[str, Any] = {"trained": everything.trained, "cmap": cmap}
        self.look = look
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
        written = everything.written[batch_index : batch_index + 1]
        self.written = written[0] if written else None

        def shown(maps: AttentionMaps) -> list[Shown]:
            items = [maps.item(name, batch_index) for name in maps]
            return [look.show(item, self.written) for item in items]

        self.items = shown(chosen)
        every = [one.item for one in self.items]
        self.tops = shared_tops(every, look) if look.scale == "shared" else {}
        self.shown = self.items if head is None else shown(chosen.select(head=head))

    def plan(self) -> list[tuple[str, Callable[[], Figure]]]:
        """List file stems with what draws them."""
        plan: list[tuple[str, Callable[[], Figure]]] = []

        def averages(shown: Sequence[Shown]) -> Callable[[], Figure]:
            how = {**self.how, **shown[0].how, **self._end(shown[0].item)}
            return partial(draw_averages, [one.item for one in shown], **how)

        for number, group in enumerate(self._heatmap_groups()):
            suffix = f"_{self.file_names[group[0].item.name]}" if number else ""
            plan.append((f"attention_heatmap{suffix}", averages(group)))
        for every, shown in zip(self.items, self.shown, strict=True):
            item = every.item
            layer = self.numbers.get(item.name)
            heads = f"attention_heads_{self.file_names[item.name]}"
            if self.has_cross and item.kind == "cross":
                plan.append((f"cross_attention_layer{layer}", averages([shown])))
                heads = f"cross_attention_multihead_layer{layer}"
            elif self.has_cross and item.kind == "decoder_self":
                plan.append((f"self_attention_layer{layer}", averages([shown])))
            how = {**self.how, **every.how, **self._end(item)}
            plan.append((heads, partial(draw_heads, item, **how)))
        cross = [one for one in self.shown if one.item.kind == "cross"]
        if self.written is not None and cross:
            stem = f"{EXAMPLE}{self.batch_index + 1}"
            plan.append((stem, averages(cross[-1:])))
        return [*plan, *self._on_pictures()]

    def _on_pictures(self) -> Iterator[tuple[str, Callable[[], Figure]]]:
        items = [one.item for one in self.items]
        over = [self.chosen.picture_of(i.name, self.batch_index) for i in items]
        for item, picture in zip(items, over, strict=True):
            if picture is not None:
                stem = f"attention_image_{self.file_names[item.name]}"
                how = {**self.how, **self._end(item), "look": self.look}
                yield stem, partial(draw_item, picture, item, **how)
        first = next(filter(None, over), None)
        if first is None:
            return
        cmap = self.how["cmap"]
        which = (first, self.everything, self.batch_index)
        rollout = draw_rollout(*which, cmap, self.look)
        if rollout is not None:
            yield "attention_image_rollout", lambda: rollout

    def _end(self, item: AttentionItem) -> dict[str, float]:
        """The end of the scale that all pictures share, if they do."""
        return {"vmax": self.tops[item.rows]} if self.tops else {}

    def _heatmap_groups(self) -> list[list[Shown]]:
        """Group items that share axes and scale; a decoder has pictures of its own."""
        by_axes: dict[object, list[Shown]] = {}
        for one in self.shown:
            by_axes.setdefault(axes_of(one.item), []).append(one)
        groups = list(by_axes.values())
        own = [
            group
            for group in groups
            if not self.has_cross or group[0].item.kind == "encoder_self"
        ]
        return own or groups[:1]
