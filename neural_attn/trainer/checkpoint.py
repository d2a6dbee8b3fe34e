"""Where a training stands, as one file: it is there whole or not at all.

A safetensors file: the learner's arrays, and beside them, as JSON in its header, the
history and what the run was made of. Nothing in it can be executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neural_attn.backends.emit.base import Learner
from neural_attn.diagnostics.errors import fail, reason
from neural_attn.files import atomic_write

_KEY = "training"  # in the header of the file

Row = dict[str, float]  # an epoch of the history


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch: arrays, the history so far, and what it is of."""

    state: Mapping[str, NDArray[Any]]
    history: list[Row]
    of: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write it in one step. Raises NeuralError (E0706) where it cannot be."""
        from safetensors.numpy import save

        said = json.dumps({"history": self.history, "of": dict(self.of)})
        write(path, save(dict(self.state), {_KEY: said}))


def read(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises NeuralError (E0705) for what is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            said = json.loads((file.metadata() or {})[_KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Checkpoint(state, said["history"], said["of"])
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except (SafetensorError, KeyError, TypeError, ValueError):
        fail("E0705.none", path=path)


def check_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those a checkpoint was made with."""
    for name, value in wanted.items():
        if found.get(name) == value:
            continue
        if name in ("data", "network", "tokenizer"):
            fail("E0705.other", path=path, what=name)
        fail("E0705.setting", path=path, name=name, found=found.get(name), value=value)


def restore(learner: Learner, state: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Let a learner go on from a state. Raises NeuralError (E0705) if it is damaged."""
    try:
        learner.restore(state)
    except (RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        # names, shapes and numbers that are not those of the network
        fail("E0705.state", path=path, reason=" ".join(str(error).split()))


def write(path: Path, content: bytes | str) -> Path:
    """Write a file whole, or leave what was there. Raises NeuralError (E0706)."""
    with writing(path):
        return atomic_write(path, content)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file could not be written: a full disk names none."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        fail("E0706", path=path, reason=reason(error))
    except SafetensorError as error:
        path.with_name(f"{path.name}.part").unlink(missing_ok=True)
        fail("E0706", path=path, reason=error)
