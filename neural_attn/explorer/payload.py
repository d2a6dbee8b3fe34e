"""The data of the page: how it is written. `docs/explorer.md` documents the format.

Every head of every example is a block of its own, so that the page unpacks only what
is looked at, and so that neither writing nor reading ever holds all of it: a block is
base64 of a zlib stream, which browsers undo natively. The header, JSON, says what each
block is.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from neural_attn.explorer.arrange import arrange
from neural_attn.explorer.images import Images
from neural_attn.explorer.measures import HeadMeasurer, Measures
from neural_attn.explorer.pyramid import group_head, reduce_head, tile_size
from neural_attn.explorer.quantize import PRECISIONS, Precision, quantize
from neural_attn.figures.reading import Reading, read_tokens
from neural_attn.maps.attention_maps import AttentionItem, AttentionMap, AttentionMaps
from neural_attn.promises import NONNEGATIVE, SHARES

__all__ = ["BLOCK_TAG", "FORMAT", "VERSION", "Detail", "PayloadWriter"]

FORMAT = "neural-attn explorer"
VERSION = 2
BLOCK_TAG = '<script type="application/octet-stream" id="b{}">'
# A head whose longer side is above the limit of `Detail` is reduced to this many tiles.
TILES = 512
# zlib and NumPy let go of the interpreter: two threads write in half the time.
THREADS = 2

Result = TypeVar("Result")


@dataclass(frozen=True)
class Detail:
    """What is kept in full where a text is too long for all of it.

    Parameters
    ----------
    longest : int
        Heads with more queries or keys than this are reduced.
    heads : sequence of (map name, position of the head in the map)
        Reduced heads that are kept in full as well.
    rows : sequence of int
        Queries that are kept exactly in every reduced head.
    """

    longest: int = 1536
    heads: Sequence[tuple[str, int]] = ()
    rows: Sequence[int] = ()


@dataclass
class PayloadWriter:
    """Writes blocks to `stream` as maps are added, and collects the header."""

    stream: BinaryIO
    precision: Precision
    detail: Detail
    _blocks: int = 0
    _measurer: HeadMeasurer = field(default_factory=HeadMeasurer)
    _texts: dict[tuple[str, ...], Reading] = field(default_factory=dict)
    images: Images = field(default_factory=Images)

    def add_map(
        self,
        maps: AttentionMaps,
        one: AttentionMap,
        *,
        slow: bool = False,
    ) -> dict[str, Any]:
        """Write all examples of `one`, which is among `maps`; give its header entry.

        `slow` metrics are among its measures only where they are asked for.
        """
        batch, _, queries, keys = one.weights.shape
        return {
            "name": one.name,
            "kind": one.kind,
            "causal": one.causal,
            "masked": one.mask is not None,
            **({} if one.rows == SHARES else {"rows": one.rows}),
            "heads": list(one.head_indices),
            "queries": queries,
            "keys": keys,
            "examples": [
                self._add_example(maps, one, index, slow) for index in range(batch)
            ],
        }

    def texts(self) -> list[dict[str, Any]]:
        """Every list of tokens that the header refers to by number, and its reading."""
        entries = []
        for tokens, reading in self._texts.items():
            entries.append(
                {
                    "tokens": list(tokens),
                    "shown": list(reading.shown),
                    "scheme": reading.scheme,
                    "words": list(reading.words),
                    "sentences": list(reading.sentences),
                    "special": [int(flag) for flag in reading.special],
                    "spaces": [int(flag) for flag in reading.spaces],
                }
            )
        return entries

    def _add_example(
        self,
        maps: AttentionMaps,
        one: AttentionMap,
        index: int,
        slow: bool,
    ) -> dict[str, Any]:
        item = maps.item(one.name, index)
        allowed = item.allowed
        mask = None if _only_causal(item, one) else allowed
        queries, keys = item.weights.shape[1:]
        tile = tile_size(queries, keys, TILES)
        reduced = max(queries, keys) > self.detail.longest
        entry: dict[str, Any] = {
            "query_text": self._text(one.query_tokens[index]),
            "key_text": self._text(one.key_tokens[index]),
            # Padding is left out: where the kept part starts in the whole.
            "query_start": _start(one, item, index, maps, axis=1),
            "key_start": _start(one, item, index, maps, axis=2),
            "rows": queries,
            "columns": keys,
            "form": "codes" if self._precision(item).shares else "float",
            "mask": None if mask is None else self._add_mask(mask),
        }
        if reduced:
            entry |= {"form": "reduced", "tile": tile, "links": min(8, keys)}
            entry["exact_rows"] = [r for r in self.detail.rows if 0 <= r < queries]
        entry["blocks"], found = self._add_heads(item, entry, slow)
        entry["measures"] = {
            key: [_rounded(head[key]) for head in found] for key in found[0]
        }
        self._add_image(maps, one, index, entry)
        if reduced:
            entry["units"] = self._add_units(item, entry)
            entry["exact_heads"] = {
                str(head): self._add_block(self._pack_weights(item, item.weights[head]))
                for name, head in self.detail.heads
                if name == one.name and 0 <= head < len(item.weights)
            }
        return entry

    def _add_image(
        self, maps: AttentionMaps, one: AttentionMap, index: int, entry: dict[str, Any]
    ) -> None:
        """Say of which image the keys are patches, and write rollout over it."""
        picture = maps.picture_of(one.name, index)
        if picture is None:
            return
        entry["picture"] = self.images.number(picture)
        rollout = self.images.rollout(maps, one, index)
        if rollout is not None:
            packed = _deflate(_codes(rollout, self.precision), self.precision)
            entry["rollout"] = self._add_block(packed)

    def _add_heads(
        self, item: AttentionItem, entry: dict[str, Any], slow: bool
    ) -> tuple[list[int], list[Measures]]:
        """Write a block for each head, in order, and measure all heads meanwhile."""
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.submit(self._measurer.measure, item, slow=slow)
            pack = partial(self._pack_head, item, entry)
            blocks = pool.map(pack, range(len(item.weights)))
            return [self._add_block(block) for block in blocks], found.result()

    def _add_units(
        self, item: AttentionItem, entry: dict[str, Any]
    ) -> dict[str, list[int]]:
        """Write reduced heads by words and by sentences, where those are few enough."""
        readings = list(self._texts.values())
        blocks = {}
        for unit in ("word", "sentence"):
            rows, columns = (
                readings[entry[f"{side}_text"]].starts(
                    unit, entry[f"{side}_start"], entry[length]
                )
                for side, length in (("query", "rows"), ("key", "columns"))
            )
            if 1 < max(len(rows), len(columns)) <= self.detail.longest:
                work = partial(self._pack_groups, item, rows, columns)
                packed = _in_threads(work, len(item.weights))
                blocks[unit] = [self._add_block(block) for block in packed]
        return blocks

    def _pack_groups(
        self,
        item: AttentionItem,
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        head: int,
    ) -> bytes:
        return self._pack_weights(item, group_head(item.weights[head], rows, columns))

    def _pack_head(
        self, item: AttentionItem, entry: dict[str, Any], head: int
    ) -> bytes:
        weights = item.weights[head]
        if entry["form"] != "reduced":
            return self._pack_weights(item, weights)
        signed = item.rows not in NONNEGATIVE
        reduced = reduce_head(weights, entry["tile"], signed=signed)
        precision = self._precision(item)
        key_type = "<u2" if weights.shape[1] <= 65536 else "<u4"
        exact = weights[entry["exact_rows"]]
        parts = [
            *_codes(reduced.greatest, precision),
            *_codes(reduced.mean, precision),
            _little(reduced.weights).tobytes(),
            exact.astype("<f4").tobytes(),
            reduced.keys.astype(key_type).tobytes(),
        ]
        return _deflate(parts, precision)

    def _pack_weights(self, item: AttentionItem, weights: NDArray[np.float32]) -> bytes:
        precision = self._precision(item)
        return _deflate(_codes(weights, precision), precision)

    def _precision(self, item: AttentionItem) -> Precision:
        """How a map is stored: signed weights exactly, as codes have no sign."""
        return self.precision if item.rows in NONNEGATIVE else PRECISIONS["full"]

    def _add_mask(self, allowed: NDArray[np.bool_]) -> dict[str, int]:
        # A mask that is the same for all heads, as it nearly always is, is kept once.
        same = allowed.strides[0] == 0 or bool((allowed == allowed[:1]).all())
        heads = allowed[:1] if same else allowed
        data = zlib.compress(np.packbits(heads).tobytes(), 6)
        return {"block": self._add_block(data), "heads": len(heads)}

    def _add_block(self, data: bytes) -> int:
        number = self._blocks
        self._blocks += 1
        self.stream.write(BLOCK_TAG.format(number).encode("ascii"))
        self.stream.write(binascii.b2a_base64(data, newline=False))
        self.stream.write(b"</script>\n")
        return number

    def _text(self, tokens: tuple[str, ...]) -> int:
        if tokens not in self._texts:
            self._texts[tokens] = read_tokens(tokens)
        return list(self._texts).index(tokens)


def _in_threads(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(work, range(count))


def _codes(weights: NDArray[np.float32], precision: Precision) -> list[bytes]:
    if not precision.shares:
        # The four bytes of a float apart: exponents are alike and compress then.
        planes = _little(weights).view(np.uint8).reshape(-1, 4)
        return [np.ascontiguousarray(planes.T).tobytes()]
    scales, codes = quantize(weights, precision)
    ranks, ordered = arrange(codes, np.array(precision.shares))
    parts = (scales.astype("<f4"), *ranks, ordered)
    return [part.tobytes() for part in parts]


def _little(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype="<f4")


def _deflate(parts: Sequence[bytes], precision: Precision) -> bytes:
    # Codes hardly ever repeat a longer sequence: looking for runs of one code alone is
    # three times as fast, and smaller.
    strategy = zlib.Z_RLE if precision.shares else zlib.Z_DEFAULT_STRATEGY
    # Memory level 7: a code table for every 8,192 symbols, as like stands beside like.
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 7, strategy)
    return packer.compress(b"".join(parts)) + packer.flush()


def _only_causal(item: AttentionItem, one: AttentionMap) -> bool:
    """Whether `one.causal` alone says which cells of `item` are allowed."""
    if one.mask is None:
        return True
    if not one.causal:
        return bool(item.allowed.all())
    queries, keys = item.weights.shape[1:]
    offset = one.weights.shape[3] - one.weights.shape[2]
    expected = np.tri(queries, keys, offset, dtype=bool)
    return queries == keys and bool((item.allowed == expected).all())


def _start(
    one: AttentionMap, item: AttentionItem, index: int, maps: AttentionMaps, axis: int
) -> int:
    length = item.weights.shape[axis]
    if length == one.weights.shape[axis + 1]:
        return 0
    found = one.key_range(index) if axis == 2 else maps.query_range(one, index)
    return int(found.start)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
