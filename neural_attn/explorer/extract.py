"""The numbers back out of a page; a stranger's page may be read, nothing in it runs."""

from __future__ import annotations

import binascii
import json
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.array_files import ArrayFileError, reading
from neural_attn.explorer.arrange import Ranks, restore
from neural_attn.explorer.payload import FORMAT, VERSION
from neural_attn.explorer.quantize import Precision, dequantize
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.promises import NONNEGATIVE, SHARES
from neural_attn.weighing import weigh

__all__ = ["PageError", "read_page"]

_HEADER = re.compile(rb'<script type="application/json" id="header">([^<]*)</script>')
_BLOCK = re.compile(
    rb'<script type="application/octet-stream" id="b(\d{1,9})">([A-Za-z0-9+/=]*)<'
)


class PageError(ArrayFileError):
    """A file is not a page of the explorer, or does not hold what is asked for."""


def read_page(path: str | os.PathLike[str], source: int = 0) -> AttentionMaps:
    """Read the maps of a page back.

    Weights are within the bound that the page states of those it was made from, and
    equal them where it was made with precision "full". The rows and columns of padding,
    which a page leaves out, are 0 and masked.

    Parameters
    ----------
    source : int
        Which of two compared sets of maps: 0 or 1.

    Raises
    ------
    PageError
        A ValueError that says in one line what is wrong with the file.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        with reading("not a page of the explorer"):
            return _Page(data).maps(source)
    except ArrayFileError as error:
        raise PageError(f"{path}: {error}") from None


class _Page:
    def __init__(self, data: bytes) -> None:
        found = _HEADER.search(data)
        if found is None:
            raise PageError("not a page of the explorer: it has no header")
        # as objects, JSON is some twenty times as large
        weigh(20 * len(found[1]), len(data), "description")
        self.header = json.loads(found[1])
        if self.header["format"] != FORMAT:
            raise PageError("not a page of the explorer")
        if self.header["version"] != VERSION:
            raise PageError(
                f"written in version {self.header['version']!r} of the format; "
                f"this program reads version {VERSION}"
            )
        stored = self.header["precision"]
        self.precision = Precision(stored["name"], tuple(map(float, stored["shares"])))
        # Where each block stands; the text is cut out when it is needed.
        self.data = data
        self.blocks = {int(m[1]): m.span(2) for m in _BLOCK.finditer(data)}

    def maps(self, source: int) -> AttentionMaps:
        sources = self.header["sources"]
        if not 0 <= source < len(sources):
            raise PageError(f"has no maps number {source}: it has {len(sources)}")
        about = sources[source]
        weigh(sum(map(_claimed, about["maps"])), len(self.data), "weights")
        return AttentionMaps(
            [self._map(entry) for entry in about["maps"]],
            trained=about["trained"],
            source=about["source"],
            backend=about["backend"],
        )

    def _map(self, entry: dict[str, Any]) -> AttentionMap:
        examples, shape = entry["examples"], _shape(entry)
        weights = np.zeros(shape, np.float32)
        mask = np.zeros((shape[0], *shape[1:]), bool) if entry["masked"] else None
        texts = self.header["texts"]
        for index, example in enumerate(examples):
            place = _place(example)
            for head, block in enumerate(example["blocks"]):
                weights[index, head][place] = self._weights(entry, example, head, block)
            if mask is not None:
                rows, columns = place
                mask[index, :, rows, columns] = self._allowed(entry, example)
        return AttentionMap(
            entry["name"],
            weights,
            entry["kind"],
            mask,
            entry["causal"],
            [texts[e["query_text"]]["tokens"] for e in examples],
            [texts[e["key_text"]]["tokens"] for e in examples],
            entry["heads"],
            entry.get("rows", SHARES),
        )

    def _weights(
        self, entry: dict[str, Any], example: dict[str, Any], head: int, block: int
    ) -> NDArray[np.float32]:
        rows, columns = example["rows"], example["columns"]
        if example["form"] == "reduced":
            kept = example["exact_heads"].get(str(head))
            if kept is None:
                raise PageError(
                    f"{entry['name']} is kept in less detail (tiles of "
                    f"{example['tile']}): its weights cannot be recovered"
                )
            block = kept
        if self.precision.shares and entry.get("rows", SHARES) in NONNEGATIVE:
            return self._decoded(block, rows, columns)
        data = self._block(block, 4 * rows * columns)
        planes = np.frombuffer(data, np.uint8).reshape(4, rows * columns)
        return np.ascontiguousarray(planes.T).view("<f4").reshape(rows, columns)

    def _decoded(self, block: int, rows: int, columns: int) -> NDArray[np.float32]:
        sizes = [4 * rows, rows, columns, rows + columns - 1, rows * columns]
        data = np.frombuffer(self._block(block, sum(sizes)), np.uint8)
        scales, *ranks, codes = np.split(data, np.cumsum(sizes)[:-1])
        if codes.max() >= len(self.precision.shares):
            raise PageError(f"block {block} holds a code that stands for nothing")
        return dequantize(
            scales.view("<f4"), restore(Ranks(*ranks), codes), self.precision
        )

    def _allowed(
        self, entry: dict[str, Any], example: dict[str, Any]
    ) -> NDArray[np.bool_]:
        rows, columns, stored = example["rows"], example["columns"], example["mask"]
        if stored is None:
            return np.ones((1, rows, columns), bool)
        count = stored["heads"] * rows * columns
        data = self._block(stored["block"], -(-count // 8))
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
        return bits.astype(bool).reshape(stored["heads"], rows, columns)

    def _block(self, number: int, size: int) -> bytes:
        start, stop = self.blocks[number]
        packed = binascii.a2b_base64(self.data[start:stop])
        # One byte more than is right: a block that claims more is not unpacked.
        data = zlib.decompressobj().decompress(packed, size + 1)
        if len(data) != size:
            raise PageError(f"block {number} does not hold {size} bytes")
        return data


def _shape(entry: dict[str, Any]) -> tuple[int, int, int, int]:
    """[batch, heads, queries, keys] of a map, with its padding."""
    examples, heads = entry["examples"], entry["heads"]
    shape = (len(examples), len(heads), entry["queries"], entry["keys"])
    if any(type(size) is not int or size < 1 for size in shape):
        raise PageError(f"claims a map of shape {shape}")
    return shape


def _claimed(entry: dict[str, Any]) -> int:
    """The bytes of a map's weights, and of its mask."""
    return math.prod(_shape(entry)) * (5 if entry["masked"] else 4)


def _place(example: dict[str, Any]) -> tuple[slice, slice]:
    query, key = example["query_start"], example["key_start"]
    return (
        slice(query, query + example["rows"]),
        slice(key, key + example["columns"]),
    )
