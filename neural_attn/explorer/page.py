"""The page itself: put together from its parts, written to a file or shown inline."""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neural_attn.diagnostics.choices import check_choice
from neural_attn.explorer.comparison import DIFFERENCES, compare_maps
from neural_attn.explorer.frame import frame, inert_json
from neural_attn.explorer.measures import describe_measures
from neural_attn.explorer.payload import FORMAT, VERSION, Detail, PayloadWriter
from neural_attn.explorer.quantize import PRECISIONS
from neural_attn.explorer.told import Told, tell, why_untold
from neural_attn.explorer.writing import describe_written
from neural_attn.figures.choices import (
    DEFAULT_SCALE,
    SCALES,
    THEME_NAMES,
    Scale,
    ThemeName,
)
from neural_attn.figures.filters import Filters
from neural_attn.files import atomic_writer
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.version import __version__

__all__ = ["EXPLORER", "ExplorerPage", "explore", "write_explorer"]

EXPLORER = "attention_explorer.html"  # the name of a page where nobody gives one
# of the scales of pictures those that need no other head: of each, its own greatest
PAGE_SCALES: tuple[Scale, ...] = ("head", "sqrt", "log")

# Above this a notebook would grow and slow down: it shows a link to do instead.
MOST_INLINE_BYTES = 24 * 2**20
INLINE_HEIGHT = 760
# Where tokens are hidden, what is left of a row may be less than a step of 8 bits: up
# to so many weights (5 MB) are then kept as float32.
MOST_EXACT = 2**20
# In a dark notebook the page before it is dark, whatever the system is, unless it was
# made with a theme. Where a notebook runs no scripts, the page follows the system.
_THEMED = """<script>{
  const frame = document.currentScript?.previousElementSibling;
  if (frame && document.body.dataset.jpThemeLight === "false")
    frame.srcdoc = frame.srcdoc.replace("<html lang", '<html data-theme="dark" lang');
}</script>"""


