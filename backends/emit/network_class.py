"""Writes the class of the network itself: layers, attention maps, forward."""

from __future__ import annotations

import ast

from neural_attn.backends.emit.expressions import dotted, text
from neural_attn.backends.emit.forward import body_lines
from neural_attn.backends.emit.layers import STATEMENTS, constructor_head, layer_lines
from neural_attn.backends.emit.layout import WIDTH, docstring, string
from neural_attn.backends.emit.scope import Scope
from neural_attn.backends.emit.training import has_logits
from neural_attn.backends.emit.usage import network_name

from neural_attn.ir import Block, Input, LayerUse, is_mask
from neural_attn.shapes.instance import Instance

_LOOP_LINES = 5  # def, docstring, layers = {}, for, one layer
_DOC_WIDTH = 74  # what fits between the quotes of a method's docstring


def network_class(scope: Scope) -> list[str]:
    """The whole class: takes inputs and may return attention."""
    network, backend = scope.checked.network, scope.backend
    if network.takes_embedded:
        scope.embedded = network.inputs[0].name
    class_name = network_name(scope.checked, backend.runtime)
    layers = layer_lines(scope, scope.block.layers, STATEMENTS)
    forward = _forward_lines(scope)
    lines = (
        [backend.decorator.format(name=string(class_name))] if backend.decorator else []
    )
    lines += [f"class {class_name}(Network):"]
    lines += [*docstring(f"The network {network.name}.", "    "), ""]
    lines += [*constructor_head(scope, []), *layers, ""]
    lines += [*_attention_lines(scope), ""]
    lines += [f"    def {backend.forward}(self, inputs, return_attention=False):"]
    lines += docstring(_doc(scope), STATEMENTS)
    lines += [f"{STATEMENTS}if return_attention:"]
    lines += [f"{STATEMENTS}    return self.run_with_attention(inputs)"]
    if backend.trains_on_logits and has_logits(scope.checked, backend.layers):
        return [*lines, *_split_off_logits(scope, forward)]
    return lines + _joined(forward)


def _split_off_logits(scope: Scope, forward: list[str]) -> list[str]:
    """The forward as a last activation of `forward_logits`, which is the rest."""
    last = scope.value
    assert isinstance(last, ast.Call)
    assert isinstance(last.args[0], ast.expr)
    *head, assign, end = forward
    logits, whole = last.args[0], text(last)
    inner = ast.Call(dotted("self.forward_logits"), [dotted("inputs")], [])
    outer = ast.Call(last.func, [inner, *last.args[1:]], last.keywords)
    return [
        f"{STATEMENTS}return {text(outer)}",
        "",
        "    def forward_logits(self, inputs):",
        f'{STATEMENTS}"""Return what the last activation is of, to be trained on."""',
        *_joined([*head, assign.replace(whole, text(logits)), end]),
    ]


def _doc(scope: Scope) -> str:
    """What the network takes and gives."""
    network, output = scope.checked.network, scope.checked.root.output
    several = len(network.inputs) > 1
    given = [_described(i, several) for i in network.inputs]
    if network.takes_embedded:
        width = network.inputs[0].described_width
        given[0] += f", or numbers [batch, time, {width}] embedded already"
    listed = "\n    ".join(["a mapping of", *given]) if several else given[0]
    doc = f"Map {listed} to {_brackets(output)}, or (that, attention maps)."
    if several or len(doc) > _DOC_WIDTH:
        doc = f"Return the output {_brackets(output)}, or (output, attention maps)."
        doc += f"\n\ninputs: {listed}"
    return doc


def _forward_lines(scope: Scope) -> list[str]:
    inputs = scope.checked.network.inputs
    lines = []
    if len(inputs) > 1:
        # One that is called `inputs` comes last, as it hides the parameter.
        for given in sorted(inputs, key=lambda given: given.name == "inputs"):
            key = string(given.name)
            get = f"inputs.get({key})" if is_mask(given.name) else f"inputs[{key}]"
            lines.append(f"{STATEMENTS}{scope.spell(given.name)} = {get}")
    elif inputs and inputs[0].name != "inputs":
        lines.append(f"{STATEMENTS}{scope.spell(inputs[0].name)} = inputs")
    scope.never_none = {i.name for i in inputs if not is_mask(i.name)}
    return lines + body_lines(scope, scope.block.forward.body, STATEMENTS)


