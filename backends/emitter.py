"""The one walk from a checked network to source text, for every backend."""

from __future__ import annotations

import re

from neural_attn.backends import runtime_source
from neural_attn.backends.base import Backend
from neural_attn.backends.class_writer import ClassWriter
from neural_attn.backends.layout import docstring, lay_out
from neural_attn.backends.model_class import ModelWriter

from neural_attn.ir import Block
from neural_attn.shapes.instance import Checked
from neural_attn.version import __version__

_HEADER_WIDTH = 82  # what fits between the quotes
_HEADER = "{name} for {backend}, from {source} by neural-attn {version}."


def emit(checked: Checked, backend: Backend) -> str:
    """The source text of a network for a backend; the same input, the same bytes."""
    classes: dict[Block, ClassWriter] = {}
    bodies: list[list[str]] = []
    for block in _blocks_inside_out(checked):
        writer = ClassWriter(checked, block, backend, classes)
        classes[block] = writer
        bodies.append(writer.lines())
    model = ModelWriter(checked, checked.network.block, backend, classes)
    bodies.append(model.lines())
    bodies.append(backend.create(checked))
    if backend.training is not None:
        bodies += _definitions(backend.training(checked))
    return _file(checked, backend, bodies)


def _blocks_inside_out(checked: Checked) -> list[Block]:
    """The blocks in use, each behind those that it uses; without the network's own."""
    ordered: list[Block] = []

    def visit(block: Block) -> None:
        live = checked.facts[block].live
        for use in block.uses():
            if use.name in live and isinstance(use.target, Block):
                visit(use.target)
        if block not in ordered:
            ordered.append(block)

    visit(checked.network.block)
    return ordered[:-1]


def _definitions(lines: list[str]) -> list[list[str]]:
    """Split lines at the blank pairs between top-level definitions."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("def ") and found[-1]:
            while found[-1] and not found[-1][-1]:
                found[-1].pop()
            found.append([])
        found[-1].append(line)
    return [body for body in found if body]


def _file(checked: Checked, backend: Backend, bodies: list[list[str]]) -> str:
    own = ["\n".join(_laid_out(body)) for body in bodies]
    source = "\n\n\n".join(own)
    names = runtime_source.names_in(source)
    runtime = runtime_source.read(backend.runtime, set(re.findall(r"\w+", source)))
    copied = runtime_source.needed(runtime, names)
    for definition in copied:
        names |= definition.uses
    # What classes build on stands before them, and helpers at the end.
    early = runtime_source.names_in_defaults(source)
    bases = [d.text for d in copied if d.is_class or d.name in early]
    helpers = [d.text for d in copied if not d.is_class and d.name not in early]
    header = _header(checked, backend)
    imports = runtime_source.import_lines(runtime, names)
    top = "\n".join([*header, "", *imports])
    return "\n\n\n".join([top, *bases, *own, *helpers]) + "\n"


def _laid_out(body: list[str]) -> list[str]:
    """Code broken into lines that fit; docstrings and comments as they are."""
    lines: list[str] = []
    inside = False
    for line in body:
        text = line.strip()
        opens = text.startswith('"""') and (text == '"""' or not text.endswith('"""'))
        if inside or text.startswith(("#", '"""')):
            lines.append(line)
            inside = opens if not inside else not text.endswith('"""')
        else:
            lines += lay_out(line)
    return lines


def _header(checked: Checked, backend: Backend) -> list[str]:
    source = checked.network.source.replace("\\", "/").rsplit("/", 1)[-1]
    text = _HEADER.format(
        name=checked.network.name,
        backend=backend.name,
        source=source,
        version=__version__,
    )
    if len(text) > _HEADER_WIDTH:
        text = text.replace(", from ", ".\n\nFrom ", 1)
    return docstring(text, "")
