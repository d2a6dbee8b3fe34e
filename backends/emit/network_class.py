"""Writes the class of the network itself: layers, attention maps, forward."""

from __future__ import annotations

import ast

from neural_attn.backends.emit.attention_maps import attention_lines
from neural_attn.backends.emit.expressions import dotted, text
from neural_attn.backends.emit.forward import body_lines
from neural_attn.backends.emit.layers import STATEMENTS, constructor_head, layer_lines
from neural_attn.backends.emit.layout import docstring, string
from neural_attn.backends.emit.scope import Scope
from neural_attn.backends.emit.training import has_logits
from neural_attn.backends.emit.usage import network_name

from neural_attn.ir import Input, is_mask

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
    lines += [*attention_lines(scope), ""]
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
