"""The container that every picture, page and number is made from.

`AttentionMaps` holds named attention weights in layer order with all that is needed to
read them: what kind of attention it is, which cells the network masked, which tokens
are at which position, and whether the weights are trained. It knows no framework:
whatever ran the network, all later steps take this container.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.diagnostics.choices import nearest
from neural_attn.extensions import load
from neural_attn.maps.attention_map import (
    AttentionItem,
    AttentionMap,
    Kind,
    TokensLike,
    heads_there,
    true_range,
)
from neural_attn.maps.frame import frame_of
from neural_attn.maps.handed_out import take_any, take_returned, usable
from neural_attn.maps.map_file import read_maps, write_maps
from neural_attn.maps.map_of_array import CAUSAL, listed, plain_map
from neural_attn.maps.picture import Picture
from neural_attn.maps.written import Written
from neural_attn.promises import SHARES, Rows

__all__ = ["AttentionItem", "AttentionMap", "AttentionMaps", "Kind", "SelectionError"]


VIEWS = "neural_attn.views"  # entry points: "notebook" shows maps and analyses


class SelectionError(KeyError):
    """A layer or head that the maps do not have; the message lists those they have."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument: quotes and escapes round a sentence.
        return str(self.args[0])


@dataclass(frozen=True, eq=False)
class AttentionMaps(Mapping[str, NDArray[np.float32]]):
    """Attention maps by name, in layer order.

    As a mapping it holds arrays: `maps["transformer_encoder_0"]` is float32
    [batch, heads, queries, keys]. `get_map` gives the whole `AttentionMap`.

    Parameters
    ----------
    maps : sequence of AttentionMap
        In layer order, with unique names. Also arrays, as a library returns them
        (`outputs.attentions`): see `neural_attn.maps.given.take`.
    trained : bool or None
        False: the weights of the network are random, so its attention means nothing,
        and every picture says so. None: not known.
    source, backend : str or None
        Where the network came from and what ran it; shown, never interpreted.
    notes : sequence of str
        What arrays were taken for, one line each. They are neither compared nor saved.
    pictures : sequence of Picture
        What the network saw, one for each example, if it saw images. Like the notes,
        they are neither compared nor saved.
    written : sequence of Written
        What the network wrote, one for each example, if it did: its decoder rows are
        those of the tokens it was fed. Like the notes, neither compared nor saved.
    axes : str or None
        What the axes of arrays are, such as "bqk": see `neural_attn.maps.axes`.

    Raises
    ------
    ValueError
        If two names are equal, or something is not attention.
    NeuralError
        If something holds neither maps nor arrays.
    """

    maps: Sequence[AttentionMap]
    trained: bool | None = None
    source: str | None = None
    backend: str | None = None
    notes: Sequence[str] = field(default=(), compare=False, repr=False)
    pictures: Sequence[Picture] = field(default=(), compare=False, repr=False)
    written: Sequence[Written] = field(default=(), compare=False, repr=False)
    _: KW_ONLY
    axes: InitVar[str | None] = None

    def __post_init__(self, axes: str | None) -> None:
        # a kernel that shows no weights hands out an empty tuple
        given = self.maps
        handed_out = isinstance(given, tuple) and not (given or type(given) is _Taken)
        if axes is not None or handed_out or not _are_maps(self.maps):
            self._set(*usable(take_any(self.maps, axes=axes)))
        self._set(self.maps, self.notes)
        if len(self._by_name) != len(self.maps):
            names = [m.name for m in self.maps]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"two maps have the same name: {', '.join(twice)}")

    def _set(self, maps: Sequence[AttentionMap], notes: Sequence[str]) -> None:
        object.__setattr__(self, "maps", _Taken(maps))
        object.__setattr__(self, "notes", tuple(notes))

    @classmethod
    def from_transformers(
        cls,
        outputs: Any,
        tokenizer: Any = None,
        inputs: Any = None,
        *,
        trained: bool | None = None,
        source: str | None = None,
        causal: bool | None = None,
        rows: Rows | None = None,
    ) -> AttentionMaps:
        """Build from what a `transformers` model, or its `generate`, returned.

        Parameters
        ----------
        outputs : the outputs of a call with `output_attentions=True`
            Encoders, decoders and both; layers that are None keep their numbers; the
            steps of `generate` are joined. Or the tuple of one field alone, whose
            square maps are taken for self-attention.
        tokenizer : the model's tokenizer, for the texts of the ids
        inputs : what the model was called with, by name, or the ids
            With `attention_mask`, padding is left out of all pictures and numbers.
        causal : whether later keys are hidden; None: if no weight goes to them
        rows : what rows promise; None: shares, or parts if their sums show it

        Returns
        -------
        AttentionMaps
            Its `notes` say what was assumed.

        Raises
        ------
        ValueError
            If none of it is attention; the message says why.
        NeuralError
            If it was generated by beam search, holds no arrays, or does not say which
            side of an encoder–decoder it belongs to.
        """
        taken = take_returned(outputs, tokenizer, inputs, causal=causal, rows=rows)
        maps, notes = usable(taken)
        return cls(maps, trained, source, "transformers", notes)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, ArrayLike],
        tokens: TokensLike = None,
        *,
        trained: bool | None = None,
        source: str | None = None,
        backend: str | None = None,
        rows: Rows = SHARES,
        causal: bool | None = None,
    ) -> AttentionMaps:
        """Build from plain arrays: [heads, queries, keys] or with a batch before it.

        A square map counts as encoder self-attention and takes `tokens` on both sides;
        any other counts as cross-attention and takes them for the keys if their number
        fits, otherwise for the queries. `rows` is what the rows of all promise. A
        square map without any weight on later keys is causal, unless `causal` is False.
        Build `AttentionMap`s to specify more.

        Raises TypeError for arrays without names, which `AttentionMaps` itself takes.
        """
        if not hasattr(arrays, "items"):
            kind = type(arrays).__name__
            raise TypeError(
                f"from_arrays takes arrays by the names of their layers, not a {kind}: "
                "AttentionMaps(array) takes one without a name, or a list, and axes="
            )
        maps = [
            plain_map(name, values, tokens, rows, causal)
            for name, values in arrays.items()
        ]
        found = [one.name for one in maps if one.causal and causal is None]
        notes = [f"{listed(found)}: {CAUSAL}"] if found else []
        return cls(maps, trained, source, backend, notes)

    @cached_property
    def _by_name(self) -> dict[str, AttentionMap]:
        return {m.name: m for m in self.maps}

    def __getitem__(self, name: str | int) -> NDArray[np.float32]:
        return self.get_map(name).weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.maps)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AttentionMaps):
            return NotImplemented
        return self.maps == other.maps and (
            (self.trained, self.source, self.backend)
            == (other.trained, other.source, other.backend)
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and holds arrays

    def __repr__(self) -> str:
        shapes = ", ".join(f"{m.name}: {m.weights.shape}" for m in self.maps)
        return f"AttentionMaps({shapes}; trained={self.trained})"

    def _repr_html_(self) -> str:
        """Show the maps in a notebook, by the view that is installed for it.

        Views are found as entry points, as they depend on this container and it does
        not on them.
        """
        if not self.maps:
            return "<p>no attention maps</p>"
        for _, view in load(VIEWS, name="notebook"):
            page: str = view(self)._repr_html_()
            return page
        return html.escape(repr(self))

    def get_map(self, name: str | int) -> AttentionMap:
        """Return the map with exactly this name, or that of a layer that has only one.

        Layers are numbered as `select` takes them: -1 is the last.

        Raises
        ------
        SelectionError
            A KeyError whose message lists the existing names, or those of the layer.
        """
        if isinstance(name, int | np.integer):
            found = self._find_layer(int(name))
            if len(found) == 1:
                return found[0]
            parts = " and ".join(repr(one.name) for one in found)
            raise SelectionError(f"layer {name} has {len(found)} maps: {parts}")
        try:
            return self._by_name[str(name)]
        except KeyError:
            raise SelectionError(self._unknown(name)) from None

    @property
    def layers(self) -> tuple[tuple[AttentionMap, ...], ...]:
        """The maps grouped by layer: what an index counts.

        A layer is one map, except that the parts of a decoder layer, which share the
        name before their last dot and are of different kinds
        (`transformer_decoder_0.self_attention` and `.cross_attention`), are one layer.
        """
        groups: list[list[AttentionMap]] = []
        for one in self.maps:
            parent = one.name.rpartition(".")[0]
            previous = groups[-1] if groups else []
            same_layer = (
                parent
                and previous
                and previous[-1].name.rpartition(".")[0] == parent
                and one.kind not in [m.kind for m in previous]
            )
            if same_layer:
                previous.append(one)
            else:
                groups.append([one])
        return tuple(tuple(group) for group in groups)

    @property
    def layer_numbers(self) -> tuple[int, ...]:
        """The number of each of `layers` in the network: its place, or its own."""
        return tuple(
            next((one.layer for one in layer if one.layer is not None), place)
            for place, layer in enumerate(self.layers)
        )

    def select(
        self, layer: str | int | None = None, head: int | None = None
    ) -> AttentionMaps:
        """Keep some layers, which keep their numbers, and one head of each layer.

        Parameters
        ----------
        layer : str, int or None
            A map's name; a prefix, such as `transformer_decoder_0` for both of its
            attentions or `transformer_encoder` for all encoders; or the index of a
            layer, as a number or in digits, where -1 is the last.
        head : int or None
            The head's number; -1 is the last.

        Raises
        ------
        SelectionError
            If there is none: a KeyError whose message lists what exists.
        """
        chosen = [*self.maps] if layer is None else [*self._find_layer(layer)]
        if head is not None:
            chosen = [_one_head(one, head) for one in chosen]
        return self.keep(chosen)

    def keep(self, some: Sequence[AttentionMap]) -> AttentionMaps:
        """Some of these maps, or parts of them, whose layers keep their numbers."""
        selected = replace(self, maps=[*some])
        own = {
            one.name: number
            for number, layer in zip(self.layer_numbers, self.layers, strict=True)
            for one in layer
        }
        if selected.layer_numbers == tuple(own[m[0].name] for m in selected.layers):
            return selected
        return replace(self, maps=[replace(m, layer=own[m.name]) for m in some])

    def item(self, name: str, batch_index: int = 0) -> AttentionItem:
        """One example of the map `name`, without its padding.

        Raises
        ------
        SelectionError
            If there is no such map or example.
        """
        one = self.get_map(name)
        batch = one.weights.shape[0]
        if not -batch <= batch_index < batch:
            raise SelectionError(
                f"{name} has no example {batch_index}: it has {batch}, numbered from 0"
            )
        queries = self.query_range(one, batch_index)
        keys = one.key_range(batch_index)
        return AttentionItem(
            name=name,
            kind=one.kind,
            causal=one.causal,
            weights=one.weights[batch_index][:, queries, keys],
            allowed=one.allowed[batch_index][:, queries, keys],
            query_tokens=one.query_tokens[batch_index][queries],
            key_tokens=one.key_tokens[batch_index][keys],
            head_indices=one.head_indices,
            rows=one.rows,
        )

    def to_frame(self) -> Any:
        """Every weight as a row of a pandas DataFrame, padding left out.

        Columns: example, map, kind, head, query, key (places from 0), query_token,
        key_token, weight, and seen: whether the network lets the query see the key.

        Raises NeuralError (E0502) where pandas is not installed.
        """
        return frame_of(
            [
                (example, self.item(one.name, example))
                for one in self.maps
                for example in range(len(one.weights))
            ]
        )

    def save(self, path: str | os.PathLike[str], *, compress: bool = False) -> None:
        """Write an `.npz` file that `load` gives back exactly; plain NumPy reads it.

        Each map is stored under its own name as float32 [batch, heads, queries,
        keys]. Tokens, kinds, masks and metadata are beside them under names that begin
        with `neural_attn/`, as no map's does. The file is written whole or not at all.
        """
        about = {key: getattr(self, key) for key in ("trained", "source", "backend")}
        write_maps(self.maps, about, path, pictures=self.pictures, compress=compress)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AttentionMaps:
        """Read what `save` wrote. Safe with untrusted files: nothing in them runs.

        Raises
        ------
        neural_attn.maps.map_file.MapFileError
            A ValueError that says in one line what is wrong with the file.
        OSError
            If it cannot be read.
        """
        maps, about = read_maps(path)
        return cls(maps, **about)

    def picture_of(self, name: str, batch_index: int = 0) -> Picture | None:
        """The image whose patches are the keys of a map; None where they are not."""
        one = self.get_map(name)
        for picture in self.pictures[batch_index : batch_index + 1]:
            if one.key_tokens[batch_index] == picture.tokens:
                return picture
        return None

    def _find_layer(self, layer: str | int) -> tuple[AttentionMap, ...]:
        if isinstance(layer, str) and layer in self._by_name:
            return (self._by_name[layer],)
        index = _as_index(layer)
        if index is not None:
            by_number = dict(zip(self.layer_numbers, self.layers, strict=True))
            counted = list(by_number)[index] if -len(by_number) <= index < 0 else index
            if counted not in by_number:
                raise SelectionError(
                    f"there is no attention layer {index}: {self._listing()}"
                )
            return by_number[counted]
        prefix = str(layer)
        # Up to a border first, so that "decoder_1" does not take "decoder_10" along.
        for borders in ((".", "_", "/"), ("",)):
            starts = tuple(prefix + border for border in borders)
            found = tuple(m for m in self.maps if prefix and m.name.startswith(starts))
            if found:
                return found
        raise SelectionError(self._unknown(prefix))

    def query_range(self, one: AttentionMap, batch_index: int) -> slice:
        """Give the real queries of one example of `one`, from the first to the last.

        See `AttentionMap.key_range`, which does it for the keys.
        """
        queries, keys = one.weights.shape[-2:]
        if one.kind != "cross" and queries == keys:
            # A mask over keys says nothing of queries, but they are the same tokens.
            return one.key_range(batch_index)
        # The queries of cross attention are the keys of the decoder's self-attention.
        layer = next(group for group in self.layers if any(m is one for m in group))
        for other in layer:
            if other.kind == "decoder_self" and other.weights.shape[-1] == queries:
                return other.key_range(batch_index)
        return true_range(one.allowed[batch_index].any(axis=(0, 2)))

    def _unknown(self, name: object) -> str:
        text = str(name)
        near = nearest(text, self)
        hint = f"; did you mean {near!r}?" if near else ""
        return f"there is no attention layer {text!r}: {self._listing()}{hint}"

    def _listing(self, most: int = 20) -> str:
        if not self.maps:
            return "there are no attention maps at all"
        names = list(self)
        shown = ", ".join(names[:most])
        more = f" and {len(names) - most} more" if len(names) > most else ""
        numbers = self.layer_numbers
        last = numbers[-1]
        there = ", ".join(map(str, numbers[:most]))
        if last and numbers == tuple(range(last + 1)):
            there = f"0 to {last}"
        if len(names) == 1:
            return f"there is {shown} (layer {there}, or -1 for the last)"
        return f"there are {shown}{more} (layers {there}, or -1 for the last)"


class _Taken(tuple[AttentionMap, ...]):
    """Maps that were taken, if only none of them."""


def _are_maps(given: Any) -> bool:
    return isinstance(given, Sequence) and all(
        isinstance(one, AttentionMap) for one in given
    )


def _as_index(layer: str | int) -> int | None:
    if isinstance(layer, str):
        return int(layer) if re.fullmatch(r"[+-]?[0-9]{1,9}", layer) else None
    return int(layer)


def _one_head(one: AttentionMap, head: int) -> AttentionMap:
    last = max(one.head_indices)
    number = last if head == -1 else head
    if number not in one.head_indices:
        there = heads_there(one.head_indices)
        raise SelectionError(f"{one.name} has no head {head}: it has {there}")
    return one.take_heads([one.head_indices.index(number)])
