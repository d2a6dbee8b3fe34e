"""Writes the class of the network itself: layers, attention maps, forward."""

from __future__ import annotations

import ast

from neural_attn.backends.emit.attention_maps import attention_lines
from neural_attn.backends.emit.base import Generation
from neural_attn.backends.emit.expressions import fill, text
from neural_attn.backends.emit.forward import (
    body_lines,
    decoded,
    encoder_and_decoder,
)
from neural_attn.backends.emit.layers import STATEMENTS, constructor_head, layer_lines
from neural_attn.backends.emit.layout import docstring, string
from neural_attn.backends.emit.scope import PAST_MASK, Scope
from neural_attn.backends.emit.training import has_logits
from neural_attn.backends.emit.usage import network_name

from neural_attn.ir import Input, LayerUse, is_mask

_DOC_WIDTH = 74  # what fits between the quotes of a method's docstring


def network_class(scope: Scope) -> list[str]:
    """The whole class: takes inputs and may return attention."""
    network, backend = scope.checked.network, scope.backend
    if network.takes_embedded:
        scope.embedded = network.inputs[0].name
    class_name = network_name(scope.checked, backend.runtime)
    layers = layer_lines(scope, scope.block.layers, STATEMENTS)
    going_on = scope.going_on
    forward = _methods(scope, going_on)
    if scope.keeps_masks:
        layers.append(f"{STATEMENTS}self.{PAST_MASK} = Cache(axis=-1)")
    lines = (
        [backend.decorator.format(name=string(class_name))] if backend.decorator else []
    )
    lines += [f"class {class_name}({_base(going_on)}):"]
    lines += [*docstring(f"The network {network.name}.", "    "), ""]
    if going_on and (going_on.source or going_on.mask):
        named = (going_on.source, going_on.target, going_on.mask)
        names = ", ".join(string(i.name) for i in named if i)
        lines += [f"    input_names = ({names})", ""]
    lines += [*constructor_head(scope, []), *layers, ""]
    lines += [*attention_lines(scope), ""]
    lines += [f"    def {backend.forward}(self, inputs, return_attention=False):"]
    lines += docstring(_doc(scope), STATEMENTS)
    lines += [f"{STATEMENTS}if return_attention:"]
    lines += [f"{STATEMENTS}    return self.run_with_attention(inputs)"]
    return lines + forward


def _methods(scope: Scope, going_on: Generation | None) -> list[str]:
    """The rest of the forward, and the methods that it is made of."""
    backend = scope.backend
    on_logits = backend.trains_on_logits and has_logits(scope.checked, backend.layers)
    if going_on and going_on.source and not going_on.within:
        return _encoder_and_decoder(scope, going_on, on_logits=on_logits)
    forward = _forward_lines(scope)
    if going_on and going_on.within:
        return [*_joined(forward), *_handed_on(scope, going_on, going_on.within)]
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
    both = (going_on.source.name, going_on.target.name)
    scope.never_none = set(both)
    encoder = body_lines(scope, encoding, STATEMENTS)
    handed = [scope.spell(name) for name in going_on.handed]
    encoder.append(f"{STATEMENTS}return {', '.join(handed)}")
    decoder = body_lines(scope, decoding, STATEMENTS)
    read, written = (f"inputs[{string(name)}]" for name in both)
    whole = [f"{STATEMENTS}return {decoded(written, read, handed)}"]
    source, target = map(scope.spell, both)
    if not on_logits:
        methods = encoder_and_decoder(source, target, handed, encoder, _joined(decoder))
        return [*whole, *methods]
    given = ", ".join([target, *handed])
    logits, outer = _without_activation(scope, f"self.decode_logits({given})")
    *head, assign, end = decoder
    on_them = [*head, assign.replace(text(scope.value), text(logits)), end]
    decoder = [f"{STATEMENTS}return {text(outer)}"]
    both_ways = decoded(written, read, handed, "decode_logits")
    return [
        *whole,
        "",
        *_LOGITS_HEAD,
        f"{STATEMENTS}return {both_ways}",
        *encoder_and_decoder(source, target, handed, encoder, decoder),
        "",
        f"    def decode_logits(self, {given}):",
        f'{STATEMENTS}"""Return what the last activation of `decode` is of."""',
        *_joined(on_them),
    ]


def _handed_on(scope: Scope, going_on: Generation, use: LayerUse) -> list[str]:
    """The two methods as those of the layer whose forward is split."""
    assert going_on.source
    both = (going_on.source.name, going_on.target.name)
    source, target = map(scope.spell, both)
    handed = [scope.spell(name) for name in going_on.handed]
    given = ", ".join([target, *handed])
    encoder = [f"{STATEMENTS}return self.{use.name}.encode({source})"]
    decoder = [f"{STATEMENTS}return self.{use.name}.decode({given})"]
    return encoder_and_decoder(source, target, handed, encoder, decoder)


_LOGITS_HEAD = [
    "    def forward_logits(self, inputs):",
    f'{STATEMENTS}"""Return what the last activation is of, to be trained on."""',
]


def _without_activation(scope: Scope, inner: str) -> tuple[ast.expr, ast.expr]:
    """What the last activation is of; the same activation of a call, `inner`."""
    last = scope.value
    assert isinstance(last, ast.Call)
    assert isinstance(last.args[0], ast.expr)
    arguments = [fill(inner, {}), *last.args[1:]]
    return last.args[0], ast.Call(last.func, arguments, last.keywords)


def _split_off_logits(scope: Scope, forward: list[str]) -> list[str]:
    """The forward as a last activation of `forward_logits`, which is the rest."""
    logits, outer = _without_activation(scope, "self.forward_logits(inputs)")
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
    given = [_described(scope, i, several) for i in network.inputs]
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
            lacks = scope.checked.may_lack(given)
            get = f"inputs.get({key})" if lacks else f"inputs[{key}]"
            lines.append(f"{STATEMENTS}{scope.spell(given.name)} = {get}")
    elif inputs and inputs[0].name != "inputs":
        lines.append(f"{STATEMENTS}{scope.spell(inputs[0].name)} = inputs")
    scope.never_none = {i.name for i in inputs if not scope.checked.may_lack(i)}
    return lines + body_lines(scope, scope.block.forward.body, STATEMENTS)


def _joined(lines: list[str]) -> list[str]:
    """`x = …` and `return x` as one statement."""
    name = lines[-1].removeprefix(f"{STATEMENTS}return ")
    if not name.isidentifier() or not lines[-2].startswith(f"{STATEMENTS}{name} = "):
        return lines
    return [*lines[:-2], lines[-2].replace(f"{name} = ", "return ", 1)]


def _described(scope: Scope, given: Input, several: bool) -> str:
    sizes = ", ".join(
        ["batch", *("time" if s is None else str(s) for s in given.shape)]
    )
    kind = "integers" if given.dtype == "int" else "numbers"
    name = f"{given.name}: " if several else ""
    optional = ", optional" if scope.checked.may_lack(given) else ""
    meaning = "; 0 is padding" if is_mask(given.name) else ""
    return f"{name}{kind} [{sizes}]{optional}{meaning}"


def _brackets(tensor: object) -> str:
    return str(tensor).replace("(", "[").replace(")", "]")
