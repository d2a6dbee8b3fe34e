"""Writes the class of the network itself: layers, attention maps, forward."""

from __future__ import annotations

from neural_attn.backends.class_writer import ClassWriter
from neural_attn.backends.layout import WIDTH, docstring, string
from neural_attn.backends.usage import network_class
from neural_attn.grammar import tree

from neural_attn.catalogue.base import NativeLayer
from neural_attn.ir import Input, LayerUse, is_mask
from neural_attn.shapes.instance import Checked, Instance

_STATEMENTS = "        "
_LOOP_LINES = 5  # def, docstring, layers = {}, for, one layer
_DOC_WIDTH = 74  # what fits between the quotes of a method's docstring


class ModelWriter(ClassWriter):
    """The network as a class that takes inputs and may return attention."""

    def lines(self) -> list[str]:
        """The whole class."""
        network = self.checked.network
        output = self.checked.root.output
        lines = [f"class {network_class(self.checked, self.backend.runtime)}(Network):"]
        lines += [*docstring(f"The network {network.name}.", "    "), ""]
        lines += ["    def __init__(self):", f"{_STATEMENTS}super().__init__()"]
        lines += [*self._made, ""]
        lines += [*self._attention_lines(), ""]
        lines += [
            f"    def {self.backend.forward}(self, inputs, return_attention=False):"
        ]
        several = len(network.inputs) > 1
        given = [_described(i, several) for i in network.inputs]
        if accepts_embedded(self.checked):
            width = network.inputs[0].described_width
            given[0] += f", or numbers [batch, time, {width}] embedded already"
        listed = "\n    ".join(["a mapping of", *given]) if several else given[0]
        doc = f"Map {listed} to {_brackets(output)}, or (that, attention maps)."
        if several or len(doc) > _DOC_WIDTH:
            doc = f"Return the output {_brackets(output)}, or (output, attention maps)."
            doc += f"\n\ninputs: {listed}"
        lines += docstring(doc, _STATEMENTS)
        lines += [f"{_STATEMENTS}if return_attention:"]
        lines += [f"{_STATEMENTS}    return self.run_with_attention(inputs)"]
        return lines + self._forward

    def _forward_lines(self) -> list[str]:
        inputs = self.checked.network.inputs
        lines = []
        if len(inputs) > 1:
            # One that is called `inputs` comes last, as it hides the parameter.
            for given in sorted(inputs, key=lambda given: given.name == "inputs"):
                key = string(given.name)
                get = f"inputs.get({key})" if is_mask(given.name) else f"inputs[{key}]"
                lines.append(f"{_STATEMENTS}{self.spell(given.name)} = {get}")
        elif inputs and inputs[0].name != "inputs":
            lines.append(f"{_STATEMENTS}{self.spell(inputs[0].name)} = inputs")
        self.never_none = {i.name for i in inputs if not is_mask(i.name)}
        lines += self.body(self.block.forward.body, _STATEMENTS)
        end = f"{_STATEMENTS}x = "
        if lines[-1] == f"{_STATEMENTS}return x" and lines[-2].startswith(end):
            lines[-2:] = [lines[-2].replace("x = ", "return ", 1)]
        return lines

    def call_layer(
        self, use: LayerUse, layer: str, call: tree.Call, given: dict[str, tree.Expr]
    ) -> str:
        """As in any block; an Embedding may also meet numbers already embedded."""
        network = self.checked.network
        first = network.inputs[0] if network.inputs else None
        value = next(iter(given.values()), None)
        native = isinstance(use.target, NativeLayer) and use.target.name == "Embedding"
        if (
            native
            and first
            and accepts_embedded(self.checked)
            and isinstance(value, tree.Name)
            and value.text == first.name
        ):
            return f"embedded({value.text}, {layer})"
        return super().call_layer(use, layer, call, given)

    # --- attention maps ----------------------------------------------------------

    def _attention_lines(self) -> list[str]:
        """The method that names every attention layer."""
        names = list(self.checked.attentions)
        lines = [
            "    def attention_layers(self):",
            f'{_STATEMENTS}"""Return {{name of the attention map: layer}}."""',
        ]
        if not names:
            return [*lines, f"{_STATEMENTS}return {{}}"]
        repeated = any(u.repeat is not None for u in self.checked.root.uses.values())
        if len(names) == 1 and not repeated:
            (path,) = _attribute_paths(self.checked.root)
            return [*lines, f"{_STATEMENTS}return {{{string(names[0])}: self{path}}}"]
        lines.append(f"{_STATEMENTS}layers = {{}}")
        at = 0
        for name, parts in self.checked.root.children.items():
            use = self.checked.root.uses[name]
            per_part = [_attribute_paths(part) for part in parts]
            count = sum(map(len, per_part))
            if count:
                lines += self._named(use, per_part, names[at : at + count])
            at += count
        return _named_at_once(lines) or [*lines, f"{_STATEMENTS}return layers"]

    def _named(
        self, use: LayerUse, per_part: list[list[str]], names: list[str]
    ) -> list[str]:
        if use.repeat is None:
            return [
                f"{_STATEMENTS}layers[{string(name)}] = self.{use.name}{path}"
                for name, path in zip(names, per_part[0], strict=True)
            ]
        label, start = (
            (use.label, use.index) if use.index is not None else (use.name, 0)
        )
        begin = f", {start}" if start else ""
        lines = [
            f"{_STATEMENTS}for i, layer in enumerate(self.{use.name}{begin}):",
        ]
        each = len(per_part[0])
        for name, path in zip(names[:each], per_part[0], strict=True):
            suffix = name.removeprefix(f"{label}_{start}")
            text = string(f"{label}_{{i}}{suffix}")
            lines.append(f"{_STATEMENTS}    layers[f{text}] = layer{path}")
        return lines


def accepts_embedded(checked: Checked) -> bool:
    """Whether numbers [batch, time, width] may come instead of ids.

    That is where the author wrote the width into the input: `(time, width)`.
    """
    return checked.network.takes_embedded


def _named_at_once(lines: list[str]) -> list[str]:
    """A loop over one group of layers as a single mapping, where that is short."""
    *head, start, loop, item = lines
    if len(lines) != _LOOP_LINES or not loop.lstrip().startswith("for "):
        return []
    clause, _, layers = loop.strip().removesuffix(":").rpartition(" in ")
    key, _, value = item.strip().removeprefix("layers[").partition("] = ")
    whole = f"{_STATEMENTS}return {{{key}: {value} {clause} in layers}}"
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
