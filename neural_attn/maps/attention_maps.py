"""The container that every picture, page and number is made from.

`AttentionMaps` holds named attention weights in layer order with all that is needed
to read them: what kind of attention it is, which cells the network masked, which
tokens stand at which position, and whether the weights were trained. It knows no
framework: whatever ran the network, what comes after it takes this.
"""

from __future__ import annotations

import difflib
import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.extensions import load
from neural_attn.maps.attention_map import (
    AttentionItem,
    AttentionMap,
    Kind,
    TokensLike,
    true_range,
)
from neural_attn.promises import SHARES, Rows

__all__ = ["AttentionItem", "AttentionMap", "AttentionMaps", "Kind", "SelectionError"]


VIEWS = "neural_attn.views"  # entry points: "notebook" makes a page of maps


class SelectionError(KeyError):
    """A layer or head that the maps do not have; the message lists those they have."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument: quotes and escapes round a sentence.
        return str(self.args[0])


@dataclass(frozen=True, eq=False)
class AttentionMaps(Mapping[str, NDArray[np.float32]]):
    """Attention maps by name, in layer order.

    As a mapping it gives arrays: `maps["transformer_encoder_0"]` is float32
    [batch, heads, queries, keys]. `get_map` gives the whole `AttentionMap`.

    Parameters
    ----------
    maps : sequence of AttentionMap
        In layer order, names all different.
    trained : bool or None
        False: the weights of the network are random, so its attention means nothing,
        and every picture says so. None: not known.
    source, backend : str or None
        Where the network came from and what ran it; shown, never interpreted.
    """

    maps: Sequence[AttentionMap]
    trained: bool | None = None
    source: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", tuple(self.maps))
        if len(self._by_name) != len(self.maps):
            names = [m.name for m in self.maps]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"two maps have the same name: {', '.join(twice)}")

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
    ) -> AttentionMaps:
        """Build from plain arrays: [heads, queries, keys] or with a batch before it.

        A square map counts as encoder self-attention and takes `tokens` on both
        sides; any other counts as cross attention and takes them for the keys where
        their number fits, else for the queries. `rows` is what the rows of all promise.
        Build `AttentionMap`s to say more.
        """
        maps = []
        for name, values in arrays.items():
            weights = np.asarray(values)
            weights = weights[np.newaxis] if weights.ndim == 3 else weights
            queries, keys = weights.shape[-2:] if weights.ndim == 4 else (0, 0)
            square = queries == keys
            count = _token_count(tokens)
            maps.append(
                AttentionMap(
                    name,
                    weights,
                    kind="encoder_self" if square else "cross",
                    query_tokens=tokens if square or count != keys else None,
                    key_tokens=tokens if square or count == keys else None,
                    rows=rows,
                )
            )
        return cls(maps, trained=trained, source=source, backend=backend)

    @cached_property
    def _by_name(self) -> dict[str, AttentionMap]:
        return {m.name: m for m in self.maps}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
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

    def get_map(self, name: str) -> AttentionMap:
        """Give the map of exactly this name.

        Raises
        ------
        SelectionError
            A KeyError whose message lists the names there are.
        """
        try:
            return self._by_name[name]
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

    def select(
        self, layer: str | int | None = None, head: int | None = None
    ) -> AttentionMaps:
        """Keep some layers, and of each layer one head.

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
            If there is none; a KeyError whose message lists what there is.
        """
        chosen = tuple(self.maps) if layer is None else self._find_layer(layer)
        if head is not None:
            chosen = tuple(_one_head(one, head) for one in chosen)
        return replace(self, maps=chosen)

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

    def save(self, path: str | os.PathLike[str], *, compress: bool = False) -> None:
        """Write an `.npz` file that `load` gives back exactly; plain NumPy reads it.

        Each map is stored under its own name as float32 [batch, heads, queries,
        keys]. Tokens, kinds, masks and metadata are beside them under names that hold
        a `/`, which no map's name does. The file is written whole or not at all.
        """
        from neural_attn.maps.map_file import write_maps

        write_maps(self, path, compress=compress)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AttentionMaps:
        """Read what `save` wrote. Safe with a stranger's file: nothing in it runs.

        Raises
        ------
        neural_attn.maps.map_file.MapFileError
            A ValueError that says in one line what is wrong with the file.
        OSError
            If it cannot be read.
        """
        from neural_attn.maps.map_file import read_maps

        return read_maps(path)

    def _find_layer(self, layer: str | int) -> tuple[AttentionMap, ...]:
        if isinstance(layer, str) and layer in self._by_name:
            return (self._by_name[layer],)
        index = _as_index(layer)
        if index is not None:
            layers = self.layers
            if not -len(layers) <= index < len(layers):
                raise SelectionError(
                    f"there is no attention layer {index}: {self._listing()}"
                )
            return layers[index]
        prefix = str(layer)
        # Up to a border first, so that "decoder_1" does not take "decoder_10" along.
        for borders in ((".", "_"), ("",)):
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
        close = difflib.get_close_matches(text, list(self), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"there is no attention layer {text!r}: {self._listing()}.{hint}"

    def _listing(self, most: int = 20) -> str:
        if not self.maps:
            return "there are no attention maps at all"
        names = list(self)
        shown = ", ".join(names[:most])
        more = f" and {len(names) - most} more" if len(names) > most else ""
        count = len(self.layers)
        return f"there are {shown}{more} (layers 0 to {count - 1}, or -1 for the last)"


def _token_count(tokens: TokensLike) -> int | None:
    if not tokens:
        return None
    return len(tokens) if isinstance(tokens[0], str) else len(tokens[0])


def _as_index(layer: str | int) -> int | None:
    if isinstance(layer, str):
        return int(layer) if re.fullmatch(r"[+-]?[0-9]{1,9}", layer) else None
    return int(layer)


def _one_head(one: AttentionMap, head: int) -> AttentionMap:
    last = max(one.head_indices)
    number = last if head == -1 else head
    if number not in one.head_indices:
        if len(one.head_indices) == last + 1:
            there = f"heads 0 to {last}, or -1 for the last"
        else:
            there = "heads " + ", ".join(map(str, one.head_indices))
        raise SelectionError(f"{one.name} has no head {head}: it has {there}")
    at = one.head_indices.index(number)
    mask = one.mask
    if mask is not None and mask.ndim >= 3 and mask.shape[-3] > 1:
        mask = mask[..., at : at + 1, :, :]
    return replace(
        one, weights=one.weights[:, at : at + 1], mask=mask, head_indices=(number,)
    )
