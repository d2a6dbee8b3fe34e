"""What goes into a network: checks arrays, makes samples, counts tokens."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.array_files import (
    ArrayFileError,
    read_array,
    read_member,
    reading,
    weigh,
)
from neural_attn.diagnostics.errors import NeuralError, fail, reason
from neural_attn.inputs.by_name import by_name
from neural_attn.inputs.file_kinds import is_table
from neural_attn.inputs.limits import id_limits
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.sample import sample
from neural_attn.inputs.tokens import by_input, check_count
from neural_attn.ir import Input
from neural_attn.shapes.infer import at_shapes
from neural_attn.shapes.instance import Checked

__all__ = ["prepare", "read_data"]


def read_data(path: str | Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Read a .npy file, or a .npz file with one array per input.

    Nothing in the file is executed. Raises NeuralError where it cannot be read.
    """
    path = Path(path)
    if is_table(path) and path.is_file():
        fail("E0404.table", path=path)
    try:
        with path.open("rb") as stream, reading("it is damaged"):
            if not zipfile.is_zipfile(stream):
                stream.seek(0)
                return read_array(stream, path.stat().st_size, "it")
            with zipfile.ZipFile(stream) as archive:
                members = weigh(archive)
                return {n: read_member(archive, info) for n, info in members.items()}
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except ArrayFileError as error:
        fail("E0404", path=path, reason=error)


def prepare(
    checked: Checked,
    data: Any = None,
    tokens: Tokens | None = None,
    seed: int = 0,
) -> Prepared:
    """Check data against a network, or make a sample where there is none.

    `data` is an array [batch, …], or a mapping of input name to array; `tokens` label
    the positions of the first input, or of several by name. Raises
    NeuralError for a wrong shape or type, NaN, ids out of range, or a number of
    tokens that is not the length.
    """
    notes: list[str] = []
    inputs = checked.network.inputs
    labels = by_input(checked, tokens)
    if data is None:
        arrays = sample(checked, labels, seed)
        shapes = ", ".join(str(array.shape) for array in arrays.values())
        notes.append(
            f"no data given: made a random sample of shape {shapes} (seed {seed})"
        )
        if labels:
            notes.append(
                "the tokens are only labels: no text was read, and the input for "
                "each was drawn at random, the same for equal tokens"
            )
    else:
        named = by_name(checked, data, notes)
        arrays = {name: np.asarray(array) for name, array in named.items()}
    arrays = {
        given.name: _checked(checked, given, arrays[given.name], notes)
        for given in inputs
        if given.name in arrays
    }
    _check_batches(arrays)
    _check_lengths(checked, arrays, notes)
    _check_ids(checked, arrays)
    for name, given_labels in labels.items():
        check_count(name, given_labels, arrays[name])
    result = arrays if len(inputs) > 1 else arrays[inputs[0].name]
    return Prepared(result, tokens, notes)


def _checked(
    checked: Checked, given: Input, array: NDArray[Any], notes: list[str]
) -> NDArray[Any]:
    """One array in the type that the network takes."""
    if array.dtype.kind not in "iufb":
        fail("E0406", input=given.name, dtype=array.dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        fail("E0407", input=given.name, where=list(where))
    if array.ndim == 0:
        _wrong_shape(given, array)
    if array.ndim == len(given.shape):
        array = array[None]
        notes.append(f"data of shape {array.shape[1:]} taken as one example")
    if not array.size:
        fail("E0408", input=given.name, shape=array.shape)
    if given.dtype == "float":
        return _float32(given, array)
    if _is_embedded(checked, given, array):
        notes.append(
            f"numbers of shape {array.shape} taken as embedded already: "
            "the Embedding is skipped"
        )
        return _float32(given, array)
    if array.dtype.kind == "f":
        if array.ndim == 3:
            _wrong_shape(given, array)
        if (array != np.round(array)).any():
            fail("E0406.ids", input=given.name)
        notes.append(f"the numbers of `{given.name}` are taken as token ids")
    if array.dtype.kind in "fu" and float(abs(array).max()) >= 2**63:
        fail("E0410.number", input=given.name, number=array.max())
    return array.astype(np.int64)


def _float32(given: Input, array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        fail("E0407.large", input=given.name)
    return numbers


def _is_embedded(checked: Checked, given: Input, array: NDArray[Any]) -> bool:
    if array.dtype.kind != "f" or array.ndim != 3 or not checked.network.takes_embedded:
        return False
    first = next(iter(checked.root.children.values()))[0]
    width = first.values.get("output_dim")
    if array.shape[2] != width:
        fail("E0409.width", shape=array.shape, width=array.shape[2], d_model=width)
    return True


def _check_batches(arrays: Mapping[str, NDArray[Any]]) -> None:
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        fail("E0409.examples", shown=shown)


def _check_lengths(
    checked: Checked, arrays: Mapping[str, NDArray[Any]], notes: list[str]
) -> None:
    """Run the shapes again where the data is of another length than declared."""
    shapes: dict[str, tuple[int | None, ...]] = {}
    for given in checked.network.inputs:
        if given.name not in arrays:
            continue
        array = arrays[given.name]
        sizes = array.shape[1:]
        if given.dtype == "int" and array.dtype.kind == "f":
            sizes = sizes[:1]  # embedded already
        if len(sizes) != len(given.shape):
            _wrong_shape(given, array)
        if any(a != b for a, b in zip(sizes[1:], given.shape[1:], strict=True) if b):
            _wrong_shape(given, array)
        shapes[given.name] = sizes
        if given.shape and given.shape[0] not in (None, sizes[0]):
            notes.append(
                f"the network declares {given.shape[0]} positions, but the data have "
                f"{sizes[0]}: it runs with {sizes[0]}"
            )
    given_shapes = ", ".join(str(array.shape) for array in arrays.values())
    declared = "it declares " + ", ".join(_declared(i) for i in checked.network.inputs)
    try:
        found = at_shapes(checked.network, shapes)
    except NeuralError as error:
        problem = error.diagnostics[0]
        fail(
            "E0409.run",
            problem.span,
            shapes=given_shapes,
            reason=problem.message,
            declared=declared,
        )
    needed = {name: weight.shape for name, weight in found.root.named_weights()}
    for name, weight in checked.root.named_weights():
        if needed[name] != weight.shape:
            fail(
                "E0409.weight",
                shapes=given_shapes,
                name=name,
                shape=list(weight.shape),
                needed=list(needed[name]),
                declared=declared,
            )


def _wrong_shape(given: Input, array: NDArray[Any]) -> None:
    hint = ""
    if given.dtype == "int" and array.ndim == 3:
        hint = (
            "the network takes token ids; write `input: (time, width)` "
            "to also take numbers that are embedded already"
        )
    fail(
        "E0409",
        hint=hint,
        input=given.name,
        shape=array.shape,
        declared=_declared(given),
    )


def _declared(given: Input) -> str:
    sizes = ["batch", *("any length" if s is None else str(s) for s in given.shape)]
    kind = "ids" if given.dtype == "int" else "numbers"
    return f"({', '.join(sizes)}) {kind}"


def _check_ids(checked: Checked, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, limit in id_limits(checked).items():
        array = arrays.get(name)
        if array is None or array.dtype.kind == "f":
            continue
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= limit:
            wrong = low if low < 0 else high
            fail("E0410", name=name, wrong=wrong, last=limit - 1)
