"""Writes the method of a network that names its attention maps, and who keeps each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from neural_attn.backends.emit.layers import STATEMENTS
from neural_attn.backends.emit.layout import WIDTH, string
from neural_attn.backends.emit.scope import Scope

from neural_attn.ir import LayerUse

_LOOP_LINES = 5  # def, docstring, layers = {}, for, one layer


@dataclass(frozen=True)
class _Map:
    """Who keeps a map: the layer at `path`, in one of its calls in a run.

    `suffix` is what the name of the map adds to that of the network's own layer.
    """

    suffix: str
    path: str
    call: int
    calls: int

    def kept(self, call: str = "") -> str:
        """The code for it."""
        if self.calls == 1:
            return self.path
        return f"Application({self.path}, {call or self.call}, {self.calls})"


def attention_lines(scope: Scope) -> list[str]:
    """The whole method."""
    root, names = scope.checked.root, list(scope.checked.places)
    lines = [
        "    def attention_layers(self):",
        f'{STATEMENTS}"""Return {{name of the attention map: layer}}."""',
    ]
    if not names:
        return [*lines, f"{STATEMENTS}return {{}}"]
    found = dict(_by_part(scope))
    if len(names) == 1 and all(use.repeat is None for use in root.uses.values()):
        ((one,),) = found.values()
        return [*lines, f"{STATEMENTS}return {{{string(names[0])}: {one.kept()}}}"]
    lines.append(f"{STATEMENTS}layers = {{}}")
    for name, parts in root.children.items():
        use = root.uses[name]
        of_parts = [found.get(use.part_name(i), []) for i in range(len(parts))]
        if any(of_parts):
            lines += _loop(use, of_parts) or _one_by_one(use, of_parts)
    return _named_at_once(lines) or [*lines, f"{STATEMENTS}return layers"]


def _by_part(scope: Scope) -> Iterator[tuple[str, list[_Map]]]:
    """The maps in each of the network's layers and their repeats, by its name."""
    checked = scope.checked
    calls = Counter(place.path for place in checked.places.values())
    so_far: Counter[str] = Counter()
    found: dict[str, list[_Map]] = {}
    for name, place in checked.places.items():
        path, (part, *_) = place.path, place.steps
        suffix = name.removeprefix(part)
        keeper = scope.scopes[place.block].observer if place.block.observes else ""
        kept_by = f"self{path}.{keeper}" if keeper else f"self{path}"
        one = _Map(suffix, kept_by, so_far[path], calls[path])
        found.setdefault(part, []).append(one)
        so_far[path] += 1
    yield from found.items()


def _one_by_one(use: LayerUse, of_parts: list[list[_Map]]) -> list[str]:
    return [
        line
        for i, maps in enumerate(of_parts)
        for line in _inner(use.part_name(i), maps)
    ]


# the first repeat on the way to a map: `self.encoder.layer[2].attention`
_REPEAT = re.compile(r"(self(?:\.\w+)+)\[(\d+)\]\.")

Item = tuple[str, str]  # the name of a map, and the code for what keeps it


def _repeated(one: _Map) -> tuple[str, str]:
    """The layers of a block and which of them keeps a map; ("", "") if none does."""
    found = _REPEAT.match(one.path)
    return (found[1], found[2]) if found and one.calls == 1 else ("", "")


def _inner(part: str, maps: list[_Map]) -> list[str]:
    """The lines for the maps inside a layer, with loops over repeats in its block."""
    lines: list[str] = []
    for layers, group in groupby(maps, lambda one: _repeated(one)[0]):
        copies = [
            [(part + one.suffix, one.kept()) for one in copy]
            for _, copy in groupby(group, _repeated)
        ]
        lines += _inner_loop(layers, copies) or _items(copies)
    return lines


def _items(copies: list[list[Item]]) -> list[str]:
    return [
        f"{STATEMENTS}layers[{string(name)}] = {kept}"
        for copy in copies
        for name, kept in copy
    ]


def _inner_loop(layers: str, copies: list[list[Item]]) -> list[str]:
    """A loop over the copies of a repeat; none where they keep unlike."""
    label = layers.rpartition(".")[2]

    def in_loop(i: int, name: str, kept: str) -> Item:
        key = name.replace(f".{label}_{i}.", f".{label}_{{i}}.", 1)
        return key, "layer" + kept.removeprefix(f"{layers}[{i}]")

    first, *others = (
        [in_loop(i, *one) for one in copy] for i, copy in enumerate(copies)
    )
    if not layers or not others or any(copy != first for copy in others):
        return []
    return [
        f"{STATEMENTS}for i, layer in enumerate({layers}):",
        *(f"{STATEMENTS}    layers[f{string(k)}] = {kept}" for k, kept in first),
    ]


def _loop(use: LayerUse, of_parts: list[list[_Map]]) -> list[str]:
    """A loop over repeats that keep alike; none where they do not."""
    count = len(of_parts)
    first, *others = (
        [_in_loop(use, i, count, m) for m in of_parts[i]] for i in range(count)
    )
    if use.repeat is None or any(maps != first for maps in others):
        return []
    label, start = (use.label, use.index) if use.index is not None else (use.name, 0)
    begin = f", {start}" if start else ""
    lines = [f"{STATEMENTS}for i, layer in enumerate(self.{use.name}{begin}):"]
    if use.is_shared:
        steps = f"{start}, {start + count}" if start else count
        lines = [f"{STATEMENTS}for i in range({steps}):"]
    for one in first:
        key = string(f"{label}_{{i}}{one.suffix}")
        call = _call(one, start or 0, count) if use.is_shared else ""
        lines.append(f"{STATEMENTS}    layers[f{key}] = {one.kept(call)}")
    return lines


def _in_loop(use: LayerUse, i: int, count: int, one: _Map) -> _Map:
    """A map of one of the repeats, as the loop over all of them would write it."""
    if use.is_shared:
        return replace(one, call=one.call - i * one.calls // count)
    copy = f"self.{use.name}[{i}]"
    return replace(one, path="layer" + one.path.removeprefix(copy))


def _call(one: _Map, start: int, count: int) -> str:
    """Which call of the layer it is in the loop, by `i`."""
    each = one.calls // count
    number = f"i - {start}" if start else "i"
    if each > 1:
        number = f"{each} * ({number})" if start else f"{each} * i"
    return f"{number} + {one.call}" if one.call else number


def _named_at_once(lines: list[str]) -> list[str]:
    """A loop over one group of layers as a single mapping, where that is short."""
    *head, start, loop, item = lines
    if len(lines) != _LOOP_LINES or not loop.lstrip().startswith("for "):
        return []
    clause, _, layers = loop.strip().removesuffix(":").rpartition(" in ")
    key, _, value = item.strip().removeprefix("layers[").partition("] = ")
    whole = f"{STATEMENTS}return {{{key}: {value} {clause} in layers}}"
    if len(whole) > WIDTH:
        return []
    return [*head, start.replace("{}", layers), whole]
