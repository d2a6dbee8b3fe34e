"""How the layers of a network tell positions apart, measured on what they give.

A layer is known by what it does, not by its name, so that a `define` of one's own is
drawn as the built-in ones are: it adds to what it is given by the position, looks
positions up in a table, turns queries and keys, or gives a bias by distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.types import Positions
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.limits import max_length
from neural_attn.models.capture import LoadedModel
from neural_attn.shapes.instance import Instance
from neural_attn.teaching.charts import Cells, Chart, Curves, Lesson

__all__ = ["Found", "encoding", "find", "lesson"]

LENGTH = 100  # positions that are drawn, where the network takes as many
CURVES = 8  # of dimensions
RANDOM = "untrained (random) weights"


@dataclass(frozen=True)
class Found:
    """A layer that tells positions apart: its name, what it does, and the layer.

    `what` is a key of `_KINDS`; `layer` is that of the NumPy backend.
    """

    name: str
    what: str
    part: Instance
    layer: Any


def lesson(loaded: LoadedModel, length: int | None = None) -> Lesson:
    """The charts of every kind of position that a network has, each once.

    `length` is how many positions are drawn. Raises NeuralError (E0481) where no layer
    tells positions apart, and where there are fewer positions.
    """
    network, most = loaded.checked.network, max_length(loaded.checked)
    if length is not None and most is not None and length > most:
        fail("E0481.length", network=network.name, most=most, length=length)
    count = length or min(LENGTH, most or LENGTH)
    found = list(find(loaded.checked.root, loaded.model))
    if not found:
        fail("E0481.positions", network.block.span, network=network.name)
    random = "" if loaded.trained else RANDOM
    charts: list[Chart] = []
    for alike, numbers in _alike(found, count):
        first, last = alike[0], alike[-1]
        title = first.name if first is last else f"{first.name} … {last.name}"
        said = random if first.part.has_weights else ""
        charts += _KINDS[first.what][1](title, said, first, numbers)
    return Lesson("positions", "How positions are encoded", charts)


def find(part: Instance, layer: Any, name: str = "") -> Iterator[Found]:
    """Every layer inside that tells positions apart, in the order of the network."""
    what = _what(part)
    if name and what:
        yield Found(name, what, part, layer)
        return
    for child in part.children:
        several = part.uses[child].has_copies
        for index, inner in enumerate(part.copies(child)):
            own = getattr(layer, child, None)
            own = own[index] if several and own is not None else own
            if own is not None:
                step = part.uses[child].part_name(index) if several else child
                yield from find(inner, own, f"{name}.{step}".removeprefix("."))


def _what(part: Instance) -> str:
    """What a layer does with positions, "" if nothing."""
    inputs = part.inputs
    if isinstance(part.target, NativeLayer):
        looks_up = part.target.name == "Embedding" and isinstance(inputs[0], Positions)
        return "table" if looks_up else ""
    if part.attentions() or part.output is None or not inputs:
        return ""
    counted = {step.name for step in part.steps if step.kind == "function"}
    first, output = inputs[0], part.output
    same = str(first) == str(output)
    if "relative_positions" in counted and output.rank == 2 and len(inputs) <= 2:
        return "bias"
    if len(inputs) == 2 and first.rank == 4 and same:
        return "turn" if inputs[1].dtype == "int" and inputs[1].rank == 2 else ""
    added = "positions" in counted and len(inputs) == 1 and first.rank == 3 and same
    return "added" if added else ""


def _alike(found: list[Found], count: int) -> list[tuple[list[Found], NDArray[Any]]]:
    """Layers in groups that give the same numbers, and these: most networks repeat."""
    groups: dict[object, tuple[list[Found], NDArray[Any]]] = {}
    for one in found:
        numbers = _KINDS[one.what][0](one, count)
        key = one.what, numbers.shape, numbers.tobytes()
        groups.setdefault(key, ([], numbers))[0].append(one)
    return list(groups.values())


# --- what layers give ---------------------------------------------------------------


def encoding(one: Found, count: int) -> NDArray[Any]:
    """What a layer adds to zeros, or has in its table: [positions, d_model]."""
    if one.what == "table":
        return _first(one.layer(np.arange(count)[None]))
    width = one.part.inputs[0].width.value
    assert width is not None
    return _first(one.layer(np.zeros((1, count, width), np.float32)))


def turned(one: Found, count: int) -> NDArray[Any]:
    """What becomes of each unit vector at each position: [size, positions, size].

    The vectors take the place of heads, which are all turned alike.
    """
    size = one.part.inputs[0].width.value
    assert size is not None
    units = np.broadcast_to(np.eye(size)[None, :, None], (1, size, count, size))
    return _first(one.layer(units.astype(np.float32), np.arange(count)[None]))


def bias(one: Found, count: int) -> NDArray[Any]:
    """The bias of each head by distance: [heads, 2 count - 1]."""
    *around, _, width = one.part.inputs[0].dims[1:]
    sizes = [size.value or 1 for size in around]  # heads, where they are split already
    query = np.zeros((1, *sizes, count, width.value or 1), np.float32)
    taken = signature(one.layer.forward).parameters  # keys too, where a call gives them
    return np.asarray(one.layer(*[query] * len(taken)))


def _first(batch: Any) -> NDArray[Any]:
    """The only example of what a layer gave."""
    only: NDArray[Any] = np.asarray(batch)[0]
    return only


# --- charts -------------------------------------------------------------------------


def _encoding_charts(
    title: str, said: str, one: Found, values: NDArray[Any]
) -> list[Chart]:
    count = len(values)
    kind = "learned, " if one.part.has_weights else ""
    about = f"{kind}{values.shape[1]} dimensions"
    about += f"; {said}" if said else ""
    chosen = _spread(values.shape[1])
    lines = {f"dimension {at}": values[:, at] for at in chosen}
    x = np.arange(float(count))
    curves = Curves(title, about, x, "position", "what is added", lines, ordered=True)
    cells = Cells(
        "Every dimension",
        about,
        values.T,
        [str(at) for at in range(values.shape[1])],
        [str(at) for at in range(count)],
        "dimension",
        "position",
        signed=True,
        value_title="what is added",
    )
    return [curves, cells]


def _rotary_charts(
    title: str, said: str, one: Found, units: NDArray[Any]
) -> list[Chart]:
    size, count = units.shape[:2]
    cosine = np.stack([units[at, :, at] for at in range(size)])  # [size, positions]
    sine = units.sum(axis=-1) - cosine
    pairs = _pairs(units)
    chosen = [pairs[at] for at in _spread(len(pairs))]
    lines = {f"numbers {a} and {b}": cosine[a] for a, b in chosen}
    x = np.arange(float(count))
    still = size - 2 * len(pairs)
    about = f"{len(pairs)} pairs of numbers" + (f", {still} stay" if still else "")
    charts: list[Chart] = [
        Curves(
            title,
            f"{about}; what is kept of a number as its pair rotates",
            x,
            "position",
            "cosine of the angle",
            lines,
            ordered=True,
        )
    ]
    if count > 1 and pairs:
        first = [a for a, _ in pairs]
        rates = np.arctan2(abs(sine[first, 1]), cosine[first, 1])
        charts.append(
            Cells(
                "Angles",
                f"slowest pair: one turn in {_period(rates.min())} positions",
                np.mod(np.outer(rates, x), 2 * np.pi),
                [f"{a}+{b}" for a, b in pairs],
                [str(at) for at in range(count)],
                "pair of numbers",
                "position",
                value_title="angle (radians)",
            )
        )
    return charts


def _bias_charts(
    title: str, said: str, one: Found, values: NDArray[Any]
) -> list[Chart]:
    count = (values.shape[1] + 1) // 2
    x = np.arange(1.0 - count, count)
    slopes = -(values[:, -1] - values[:, count - 1]) / max(count - 1, 1)
    straight = np.allclose(values, -slopes[:, None] * abs(x), atol=1e-4)
    lines = {
        f"head {head}, slope {slopes[head]:.3g}" if straight else f"head {head}": row
        for head, row in enumerate(values)
    }
    kind = "learned" if one.part.has_weights else "falls with distance"
    about = "; ".join(filter(None, [f"{kind}, {len(values)} heads", said]))
    return [
        Curves(
            title,
            about,
            x,
            "position of the key minus that of the query",
            "added to the logit",
            lines,
            {0.0: "the query itself"},
            ordered=True,
        )
    ]


def _pairs(units: NDArray[Any]) -> list[tuple[int, int]]:
    """Which numbers turn together: each with the other that it leaks into."""
    leaks = np.abs(units).max(axis=1)
    np.fill_diagonal(leaks, 0)
    pairs = []
    for at, row in enumerate(leaks):
        other = int(row.argmax())
        if row[other] > 0 and at < other:
            pairs.append((at, other))
    return pairs


def _spread(count: int) -> list[int]:
    """At most CURVES numbers below `count`, from the first to the last."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(CURVES, count))})


def _period(rate: float) -> str:
    return f"{2 * np.pi / rate:,.0f}" if rate > 0 else "no"


_Run = Callable[[Found, int], NDArray[Any]]
_Draw = Callable[[str, str, Found, NDArray[Any]], list[Chart]]

# what a layer does: how its numbers are found, and what is drawn of them
_KINDS: dict[str, tuple[_Run, _Draw]] = {
    "added": (encoding, _encoding_charts),
    "table": (encoding, _encoding_charts),
    "turn": (turned, _rotary_charts),
    "bias": (bias, _bias_charts),
}
