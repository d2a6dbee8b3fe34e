"""One network of a file: its items sorted into inputs, layers and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neural_attn.diagnostics.errors import did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import Network
from neural_attn.resolve.chain import Chain
from neural_attn.resolve.corrections import as_setting
from neural_attn.resolve.flow import Branch
from neural_attn.resolve.inputs import read_inputs
from neural_attn.training import train_block

if TYPE_CHECKING:
    from neural_attn.resolve.resolver import Resolver


class NetworkReader:
    """Sorts the items of one network, and notes those that have no place in it."""

    def __init__(self, resolver: Resolver, node: tree.NetworkNode) -> None:
        self.resolver = resolver
        self.problems = resolver.problems
        self.node = node
        self.settings: dict[str, tree.Setting] = {}
        self.layers: list[tree.LayerNode | Branch] = []

    def read(self) -> Network:
        """The network with its inputs, its chain of layers, its training settings."""
        node = self.node
        for item in node.items:
            self._sort(item)
        self._check_layers()
        chain = Chain(self.resolver, node)
        inputs = read_inputs(
            self.settings.pop("input", None),
            node,
            chain,
            self.layers,
            misspelled=self._misspells("input"),
        )
        block = chain.network_block(node, inputs, self.layers)
        network = Network(node.name.text, node.span.source.name, inputs, block)
        network.pads_with = chain.pads_with
        train_block.read_settings(
            network, self.settings, self.problems, self.resolver.spaces
        )
        return network

    def _sort(self, item: tree.Item) -> None:
        if isinstance(item, tree.LayerNode) and train_block.is_group(item):
            item = tree.Setting(item.span, item.name, None, item.block)
        elif isinstance(item, tree.LayerNode):
            if not self.resolver.defines(item.name.text):
                item = as_setting(item, self.problems) or item
        if (branch := self._as_branch(item)) is not None:
            self.layers.append(branch)
        elif isinstance(item, tree.Setting):
            name = item.name.text
            if name in self.settings:
                self.problems.add("E0208", f"`{name}` is set twice", item.name.span)
            self.settings[name] = item
        elif isinstance(item, tree.LayerNode):
            self.layers.append(item)
        elif isinstance(item, tree.LayerChoice):
            self.problems.add(
                "E0209",
                "a network has no parameters to choose by",
                item.span,
                "`if` belongs into a `define` with parameters",
            )

    def _check_layers(self) -> None:
        chosen = any(isinstance(item, tree.LayerChoice) for item in self.node.items)
        if not self.layers and not chosen and not self._misspells("layers"):
            self.problems.add(
                "E0202",
                f"network `{self.node.name.text}` has no layers",
                self.node.name.span,
                "write them behind `layers:`, such as `Dense(8)`",
            )

    def _misspells(self, word: str) -> bool:
        """Whether an unknown setting, which is reported as such, was meant as this."""
        unknown = self.settings.keys() - set(train_block.SETTINGS)
        hints = (did_you_mean(name, train_block.SETTINGS) for name in unknown)
        return f"did you mean `{word}`?" in hints

    def _as_branch(self, item: tree.Item) -> Branch | None:
        """`name: { layers }` as a branch; None where it holds settings."""
        if not isinstance(item, tree.Setting) or item.value is not None:
            return None
        if item.name.text in train_block.SETTINGS:
            return None
        inside = tuple(i for i in item.block or () if isinstance(i, tree.LayerNode))
        if not inside:
            return None
        for other in item.block or ():
            if not isinstance(other, tree.LayerNode | tree.LayersMarker):
                self.problems.add("E0211", "a branch holds layers only", other.span)
        return Branch(item.span, item.name, inside)
