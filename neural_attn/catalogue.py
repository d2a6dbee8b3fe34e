"""The layers and blocks in words, read from the catalogue and the prelude."""

from __future__ import annotations

from neural_attn.errors import did_you_mean, fail
from neural_attn.grammar import prelude, tree
from neural_attn.layers import LAYERS, NativeLayer, find_layer
from neural_attn.layers.refused import refusal
from neural_attn.wrappers import WRAPPERS


def listing() -> str:
    """Every layer and block with one line about it."""
    blocks = {d.name.text: d.doc.split("\n")[0] for d in prelude().defines}
    native = {layer.name: layer.doc for layer in LAYERS.values()}
    width = max(map(len, [*blocks, *native])) + 2
    lines = ["Blocks, written in the language itself:"]
    lines += [f"  {name:<{width}}{doc}" for name, doc in blocks.items()]
    lines += ["", "Native layers:"]
    lines += [f"  {name:<{width}}{doc}" for name, doc in native.items()]
    lines += ["", "Around a layer:"]
    lines += [f"  {name:<{width}}{doc}" for name, doc in WRAPPERS.items()]
    return "\n".join(lines)


def describe(name: str) -> str:
    """One layer with its parameters. Raises NeuralError where there is none."""
    for define in prelude().defines:
        if define.name.text.lower() == name.lower():
            return _describe_block(define)
    layer = find_layer(name)
    if layer is None:
        for wrapper, doc in WRAPPERS.items():
            if wrapper.lower() == name.lower():
                return f"{wrapper}\n\n{doc}"
        if refused := refusal(name):
            fail("E0234", refused[0], hint=refused[1])
        known = [*LAYERS, *WRAPPERS, *(d.name.text for d in prelude().defines)]
        fail("E0204", f"there is no layer `{name}`", hint=did_you_mean(name, known))
    return _describe_native(layer)


def _describe_block(define: tree.Define) -> str:
    lines = [define.name.text, "", define.doc, "", "Parameters:"]
    for parameter in define.parameters:
        default = parameter.default
        text = "required" if default is None else f"default {default.span.text}"
        lines.append(f"  {parameter.name}: {text}")
    return "\n".join(lines)


def _describe_native(layer: NativeLayer) -> str:
    lines = [layer.name, "", layer.doc]
    if layer.parameters:
        lines += ["", "Parameters:"]
    for parameter in layer.parameters:
        default = "required" if parameter.required else f"default {parameter.default}"
        kind = parameter.kind
        bounds = [f"from {kind.minimum:g}"] if kind.minimum is not None else []
        bounds += [f"to {kind.maximum:g}"] if kind.maximum not in (None, 2**40) else []
        spellings = (
            f"; also {', '.join(parameter.aliases)}" if parameter.aliases else ""
        )
        kinds = " ".join([kind.name, *bounds])
        lines.append(
            f"  {parameter.name}: {parameter.doc} ({kinds}; {default}{spellings})"
        )
    return "\n".join(lines)
