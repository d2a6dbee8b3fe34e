"""The one walk from a checked network to source text, for every backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from neural_attn.backends.emit import runtime_source
from neural_attn.backends.emit.base import Backend, Generation
from neural_attn.backends.emit.block_class import block_class
from neural_attn.backends.emit.generation import generation
from neural_attn.backends.emit.layout import docstring, lay_out, lay_out_import
from neural_attn.backends.emit.network_class import network_class
from neural_attn.backends.emit.scope import Scope
from neural_attn.backends.emit.training import has_logits

from neural_attn.ir import Block
from neural_attn.shapes.instance import Checked
from neural_attn.version import __version__

_TRAIN = "train"  # stands behind all that it trains
_HEADER_WIDTH = 82  # what fits between the quotes
_HEADER = "{name} for {backend}, from {source} by neural-attn {version}."
_LIBRARY_HEADER = "What {name} is made of, from {source} by neural-attn {version}."


def emit(checked: Checked, backend: Backend) -> str:
    """The source text of a network for a backend; the same input, the same bytes."""
    file = _file(checked, backend)
    runtime = [definition.text for definition in file.runtime]
    header = _header(_HEADER, checked, backend)
    imports = runtime_source.import_lines(file.imports, file.names)
    return _text([*header, "", *imports], [*runtime, *file.own])


def emit_apart(checked: Checked, backend: Backend, library: str) -> tuple[str, str]:
    """The same in two files: the network, and the module `library` that it imports.

    What every network may need (attention, writing, saving) stands in the library,
    which is cut to what this network uses.
    """
    file = _file(checked, backend)
    read = runtime_source.names_in("\n".join(file.own))
    shared = [d.name for d in file.runtime if d.name in read]
    imports = runtime_source.import_lines(file.imports, read)
    top = [*_header(_HEADER, checked, backend), "", *imports]
    if shared:
        top += ["", *lay_out_import(library, shared)]
    used = set().union(*(definition.uses for definition in file.runtime))
    lines = runtime_source.import_lines(file.imports, used)
    header = _header(_LIBRARY_HEADER, checked, backend)
    behind = _text([*header, "", *lines], [d.text for d in file.runtime])
    return _text(top, file.own), behind


@dataclass(frozen=True)
class _File:
    """The parts of a generated file."""

    runtime: list[runtime_source.Definition]  # what networks share, copied
    own: list[str]  # the network's classes and functions
    imports: Mapping[str, str]  # bound name to import statement
    names: set[str]  # every name that the file reads


def _file(checked: Checked, backend: Backend) -> _File:
    going_on = generation(checked)
    scopes: dict[Block, Scope] = {}
    bodies: list[list[str]] = []
    for block in _blocks_inside_out(checked):
        scopes[block] = Scope(checked, block, backend, scopes, going_on)
        bodies.append(block_class(scopes[block]))
    network = Scope(checked, checked.network.block, backend, scopes, going_on)
    bodies.append(network_class(network))
    bodies.append(backend.create(checked))
    loop: Mapping[str, str] = {}
    if backend.training is not None:
        lines, loop = backend.training(checked)
        bodies += _definitions(lines)
    marks = {*loop, *_marks(checked, backend, going_on)}
    return _parts(backend, bodies, loop, marks)


def _blocks_inside_out(checked: Checked) -> list[Block]:
    """The blocks in use, each behind those that it uses; without the network's own."""
    ordered: list[Block] = []

    def visit(block: Block) -> None:
        live = checked.facts[block].live
        for use in block.uses():
            # of a name that stands in two branches, only one is in use
            if use.name in live and use.target in checked.facts:
                assert isinstance(use.target, Block)
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


def _parts(
    backend: Backend,
    bodies: list[list[str]],
    loop: Mapping[str, str],
    marks: set[str],
) -> _File:
    own = ["\n".join(_laid_out(body)) for body in bodies]
    source = "\n\n\n".join(own)
    words = runtime_source.words_in(source) | marks
    runtime = runtime_source.read(backend.runtime, words)
    defined = set(re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))
    names = runtime_source.names_in(source) | ({_TRAIN} if loop else set())
    copied = runtime_source.needed(runtime, names, {*defined, *loop})
    for definition in copied:
        names |= definition.uses
    before = [d for d in copied if d.name != _TRAIN]
    behind = [_loop(d.text, loop) for d in copied if d.name == _TRAIN]
    return _File(before, [*own, *behind], runtime.imports, names)


def _text(top: list[str], parts: list[str]) -> str:
    # one blank line before a constant, as the formatters want it
    gap = "\n\n\n" if parts[0].startswith(("def ", "class ", "@", "#")) else "\n\n"
    return "\n".join(top) + gap + "\n\n\n".join(parts) + "\n"


def _marks(checked: Checked, backend: Backend, found: Generation | None) -> set[str]:
    """What the code that continues a text must know of the network."""
    if found is None:
        return set()
    marks = {"KEEPS": found.keeps_steps, "PADDED": found.pads}
    marks["MASKED"] = found.mask is not None
    marks["LOGITS"] = backend.trains_on_logits and has_logits(checked, backend.layers)
    marks["PROBABILITIES"] = found.gives_probabilities and not marks["LOGITS"]
    return {name for name, is_there in marks.items() if is_there}


def _loop(text: str, values: Mapping[str, str]) -> str:
    """The training loop with the file's numbers, its first lines laid out again."""
    head, _, body = runtime_source.inlined(text, values).partition("):\n")
    first = " ".join(head.split()).replace("( ", "(").rstrip(",")
    return "\n".join([*lay_out(f"{first}):"), *_laid_out(body.split("\n"))])


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


def _header(form: str, checked: Checked, backend: Backend) -> list[str]:
    source = checked.network.source.replace("\\", "/").rsplit("/", 1)[-1]
    text = form.format(
        name=checked.network.name,
        backend=backend.name,
        source=source,
        version=__version__,
    )
    if len(text) > _HEADER_WIDTH:
        text = text.replace(", from ", ".\n\nFrom ", 1)
    return docstring(text, "")
