"""The layers and blocks in words, read from the catalogue and the prelude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neural_attn.catalogue import LAYERS, NativeLayer, find_layer
from neural_attn.catalogue import Parameter as NativeParameter
from neural_attn.catalogue.examples import example
from neural_attn.catalogue.functions import PRIMITIVES
from neural_attn.catalogue.refused import refusal
from neural_attn.diagnostics.errors import did_you_mean, fail
from neural_attn.grammar import prelude, tree
from neural_attn.resolve.wrappers import WRAPPERS

_NO_MAXIMUM = (None, 2**40)  # a bound that only keeps hostile sizes out


@dataclass(frozen=True)
class Parameter:
    """One parameter in words; `default` is "" where it must be given."""

    name: str
    default: str
    doc: str = ""
    kind: str = ""
    aliases: tuple[str, ...] = ()

    def line(self) -> str:
        """All of it on one line."""
        default = f"default {self.default}" if self.default else "required"
        also = f"also {', '.join(self.aliases)}" if self.aliases else ""
        facts = "; ".join(part for part in (self.kind, default, also) if part)
        return (
            f"{self.name}: {self.doc} ({facts})"
            if self.doc
            else (f"{self.name} ({facts})")
        )


@dataclass(frozen=True)
class Entry:
    """A layer, block or function in words."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    is_block: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        """A small network with it; "" where none is kept."""
        return example(self.name)

    def shapes(self) -> str:
        """What the example takes and gives, with the batch first."""
        from neural_attn.check import check_text

        (checked,), _ = check_text(self.example, f"{self.name}.neural")
        given = ", ".join(map(str, checked.root.inputs))
        return f"{given} to {checked.root.output}"


def entries() -> dict[str, Entry]:
    """Every block and native layer by its name, blocks first."""
    found = [block_entry(define) for define in prelude().defines]
    found += [_native_entry(layer) for layer in LAYERS.values()]
    return {entry.name: entry for entry in found}


def entry(name: str) -> Entry | None:
    """The block or native layer of this name or alias; case does not matter."""
    for define in prelude().defines:
        if define.name.text.lower() == name.lower():
            return block_entry(define)
    layer = find_layer(name)
    return _native_entry(layer) if layer else None


def block_entry(define: tree.Define) -> Entry:
    """A define in words."""
    parameters = tuple(
        Parameter(p.name, "" if p.default is None else p.default.span.text)
        for p in define.parameters
    )
    return Entry(define.name.text, define.doc, parameters, is_block=True)


def functions() -> dict[str, Entry]:
    """The functions that equations may call."""
    return {
        name: Entry(
            name,
            primitive.doc,
            tuple(
                Parameter(p, "" if default is None else _written(default.value))
                for p, default in primitive.parameters.items()
            ),
        )
        for name, primitive in PRIMITIVES.items()
    }


def listing() -> str:
    """Every layer and block with one line about it."""
    known = entries()
    width = max(map(len, known)) + 2
    lines = ["Blocks, written in the language itself:"]
    for is_block in (True, False):
        lines += [] if is_block else ["", "Native layers:"]
        lines += [
            f"  {found.name:<{width}}{found.doc.partition(chr(10))[0]}"
            for found in known.values()
            if found.is_block == is_block
        ]
    lines += ["", "Layers around layers:"]
    lines += [f"  {name:<{width}}{doc}" for name, doc in WRAPPERS.items()]
    return "\n".join(lines)


def describe(name: str) -> str:
    """One layer with its parameters. Raises NeuralError where there is none."""
    wrappers = {wrapper.lower(): wrapper for wrapper in WRAPPERS}
    if name.lower() in wrappers:
        wrapper = wrappers[name.lower()]
        return f"{wrapper}\n\n{WRAPPERS[wrapper]}"
    found = entry(name)
    if found is None:
        if refused := refusal(name):
            fail("E0234", hint=refused[1], why=refused[0])
        hint = did_you_mean(name, [*entries(), *WRAPPERS])
        fail("E0204", hint=hint, name=name)
    lines = [found.name, "", found.doc]
    if found.aliases:
        lines += ["", f"Also written {', '.join(found.aliases)}."]
    if found.parameters:
        lines += ["", "Parameters:"]
        lines += [f"  {parameter.line()}" for parameter in found.parameters]
    if found.example:
        lines += ["", f"Example, {found.shapes()}:", ""]
        lines += [f"  {line}".rstrip() for line in found.example.splitlines()]
    return "\n".join(lines)


def _native_entry(layer: NativeLayer) -> Entry:
    parameters = tuple(map(_native_parameter, layer.parameters))
    return Entry(layer.name, layer.doc, parameters, aliases=layer.aliases)


def _native_parameter(declared: NativeParameter) -> Parameter:
    kind = declared.kind
    bounds = [f"from {kind.minimum:g}"] if kind.minimum is not None else []
    bounds += [f"to {kind.maximum:g}"] if kind.maximum not in _NO_MAXIMUM else []
    choices = [f"one of {', '.join(kind.choices)}"] if kind.choices else []
    default = "" if declared.required else _written(declared.default)
    words = " ".join([kind.name, *bounds, *choices])
    return Parameter(declared.name, default, declared.doc, words, declared.aliases)


def _written(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
