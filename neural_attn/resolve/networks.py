"""One network of a file: its items sorted into inputs, layers and settings."""

from __future__ import annotations

from neural_attn.diagnostics.errors import Problems, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import Network
from neural_attn.resolve.chain import Chain
from neural_attn.resolve.flow import Branch
from neural_attn.resolve.inputs import read_inputs
from neural_attn.resolve.scope import Scope
from neural_attn.training import train_block
from neural_attn.training.catalogue import GROUPS, SETTINGS


class NetworkReader:
    """Sorts the items of one network, and notes those that have no place in it."""

    def __init__(self, scope: Scope, node: tree.NetworkNode) -> None:
        self.scope = scope
        self.problems = scope.problems
        self.node = node
        self.settings: dict[str, tree.Setting] = {}
        self.layers: list[tree.LayerNode | Branch] = []

    def read(self) -> Network:
        """The network with its inputs, its chain of layers, its training settings."""
        node = self.node
        for item in node.items:
            self._sort(item)
        self._check_layers()
        chain = Chain(self.scope, node)
        inputs = read_inputs(
            self.settings.pop("input", None),
            node,
            self.scope,
            self.layers,
            misspelled=self._misspells("input"),
        )
        block = chain.network_block(node, inputs, self.layers)
        network = Network(node.name.text, node.span.source.name, inputs, block)
        network.pads_with = chain.wiring.pads_with
        train_block.read_settings(
            network, self.settings, self.problems, self.scope.spaces
        )
        return network

    def _sort(self, item: tree.Item) -> None:
        if isinstance(item, tree.LayerNode) and _is_group(item):
            item = tree.Setting(item.span, item.name, None, item.block)
        elif isinstance(item, tree.LayerNode):
            if not self.scope.defines(item.name.text):
                item = _as_setting(item, self.problems) or item
        if (branch := self._as_branch(item)) is not None:
            self.layers.append(branch)
        elif isinstance(item, tree.Setting):
            name = item.name.text
            if name in self.settings:
                self.problems.add("E0208", item.name.span, name=name)
            self.settings[name] = item
        elif isinstance(item, tree.LayerNode):
            self.layers.append(item)
        elif isinstance(item, tree.LayerChoice):
            self.problems.add("E0209", item.span)

    def _check_layers(self) -> None:
        chosen = any(isinstance(item, tree.LayerChoice) for item in self.node.items)
        if not self.layers and not chosen and not self._misspells("layers"):
            self.problems.add(
                "E0202.network", self.node.name.span, network=self.node.name.text
            )

    def _misspells(self, word: str) -> bool:
        """Whether an unknown setting, which is reported as such, was meant as this."""
        unknown = self.settings.keys() - set(SETTINGS)
        hints = (did_you_mean(name, SETTINGS) for name in unknown)
        return f"did you mean `{word}`?" in hints

    def _as_branch(self, item: tree.Item) -> Branch | None:
        """`name: { layers }` as a branch; None where it holds settings."""
        if not isinstance(item, tree.Setting) or item.value is not None:
            return None
        if item.name.text in SETTINGS:
            return None
        inside = tuple(i for i in item.block or () if isinstance(i, tree.LayerNode))
        if not inside:
            return None
        for other in item.block or ():
            if not isinstance(other, tree.LayerNode | tree.LayersMarker):
                self.problems.add("E0211.branch", other.span)
        return Branch(item.span, item.name, inside)


def _is_group(node: tree.LayerNode) -> bool:
    """Whether `name { … }` is a group of settings rather than a layer."""
    return node.name.text in GROUPS and node.block is not None


def _as_setting(node: tree.LayerNode, problems: Problems) -> tree.Setting | None:
    """A setting that is written like a layer: `input (4,)`, `optimizer = Adam()`."""
    if node.label is not None and node.label.text in SETTINGS:
        name = node.label
        call = node.span.text.split("=", 1)[1].strip()
        hint = f"write `{name.text}: {call}`"
        problems.add("E0132.layer", name.span, hint=hint)
        inner = tree.Call(node.span, node.name, node.arguments)
        return tree.Setting(node.span, name, inner, node.block)
    name = node.name
    if node.label is not None or name.text not in (*SETTINGS, *GROUPS):
        return None
    problems.add("E0244", name.span, hint=_rewritten(node), name=name.text)
    if name.text in GROUPS:
        return tree.Setting(node.span, name, None, _as_items(node.arguments))
    values = tuple(argument.value for argument in node.arguments)
    if not values:
        return tree.Setting(node.span, name, None, node.block)
    if name.text == "input" or len(values) > 1:
        value: tree.Expr = tree.Sequence(node.span, values, name.text == "metrics")
    else:
        value = values[0]
    return tree.Setting(node.span, name, value, node.block)


def _rewritten(node: tree.LayerNode) -> str:
    name = node.name.text
    written = ", ".join(argument.span.text for argument in node.arguments)
    if name in GROUPS:
        inside = " ".join(
            f"{argument.name}: {argument.value.span.text}"
            for argument in node.arguments
            if argument.name
        )
        return f"write `{name} {{ {inside or 'epochs: 10'} }}`"
    if name == "input":
        return f"write `input: ({written or '100,'})`"
    if name == "metrics":
        return f"write `metrics: [{written}]`"
    return f"write `{name}: {written}`" if written else f"write `{name}: …`"


def _as_items(arguments: tuple[tree.Argument, ...]) -> tuple[tree.Item, ...]:
    return tuple(
        tree.Setting(a.span, tree.Name(a.span, a.name), a.value)
        for a in arguments
        if a.name is not None
    )
