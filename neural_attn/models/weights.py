"""Weight files: read, held against a network, and drawn at random.

One safetensors file serves every backend: names are attribute paths joined by dots,
layouts are PyTorch's.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.catalogue import Weight
from neural_attn.diagnostics.errors import fail, reason
from neural_attn.pickled_files import form_of, load_pickled
from neural_attn.shapes.instance import Checked
from neural_attn.weighing import TooLargeError, weigh_text

_FLOATS = ("F64", "F32", "F16")


def expected(checked: Checked) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of a network, in order."""
    return {name: weight.shape for name, weight in checked.root.named_weights()}


def initial(checked: Checked, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random weights, the same for every backend and machine with the same seed.

    Matrices are Glorot-uniform (Glorot and Bengio, 2010); embeddings normal with
    deviation 1, of the same size as sinusoidal positions; biases 0, scales 1; a Weight
    as its author says. All float32.
    """
    random = np.random.default_rng(seed)
    return {
        name: _drawn(weight, random) for name, weight in checked.root.named_weights()
    }


def _drawn(weight: Weight, random: np.random.Generator) -> NDArray[np.float32]:
    shape = weight.shape
    if weight.start in ("zeros", "ones"):
        return np.full(shape, weight.start == "ones", np.float32)
    if isinstance(weight.start, int | float):
        return np.full(shape, weight.start, np.float32)
    if weight.start in ("normal", "small"):
        values = random.standard_normal(shape)
        values *= 0.02 if weight.start == "small" else 1
    else:
        # each number that goes in meets every place of a convolution's kernel
        limit = math.sqrt(6 / sum(shape[:2]) / math.prod(shape[2:]))
        values = random.uniform(-limit, limit, shape)
    return values.astype(np.float32)


def check_file(checked: Checked, path: Path) -> None:
    """Hold a safetensors file against a network by its header alone.

    Raises NeuralError naming the first tensor that differs and both shapes.
    """
    header = read_header(path)
    found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    check_shapes(checked, found, str(path))
    for name, entry in header.items():
        if entry["dtype"] not in _FLOATS:
            fail("E0604", path=path, name=name, dtype=entry["dtype"])


def check_shapes(
    checked: Checked, found: Mapping[str, tuple[int, ...]], path: str
) -> None:
    """Hold names and shapes against a network. Raises NeuralError at the first."""
    network = checked.network.name
    needed = expected(checked)
    for name, shape in needed.items():
        if name not in found:
            near = [n for n in found if n.rpartition(".")[2] == name.rpartition(".")[2]]
            hint = (
                f"the file has {len(found)} tensors, such as `{near[0]}`"
                if near
                else ""
            )
            fail(
                "E0602.missing",
                hint=hint,
                path=path,
                network=network,
                name=name,
                shape=list(shape),
            )
        if found[name] != shape:
            fail(
                "E0602",
                path=path,
                network=network,
                name=name,
                found=list(found[name]),
                shape=list(shape),
            )
    for name in found:
        if name not in needed:
            fail(
                "E0602.unknown",
                path=path,
                network=network,
                name=name,
                shape=list(found[name]),
            )


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """The tensors of a safetensors file: name to dtype and shape.

    Raises NeuralError where the file is missing or is not a safetensors file.
    """
    try:
        with path.open("rb") as stream:
            size_bytes = stream.read(8)
            size = struct.unpack("<Q", size_bytes)[0] if len(size_bytes) == 8 else 0
            size = size if 8 + size <= path.stat().st_size else 0
            weigh_text(size)
            header = json.loads(stream.read(size))
    except TooLargeError as error:
        fail("E0603.large", path=path, reason=error)
    except OSError as error:
        fail("E0601", path=path, reason=reason(error))
    except (ValueError, RecursionError):
        fail("E0603", path=path)
    tensors = header if isinstance(header, dict) else {}
    tensors.pop("__metadata__", None)
    for name, entry in tensors.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        sizes = shape if isinstance(shape, list) else [None]
        # `type`, because true and false are whole numbers to isinstance
        if not all(type(size) is int and size >= 0 for size in sizes) or not isinstance(
            entry.get("dtype"), str
        ):
            fail("E0603.entry", path=path, name=name)
    return tensors


def read_checkpoint(checked: Checked, path: Path) -> dict[str, NDArray[np.floating]]:
    """The weights in a file, checked against the network.

    .safetensors, or .pt/.pth as PyTorch's state_dict (loaded without running any of
    its code). Raises NeuralError where the file is broken or does not fit.
    """
    if path.suffix in (".pt", ".pth"):
        found = _read_torch(path)
        check_shapes(checked, {n: (*t.shape,) for n, t in found.items()}, str(path))
        tensors = {n: t.detach().float().numpy() for n, t in found.items()}
    else:
        check_file(checked, path)
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(path)
        except SafetensorError as error:
            fail("E0603.damaged", path=path, reason=error)
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            fail("E0605", path=path, name=name)
    return tensors


def _read_torch(path: Path) -> dict[str, Any]:
    """The tensors of floating-point numbers, which are not read yet."""
    try:
        import torch

        state = load_pickled(path)
    except ImportError:
        fail("E0502.torch", path=path.name)
    except OSError as error:
        fail("E0601", path=path, reason=reason(error))
    except TooLargeError as error:
        fail("E0603.large", path=path, reason=error)
    except ValueError:
        fail("E0603.state_dict", path=path)
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        fail("E0603.mapping", path=path)
    for name, value in state.items():
        if form := form_of(value):
            fail("E0603.form", path=path, name=name, form=form)
    return {str(n): value for n, value in state.items() if value.is_floating_point()}