def _joined(lines: list[str]) -> list[str]:
    """`x = …` and `return x` as one statement."""
    end = f"{STATEMENTS}x = "
    if lines[-1] != f"{STATEMENTS}return x" or not lines[-2].startswith(end):
        return lines
    return [*lines[:-2], lines[-2].replace("x = ", "return ", 1)]


# --- attention maps -----------------------------------------------------------------


def _attention_lines(scope: Scope) -> list[str]:
    """The method that names every attention layer."""
    names = list(scope.checked.attentions)
    lines = [
        "    def attention_layers(self):",
        f'{STATEMENTS}"""Return {{name of the attention map: layer}}."""',
    ]
    if not names:
        return [*lines, f"{STATEMENTS}return {{}}"]
    repeated = any(u.repeat is not None for u in scope.checked.root.uses.values())
    if len(names) == 1 and not repeated:
        (path,) = _attribute_paths(scope, scope.checked.root)
        return [*lines, f"{STATEMENTS}return {{{string(names[0])}: self{path}}}"]
    lines.append(f"{STATEMENTS}layers = {{}}")
    at = 0
    for name, parts in scope.checked.root.children.items():
        use = scope.checked.root.uses[name]
        per_part = [_attribute_paths(scope, part) for part in parts]
        count = sum(map(len, per_part))
        if count:
            lines += _named(use, per_part, names[at : at + count])
        at += count
    return _named_at_once(lines) or [*lines, f"{STATEMENTS}return layers"]


def _named(use: LayerUse, per_part: list[list[str]], names: list[str]) -> list[str]:
    if use.repeat is None:
        return [
            f"{STATEMENTS}layers[{string(name)}] = self.{use.name}{path}"
            for name, path in zip(names, per_part[0], strict=True)
        ]
    label, start = (use.label, use.index) if use.index is not None else (use.name, 0)
    begin = f", {start}" if start else ""
    lines = [
        f"{STATEMENTS}for i, layer in enumerate(self.{use.name}{begin}):",
    ]
    each = len(per_part[0])
    for name, path in zip(names[:each], per_part[0], strict=True):
        suffix = name.removeprefix(f"{label}_{start}")
        key = string(f"{label}_{{i}}{suffix}")
        lines.append(f"{STATEMENTS}    layers[f{key}] = layer{path}")
    return lines


def _named_at_once(lines: list[str]) -> list[str]:
    """A loop over one group of layers as a single mapping, where that is short."""
    *head, start, loop, item = lines
    if len(lines) != _LOOP_LINES or not loop.lstrip().startswith("for "):
        return []
    clause, _, layers = loop.strip().removesuffix(":").rpartition(" in ")
    key, _, value = item.strip().removeprefix("layers[").partition("] = ")
    whole = f"{STATEMENTS}return {{{key}: {value} {clause} in layers}}"
    if len(whole) > WIDTH:
        return []
    return [*head, start.replace("{}", layers), whole]


def _attribute_paths(scope: Scope, part: Instance) -> list[str]:
    """The attribute paths to what keeps the maps of a layer and of those inside it."""
    found = []
    if part.attention and isinstance(part.target, Block):
        observes = part.target.observes
        found.append(f".{scope.scopes[part.target].observer}" if observes else "")
    for name, parts in part.children.items():
        repeated = part.uses[name].repeat is not None
        for i, inner in enumerate(parts):
            step = f".{name}[{i}]" if repeated else f".{name}"
            found += [step + path for path in _attribute_paths(scope, inner)]
    return found


def _described(given: Input, several: bool) -> str:
    sizes = ", ".join(
        ["batch", *("time" if s is None else str(s) for s in given.shape)]
    )
    kind = "integers" if given.dtype == "int" else "numbers"
    name = f"{given.name}: " if several else ""
    optional = ", optional; 0 is padding" if is_mask(given.name) else ""
    return f"{name}{kind} [{sizes}]{optional}"


def _brackets(tensor: object) -> str:
    return str(tensor).replace("(", "[").replace(")", "]")
