"""From a file to source text for a backend."""

from __future__ import annotations

from pathlib import Path

from neural_attn import backends
from neural_attn.backends.emit.emitter import emit
from neural_attn.check import check_file, check_text, check_tree, choose
from neural_attn.diagnostics.errors import Diagnostic
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
) -> str:
    """Compile a .neural file to source text for a backend.

    `backend` is a name or alias (the framework need not be installed), or "auto".
    With `output`, the text is also written there. Raises NeuralError with every
    problem of the file.
    """
    return compile_with_warnings(path, backend, output, network)[0]


def compile_with_warnings(
    path: str | Path, backend: str, output: str | Path | None, network: str | None
) -> tuple[str, list[Diagnostic], str]:
    """The same, with the warnings and the name of the backend that was taken."""
    networks, warnings = check_file(path)
    checked = choose(networks, network)
    target = backends.choose(backend) if backend == "auto" else backends.get(backend)
    text = emit(checked, target)
    if output is not None:
        atomic_write(output, text)
    return text, [*warnings, *target.cannot(checked)], target.name