@dataclass(frozen=True)
class ExplorerPage:
    """A page of maps, made when it is saved or shown; see `explore`."""

    maps: AttentionMaps
    other: AttentionMaps | None = None
    labels: Sequence[str] = ()
    precision: str = "compact"
    title: str | None = None
    detail: Detail = field(default_factory=Detail)
    metrics: str = "auto"
    opens: tuple[str, int] | None = None  # a map and a head's place in it
    filters: Filters = field(default_factory=Filters)
    scale: Scale = DEFAULT_SCALE
    theme: ThemeName | None = None

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, SCALES)
        check_choice("theme", self.theme, (None, *THEME_NAMES))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to `path`, whole or not at all, and return the path."""
        with atomic_writer(path, self._least_bytes()) as stream:
            self._write(stream)
        return Path(path)

    def _least_bytes(self) -> int:
        """What the weights take that are kept in full: none pack to an eighth."""
        every = [*self.maps.maps, *(self.other.maps if self.other else ())]
        kept = (w for w in (m.weights for m in every)
                if max(w.shape[2:]) <= self.detail.longest)  # fmt: skip
        return sum(w.size for w in kept) * (4 if self.precision == "full" else 1) // 8

    @property
    def html(self) -> str:
        """The page as text."""
        stream = io.BytesIO()
        self._write(stream)
        return stream.getvalue().decode("ascii")

    def _repr_html_(self) -> str:
        """Show the page inline, in a frame that shares nothing with the notebook."""
        page = self.html
        if len(page) > MOST_INLINE_BYTES:
            return (
                f"<p>This page has {len(page) / 2**20:.0f} MB, too many for a "
                "notebook: <code>explore(maps).save('attention.html')</code> writes "
                "it to a file; <code>layers=</code> and <code>heads=</code> of "
                "<code>neural_attn.explore</code> make it smaller.</p>"
            )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.maps.notes)
        return (
            f'{notes}<iframe title="Attention explorer" '
            'sandbox="allow-scripts allow-downloads" '
            f'style="width:100%;height:{INLINE_HEIGHT}px;border:0" '
            f'srcdoc="{html.escape(page)}"></iframe>{_THEMED}'
        )

    def _write(self, stream: BinaryIO) -> None:
        sources: list[tuple[AttentionMaps, Iterable[AttentionMap]]] = [
            (maps, maps.maps) for maps in (self.maps, self.other) if maps is not None
        ]
        difference = None if self.other is None else (self.maps, self.other)
        _write_page(stream, sources, self, difference)


def explore(
    maps: AttentionMaps,
    *,
    other: AttentionMaps | None = None,
    labels: Sequence[str] = (),
    precision: str | None = None,
    title: str | None = None,
    detail: Detail | None = None,
    metrics: str = "auto",
    examples: int | None = None,
    layer: str | int | None = None,
    head: int | None = None,
    hide_special: bool = False,
    hide_sinks: bool = False,
    renormalize: bool = False,
    scale: Scale = DEFAULT_SCALE,
    theme: ThemeName | None = None,
) -> ExplorerPage:
    """Make an offline page that shows every head of `maps`.

    A notebook displays the result; elsewhere `.save(path)` writes it.

    Parameters
    ----------
    maps : AttentionMaps
    other : AttentionMaps or None
        A second model, framework or text, to see side by side with the difference.
    labels : two texts
        Names of `maps` and `other`; by default their source, their backend or A and B.
    precision : "compact", "fine", "full" or None
        How weights are kept; see `neural_attn.explorer.quantize`. "full" is float32.
        None is "compact"; where the page opens with tokens hidden or rows renormalized
        it is "full" for up to 2**20 weights and "fine" for more, as the steps of a row
        are shares of its maximum, which may be hidden.
    title : str or None
        The title of the page; by default the source of the maps, without its folder.
    detail : Detail or None
        What to keep of texts too long to be kept in full.
    metrics : "auto", "all" or "quick"
        "all" has a sentence on each head and, for short texts, the slow metrics;
        "quick" has neither; "auto" is quick where there are more than 2**24 weights.
    examples : int or None
        Only this many examples of a batch, the first ones.
    layer, head : as in `AttentionMaps.select`
        The page holds all heads and opens on this one; by default on the head of the
        first sentence of what stands out.
    hide_special, hide_sinks, renormalize, scale : as in `neural_attn.figures.look.Look`
        How the page opens; its controls change them. Every head has its own scale, by
        the square root of the weight ("sqrt"), as in pictures, by the weight ("head"),
        or by its logarithm ("log"); where another was asked for, the page says so, and
        opens with "head".
    theme : "light", "dark" or None
        What the page opens in; by default in the theme of the reader's system.

    Raises
    ------
    ValueError
        If there are no maps, or the precision, choice of metrics, scale or theme is
        unknown.
    SelectionError
        If there is no such layer or head.
    """
    check_choice("metrics", metrics, ("auto", "all", "quick"))
    if not len(maps):
        raise ValueError("there are no attention maps to explore")
    check_choice("precision", precision, (None, *PRECISIONS))
    detail = Detail() if detail is None else detail
    if examples is not None:
        maps = _first_examples(maps, examples)
        other = None if other is None else _first_examples(other, examples)
    opens = _find_head(maps, layer, head)
    labels = tuple(labels)
    filters = Filters(hide_special, hide_sinks, renormalize)
    if precision is None:
        precision = _precision_for(filters, maps, other)
    return ExplorerPage(
        maps, other, labels, precision, title, detail, metrics, opens, filters, scale,
        theme,
    )  # fmt: skip


def _precision_for(
    filters: Filters, maps: AttentionMaps, other: AttentionMaps | None
) -> str:
    """How weights are kept where nobody says it: see `explore`."""
    if not filters:
        return "compact"
    every = [*maps.maps, *(other.maps if other else ())]
    return "full" if sum(m.weights.size for m in every) <= MOST_EXACT else "fine"


def _find_head(
    maps: AttentionMaps, layer: str | int | None, head: int | None
) -> tuple[str, int] | None:
    """The first map that is meant, and where in it the head stands."""
    if layer is None and head is None:
        return None
    one = maps.select(layer).select(head=head).maps[0]
    whole = maps.get_map(one.name)
    return one.name, whole.head_indices.index(one.head_indices[0])


def write_explorer(
    maps: Iterable[AttentionMap],
    path: str | os.PathLike[str],
    *,
    trained: bool | None = None,
    source: str | None = None,
    backend: str | None = None,
    precision: str = "compact",
    detail: Detail | None = None,
) -> Path:
    """Write a page of maps that come one by one, so that they are never all in memory.

    The other parameters are those of `AttentionMaps` and `explore`.

    Raises
    ------
    ValueError
        If there are no maps, two have the same name, or there is no such precision.
    """
    check_choice("precision", precision, PRECISIONS)
    about = AttentionMaps([], trained=trained, source=source, backend=backend)
    page = ExplorerPage(about, precision=precision, detail=detail or Detail())
    with atomic_writer(path) as stream:
        _write_page(stream, [(about, maps)], page, None)
    return Path(path)


def _first_examples(maps: AttentionMaps, count: int) -> AttentionMaps:
    def cut(one: AttentionMap) -> AttentionMap:
        if len(one.weights) <= count:
            return one
        mask = None
        if one.mask is not None:
            # Shapes of fewer axes, or of one example, serve every example alike.
            every = one.mask.ndim < 4 or len(one.mask) == 1
            mask = one.mask if every else one.mask[:count]
        return AttentionMap(
            one.name,
            one.weights[:count],
            one.kind,
            mask,
            one.causal,
            one.query_tokens[:count],
            one.key_tokens[:count],
            one.head_indices,
            one.rows,
            one.layer,
        )

    written = maps.written[:count]
    return replace(maps, maps=[cut(one) for one in maps.maps], written=written)


def _write_page(
    stream: BinaryIO,
    sources: Sequence[tuple[AttentionMaps, Iterable[AttentionMap]]],
    page: ExplorerPage,
    pair: tuple[AttentionMaps, AttentionMaps] | None,
) -> None:
    precision = PRECISIONS[page.precision]
    title = page.title or _file_name(sources[0][0].source) or "Attention"
    before, after = frame(title, page.theme)
    stream.write(before)
    payload = PayloadWriter(stream, precision, page.detail)
    described = [
        _write_source(payload, about, maps, label, page.metrics)
        for (about, maps), label in zip(sources, _labels(page, sources), strict=True)
    ]
    header = {
        "format": FORMAT,
        "version": VERSION,
        "generator": f"neural-attn {__version__}",
        "title": title,
        "precision": {
            "name": precision.name,
            "shares": precision.shares,
            "bound": precision.bound,
        },
        "measures": [one._asdict() for one in describe_measures(_known(described))],
        "texts": payload.texts(),
        "pictures": payload.images.described,
        "sources": described,
        "differences": [] if pair is None else [d._asdict() for d in DIFFERENCES],
        "opens": _opens(page, described[0]["maps"]),
        "shows": _shows(page),
        "notes": _notes(page),
        "comparison": None if pair is None else compare_maps(*pair),
    }
    stream.write(b'<script type="application/json" id="header">')
    stream.write(inert_json(header).encode("ascii"))
    stream.write(b"</script>\n")
    stream.write(after)


def _opens(page: ExplorerPage, maps: Sequence[dict[str, Any]]) -> list[int] | None:
    """The place of the map and of the head that the page opens on, if one is meant."""
    if page.opens is None:
        return None
    name, head = page.opens
    return [[one["name"] for one in maps].index(name), head]


def _shows(page: ExplorerPage) -> dict[str, bool | str]:
    """What is hidden, and how colours are scaled, by the names of the controls."""
    filters = page.filters
    return {
        "special": filters.hide_special,
        "sinks": filters.hide_sinks,
        "renormalize": filters.renormalize,
        "scale": page.scale if page.scale in PAGE_SCALES else "head",
    }


def _notes(page: ExplorerPage) -> list[str]:
    """What was asked for and is not on the page."""
    if page.scale in PAGE_SCALES:
        return []
    return [
        f"The scale “{page.scale}” is for static pictures: here a colour is the "
        "weight, and each head has its own scale."
    ]


def _write_source(
    payload: PayloadWriter,
    about: AttentionMaps,
    maps: Iterable[AttentionMap],
    label: str,
    metrics: str,
) -> dict[str, Any]:
    untold = why_untold(about, metrics)
    told = Told() if untold else tell(about)
    # Stand-ins without weights: which maps are one layer is decided in one place.
    stand_ins: list[AttentionMap] = []
    entries = []
    for one in maps:
        around = about if len(about) else AttentionMaps([one])
        entries.append(payload.add_map(around, one, slow=not untold))
        entries[-1]["sentences"] = told.sentences.get(one.name)
        entries[-1]["types"] = told.types.get(one.name)
        dot = np.ones((1, 1, 1, 1), np.float32)
        stand_ins.append(AttentionMap(one.name, dot, kind=one.kind, layer=one.layer))
    if not entries:
        raise ValueError("there are no attention maps to explore")
    outline = AttentionMaps(stand_ins)
    for number, layer in zip(outline.layer_numbers, outline.layers, strict=True):
        for stand_in in layer:
            entries[stand_ins.index(stand_in)]["layer"] = number
    return {
        "label": label,
        "trained": about.trained,
        "source": _file_name(about.source),
        "backend": about.backend,
        "highlights": told.highlights,
        "untold": untold,
        **({"written": describe_written(about.written)} if about.written else {}),
        "maps": entries,
    }


def _known(sources: Sequence[dict[str, Any]]) -> list[str]:
    """The measures that any head has a number of."""
    found: dict[str, None] = {}
    for source in sources:
        for one in source["maps"]:
            for example in one["examples"]:
                for key, values in example["measures"].items():
                    if any(value is not None for value in values):
                        found[key] = None
    return list(found)


def _labels(
    page: ExplorerPage, sources: Sequence[tuple[AttentionMaps, object]]
) -> list[str]:
    if len(page.labels) == len(sources):
        return [str(label) for label in page.labels]
    if page.labels:
        raise ValueError(f"{len(page.labels)} labels for {len(sources)} sets of maps")
    every = [about for about, _ in sources]
    for names in (
        [_file_name(about.source) for about in every],
        [_file_name(about.source, folders=1) for about in every],
        [about.backend for about in every],
    ):
        if all(names) and len(set(names)) == len(names):
            return [str(name) for name in names]
    return ["A", "B"][: len(sources)]


def _file_name(source: str | None, folders: int = 0) -> str | None:
    """A source without the folders it is in, but for the last so many.

    Pages are shared, and their readers need not know where their maker keeps files.
    """
    if source is None:
        return None
    parts = re.split(r"[/\\]", source.rstrip("/\\"))
    return "/".join(parts[-1 - folders :])
