"""From a file to source text for a backend."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

from neural_attn import backends
from neural_attn.backends.emit.emitter import emit, emit_apart
from neural_attn.check import check_file, check_text, check_tree, choose
from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.files import atomic_write

__all__ = [
    "check_file",
    "check_text",
    "check_tree",
    "choose",
    "compile_file",
    "compile_with_warnings",
]


def compile_file(
    path: str | Path,
    backend: str = "auto",
    output: str | Path | None = None,
    network: str | None = None,
    library: str | Path | None = None,
) -> str:
    """Compile a .neural file to source text for a backend.

    `backend` is a name or alias (the framework need not be installed), or "auto". With
    `output`, the text is also written there; with `library`, the code that networks
    share (attention, generation, saving) goes into that file beside it, which the text
    imports. Raises NeuralError with every problem of the file.
    """
    return compile_with_warnings(path, backend, output, network, library)[0]


def compile_with_warnings(
    path: str | Path,
    backend: str,
    output: str | Path | None,
    network: str | None,
    library: str | Path | None = None,
) -> tuple[str, list[Diagnostic], str]:
    """The same, with the warnings and the name of the chosen backend."""
    module = _module(library, output) if library is not None else ""
    networks, warnings = check_file(path)
    checked = choose(networks, network)
    target = backends.choose(backend) if backend == "auto" else backends.get(backend)
    if library is not None:
        text, shared = emit_apart(checked, target, module)
        atomic_write(library, shared)
    else:
        text = emit(checked, target)
    if output is not None:
        atomic_write(output, text)
    return text, [*warnings, *target.cannot(checked)], target.name


# what a module may not be called: generated files import these
_IMPORTED = {"keras", "numpy", "safetensors", "torch", *sys.stdlib_module_names}


def _module(library: str | Path, output: str | Path | None) -> str:
    """The name under which the file `output` imports the file `library`."""
    path = Path(library)
    beside = None if output is None else Path(output).absolute()
    is_module = path.suffix == ".py" and path.stem.isidentifier()
    if (
        beside is None
        or path.absolute().parent != beside.parent
        or path.stem in {beside.stem, *_IMPORTED, *keyword.kwlist}
        or not is_module
    ):
        fail("E0418.library", path=str(library), output=str(output or "-o"))
    return path.stem
