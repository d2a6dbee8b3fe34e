"""Chains to equations: layers written one after another become a forward.

After this, a network and a `define` without equations look like any other block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neural_attn.errors import Span
from neural_attn.grammar import tree
from neural_attn.ir import Block, Input, LayerUse
from neural_attn.layers import NativeLayer
from neural_attn.names import snake_case

if TYPE_CHECKING:
    from neural_attn.resolve import Resolver

MASK = "attention_mask"


class Chain:
    """Wires one chain: the value `x` runs through the layers in order.

    The first argument of a layer takes the running value; each other one is filled
    from the network's input of the same name, where there is one. A padding mask
    reaches every layer that takes one, until a layer changes the time axis.
    """

    def __init__(
        self, resolver: Resolver, node: tree.NetworkNode | tree.Define
    ) -> None:
        self.resolver = resolver
        self.problems = resolver.problems
        self.node = node
        self.uses: list[LayerUse] = []
        self.body: list[tree.Statement] = []
        self.named: set[str] = set()  # values that later layers may take by name
        self.pads_with = ""
        self._counts: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()

    # --- the two kinds of chain --------------------------------------------------

    def network_block(
        self,
        node: tree.NetworkNode,
        inputs: Sequence[Input],
        layers: Sequence[tree.LayerNode],
    ) -> Block:
        """The block of a network: its forward takes the inputs."""
        self.named = {given.name for given in inputs}
        used: set[str] = set()
        if MASK in self.named:
            self._make_mask(MASK, node.name.span)
            used.add(MASK)
        running = next((i.name for i in inputs if i.name != MASK), "inputs")
        self._run(layers, running, used)
        for given in inputs:
            if given.name not in used and len(inputs) > 1:
                self.problems.add(
                    "W0102",
                    f"no layer takes the input `{given.name}`",
                    given.span,
                    "a layer takes an input by naming it in its forward",
                )
        parameters = [tree.Parameter(i.span, i.name, None) for i in inputs]
        return self._block(node.name, (), "", parameters, node.trivia)

    def define_block(self, define: tree.Define) -> Block:
        """The block of a define without equations."""
        layers = []
        for item in define.items:
            if isinstance(item, tree.LayerNode):
                layers.append(item)
            elif not isinstance(item, tree.LayersMarker):
                self.problems.add(
                    "E0211", "a chain of layers holds layers only", item.span
                )
        span = define.name.span
        self.named = {MASK}
        used: set[str] = set()
        self._run(layers, "x", used)
        parameters = [tree.Parameter(span, "x", None)]
        if MASK in used:
            parameters.append(tree.Parameter(span, MASK, tree.Literal(span, None)))
        return self._block(
            define.name, define.parameters, define.doc, parameters, define.trivia
        )

    def _block(
        self,
        name: tree.Name,
        parameters: tuple[tree.Parameter, ...],
        doc: str,
        inputs: list[tree.Parameter],
        trivia: tree.Trivia,
    ) -> Block:
        forward = tree.Forward(name.span, tuple(inputs), tuple(self.body))
        layers = tuple(self.uses)
        return Block(
            name.text, parameters, doc, layers, forward, name.span, trivia=trivia
        )

    # --- the chain ---------------------------------------------------------------

    def _run(
        self, layers: Sequence[tree.LayerNode], running: str, used: set[str]
    ) -> None:
        starts = self._residual_starts(layers)
        for position, node in enumerate(layers):
            if position in starts:
                self._assign("residual", tree.Name(node.span, running), node.span)
            running = self._layer(node, running, used)
        end = layers[-1].span if layers else self.node.name.span
        self.body.append(tree.Return(end, tree.Name(end, running)))

    def _residual_starts(self, layers: Sequence[tree.LayerNode]) -> set[int]:
        """Where the values begin that each `Add()` adds again.

        That is after the last normalization, embedding or merge before it, or at the
        start.
        """
        starts, start = set(), 0
        for position, node in enumerate(layers):
            name = node.name.text.lower()
            if name in ("add", "residual"):
                starts.add(start)
            if name in ("add", "residual") or "norm" in name or "embedding" in name:
                start = position + 1
        return starts

    def _layer(self, node: tree.LayerNode, running: str, used: set[str]) -> str:
        """One layer of the chain; returns the name of the value behind it."""
        use = self._use(node)
        if use is None:
            used.add(running)
            return "x"
        self.uses.append(use)
        target, span = use.target, node.span
        self._mask_from_ids(node, use, running, span)
        names = target.inputs
        arguments = []
        for position, name in enumerate(names):
            plain = name.rstrip("?")
            optional = name != plain or isinstance(target, Block)
            if position == 0:
                first = plain in self.named and not self.body_has_run
                value = plain if first else running
            elif self._is_filled(plain, running, optional, target):
                value = plain
            else:
                continue
            used.add(value)
            keyword = None if position == 0 or plain == "residual" else plain
            arguments.append(tree.Argument(span, keyword, tree.Name(span, value)))
        call = tree.Call(span, tree.Name(node.name.span, use.name), tuple(arguments))
        self._assign("x", call, span, node.trivia)
        if isinstance(target, NativeLayer) and not target.keeps_time:
            self.named.discard(MASK)
        return "x"

    def _is_filled(
        self, name: str, running: str, optional: bool, target: NativeLayer | Block
    ) -> bool:
        """Whether a further argument of a layer is given the value of its name."""
        if isinstance(target, NativeLayer) and name == "residual":
            return True
        return optional and name in self.named and name not in ("x", running)

    @property
    def body_has_run(self) -> bool:
        """Whether a layer has been called already."""
        return any(
            isinstance(s, tree.Assign) and s.target.text == "x" for s in self.body
        )

    def _use(self, node: tree.LayerNode) -> LayerUse | None:
        """The layer under its name: the author's, or its type with a number."""
        if node.label is not None:
            return self.resolver.use(node, node.label.text)
        target = self.resolver.find(node.name.text)
        kind = snake_case(target.name if target else node.name.text)
        index = self._counts[kind]
        use = self.resolver.use(node, f"{kind}_{index}", kind, index)
        if use is None:
            return None
        if use.repeat is None:
            self._counts[kind] += 1
        else:
            group = self._groups[kind]
            use.name = f"{kind}_layers" + (f"_{group}" if group else "")
            self._groups[kind] += 1
            count = use.repeat.value if isinstance(use.repeat, tree.Literal) else 1
            self._counts[kind] += count if isinstance(count, int) else 1
        return use

    def _mask_from_ids(
        self, node: tree.LayerNode, use: LayerUse, running: str, span: Span
    ) -> None:
        masks = use.arguments.get("mask_zero")
        if isinstance(masks, tree.Literal) and masks.value is True:
            if MASK in self.named:
                return
            self._make_mask(running, span)
            self.named.add(MASK)

    def _make_mask(self, source: str, span: Span) -> None:
        value = tree.Argument(span, None, tree.Name(span, source))
        function = tree.Name(span, "padding_mask")
        self._assign(MASK, tree.Call(span, function, (value,)), span)
        self.pads_with = source

    def _assign(
        self,
        target: str,
        value: tree.Expr,
        span: Span,
        trivia: tree.Trivia | None = None,
    ) -> None:
        name = tree.Name(span, target)
        self.body.append(tree.Assign(span, name, value, trivia or tree.Trivia()))
