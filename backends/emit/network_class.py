"""Writes the class of the network itself: layers, attention maps, forward."""

from __future__ import annotations

import ast

from neural_attn.backends.emit.expressions import dotted, text
from neural_attn.backends.emit.forward import body_lines
from neural_attn.backends.emit.generation import Generation, generation
from neural_attn.backends.emit.layers import STATEMENTS, constructor_head, layer_lines
from neural_attn.backends.emit.layout import WIDTH, docstring, string
from neural_attn.backends.emit.scope import PAST_MASK, Scope
from neural_attn.backends.emit.training import has_logits
from neural_attn.backends.emit.usage import network_name

from neural_attn.ir import Input, LayerUse, is_mask
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
    going_on = generation(scope.checked)
    forward = _methods(scope, going_on)
    if scope.keeps_masks:
        layers.append(f"{STATEMENTS}self.{PAST_MASK} = Cache(axis=-1)")
    lines = (
        [backend.decorator.format(name=string(class_name))] if backend.decorator else []
    )
    lines += [f"class {class_name}({_base(going_on)}):"]
    lines += [*docstring(f"The network {network.name}.", "    "), ""]
    if going_on and going_on.source:
        names = ", ".join(string(i.name) for i in (going_on.source, going_on.target))
        lines += [f"    input_names = ({names})", ""]
    lines += [*constructor_head(scope, []), *layers, ""]
    lines += [*_attention_lines(scope), ""]
    lines += [f"    def {backend.forward}(self, inputs, return_attention=False):"]
    lines += docstring(_doc(scope), STATEMENTS)
    lines += [f"{STATEMENTS}if return_attention:"]
    lines += [f"{STATEMENTS}    return self.run_with_attention(inputs)"]
    return lines + forward


def _methods(scope: Scope, going_on: Generation | None) -> list[str]:
    """The rest of the forward, and the methods that it is made of."""
    backend = scope.backend
    on_logits = backend.trains_on_logits and has_logits(scope.checked, backend.layers)
    if going_on and going_on.source:
        return _encoder_and_decoder(scope, going_on, on_logits=on_logits)
    forward = _forward_lines(scope)
    return _split_off_logits(scope, forward) if on_logits else _joined(forward)


def _base(going_on: Generation | None) -> str:
    """The class that the network's is made from."""
    if going_on is None:
        return "Network"
    return "TranslatingNetwork" if going_on.source else "GeneratingNetwork"


def _encoder_and_decoder(
    scope: Scope, going_on: Generation, *, on_logits: bool
) -> list[str]:
    """The forward in two methods: the source is read once, however often it is used."""
    assert going_on.source
    encoding, decoding = going_on.statements
    source, target = (
        scope.spell(going_on.source.name),
        scope.spell(going_on.target.name),
    )
    scope.never_none = {going_on.source.name, going_on.target.name}
    encoder = body_lines(scope, encoding, STATEMENTS)
    decoder = body_lines(scope, decoding, STATEMENTS)
    handed = ", ".join(map(scope.spell, going_on.handed))
    keys = [string(i.name) for i in (going_on.source, going_on.target)]
    star = "*" if len(going_on.handed) > 1 else ""
    both = f"self.decode(inputs[{keys[1]}], {star}self.encode(inputs[{keys[0]}]))"
    whole = [f"{STATEMENTS}return {both}"]
    what = "the output"
    if on_logits:
        logits, outer = _without_activation(scope)
        *head, assign, end = decoder
        decoder = [*head, assign.replace(text(scope.value), text(logits)), end]
        what = "what the last activation is of"
        whole = [f"{STATEMENTS}return {text(outer)}", "", *_LOGITS_HEAD, *whole]
    return [
        *whole,
        "",
        f"    def encode(self, {source}):",
        f'{STATEMENTS}"""Return what `decode` needs of {source} [batch, time]."""',
        *encoder,
        f"{STATEMENTS}return {handed}",
        "",
        f"    def decode(self, {target}, {handed}):",
        f'{STATEMENTS}"""Return {what} for {target} [batch, time]."""',
        *_joined(decoder),
    ]


_LOGITS_HEAD = [
    "    def forward_logits(self, inputs):",
    f'{STATEMENTS}"""Return what the last activation is of, to be trained on."""',
]


def _without_activation(scope: Scope) -> tuple[ast.expr, ast.expr]:
    """What the last activation is of; the activation of `forward_logits`."""
    last = scope.value
    assert isinstance(last, ast.Call)
    assert isinstance(last.args[0], ast.expr)
    inner = ast.Call(dotted("self.forward_logits"), [dotted("inputs")], [])
    return last.args[0], ast.Call(last.func, [inner, *last.args[1:]], last.keywords)


def _split_off_logits(scope: Scope, forward: list[str]) -> list[str]:
    """The forward as a last activation of `forward_logits`, which is the rest."""
    logits, outer = _without_activation(scope)
    *head, assign, end = forward
    return [
        f"{STATEMENTS}return {text(outer)}",
        "",
        *_LOGITS_HEAD,
        *_joined([*head, assign.replace(text(scope.value), text(logits)), end]),
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
    name = lines[-1].removeprefix(f"{STATEMENTS}return ")
    if not name.isidentifier() or not lines[-2].startswith(f"{STATEMENTS}{name} = "):
        return lines
    return [*lines[:-2], lines[-2].replace(f"{name} = ", "return ", 1)]


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
        (path,) = _attribute_paths(scope.checked.root)
        return [*lines, f"{STATEMENTS}return {{{string(names[0])}: self{path}}}"]
    lines.append(f"{STATEMENTS}layers = {{}}")
    at = 0
    for name, parts in scope.checked.root.children.items():
        use = scope.checked.root.uses[name]
        per_part = [_attribute_paths(part) for part in parts]
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


def _attribute_paths(part: Instance) -> list[str]:
    """The attribute paths of the attention layers in a layer, itself included."""
    found = [""] if part.attention else []
    for name, parts in part.children.items():
        repeated = part.uses[name].repeat is not None
        for i, inner in enumerate(parts):
            step = f".{name}[{i}]" if repeated else f".{name}"
            found += [step + path for path in _attribute_paths(inner)]
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
