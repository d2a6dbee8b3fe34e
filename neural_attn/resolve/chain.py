"""Chains to equations: layers written one after another become a forward.

After this, a network and a `define` without equations look like any other block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neural_attn.catalogue import NativeLayer
from neural_attn.diagnostics.errors import Span
from neural_attn.grammar import tree
from neural_attn.ir import Block, Input, LayerUse
from neural_attn.resolve.flow import (
    MEMORY,
    MEMORY_MASK,
    RESIDUAL_BLOCK,
    Branch,
    Flow,
    has_attention,
    residual_starts,
    take_wiring,
    takes_mask,
)
from neural_attn.resolve.inputs import MASK, is_mask
from neural_attn.resolve.labels import check_labels
from neural_attn.resolve.nesting import Enclosing
from neural_attn.resolve.wrappers import is_wrapper


class Chain(Enclosing):
    """Wires the layers of a network or of a define without equations.

    The first argument of a layer takes the running value. Every other one is filled
    by name: from an input or branch of that name, `attention_mask` from the padding
    mask, `memory` from the last encoder before a decoder.
    """

    def network_block(
        self,
        node: tree.NetworkNode,
        inputs: Sequence[Input],
        layers: Sequence[tree.LayerNode | Branch],
    ) -> Block:
        """The block of a network: its forward takes the inputs."""
        self.labels = check_labels(self.problems, node.items)
        self.named = {given.name: given.name for given in inputs}
        self.has_inputs = bool(inputs)
        values = [given for given in inputs if not is_mask(given.name)]
        self.waiting = [given for given in values[1:] if given.dtype == "int"]
        flow = Flow(values[0].name if values else "inputs")
        branches: list[Flow] = []
        if not any(isinstance(item, Branch) for item in layers):
            self._mask_from_input(flow, node.name.span)
        for item in layers:
            if isinstance(item, Branch):
                flow = self._branch(item)
                branches.append(flow)
        rest = [item for item in layers if not isinstance(item, Branch)]
        merged = [b.value for b in branches] or self._merged_inputs(values, rest)
        flow = self._run(rest, flow, merged)
        self._return(flow, layers[-1].span if layers else node.name.span)
        self._note_unused(inputs)
        parameters = [tree.Parameter(i.span, i.name, None) for i in inputs]
        return self._block(node.name, (), "", parameters, node.trivia)

    def _merged_inputs(
        self, values: Sequence[Input], layers: Sequence[tree.LayerNode]
    ) -> list[str]:
        """The inputs, where the first layer of a chain merges them."""
        first = self.resolver.find(layers[0].name.text) if layers else None
        merges = isinstance(first, NativeLayer) and first.merges
        if not merges or len(values) < 2:
            return []
        self.waiting = []
        return [given.name for given in values]

    def define_block(self, define: tree.Define) -> Block:
        """The block of a define without equations."""
        self.labels = check_labels(self.problems, define.items)
        layers = []
        for item in define.items:
            if isinstance(item, tree.LayerNode):
                layers.append(item)
            elif not isinstance(item, tree.LayersMarker):
                self.problems.add(
                    "E0211", "a chain of layers holds layers only", item.span
                )
        if not layers:
            self.problems.add(
                "E0202",
                f"define `{define.name.text}` has no layers",
                define.name.span,
                "write them in its braces, such as `Dense(8)`",
            )
        span = define.name.span
        optional = (MASK, MEMORY, MEMORY_MASK)
        self.named = {MEMORY: MEMORY, MEMORY_MASK: MEMORY_MASK}
        flow = self._run(layers, Flow("x", mask=MASK), [])
        self._return(flow, layers[-1].span if layers else span)
        nothing = tree.Literal(span, None)
        parameters = [tree.Parameter(span, "x", None)]
        parameters += [
            tree.Parameter(span, name, nothing)
            for name in optional
            if name in self.used
        ]
        block = self._block(
            define.name, define.parameters, define.doc, parameters, define.trivia
        )
        block.loses_padding = self.loses_padding
        return block

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
        span = name.span
        return Block(name.text, parameters, doc, layers, forward, span, trivia=trivia)

    def _return(self, flow: Flow, span: Span) -> None:
        self.used.add(flow.value)
        self.body.append(tree.Return(span, tree.Name(span, flow.value)))

    def _note_unused(self, inputs: Sequence[Input]) -> None:
        for given in inputs:
            if given.name not in self.used and len(inputs) > 1:
                self.problems.add(
                    "W0102",
                    f"no layer takes the input `{given.name}`",
                    given.span,
                    "a layer takes an input by naming it in its forward",
                )

    # --- chains ------------------------------------------------------------------

    def _branch(self, branch: Branch) -> Flow:
        """The layers of one branch; its result goes by the branch's name."""
        name = branch.name.text
        if name not in self.named and self.has_inputs:
            self.problems.add(
                "E0229",
                f"the branch `{name}` has no input of its name",
                branch.name.span,
                "inputs and branches so far: " + ", ".join(self.named),
            )
        self.waiting = [given for given in self.waiting if given.name != name]
        flow = Flow(name, variable=name)
        self._mask_from_input(flow, branch.name.span)
        flow = self._run(branch.layers, flow, [])
        self.named[name] = flow.value
        if flow.has_attention:
            self._remember(flow)
        return flow

    def _run(
        self, layers: Sequence[tree.LayerNode], flow: Flow, merged: list[str]
    ) -> Flow:
        """Layers one after another; the first may merge the branches before it."""
        starts = {} if merged else residual_starts(layers)
        for position, node in enumerate(layers):
            if position in starts:
                self._assign("residual", tree.Name(node.span, flow.value), node.span)
            operands = merged if position == 0 else []
            if node.name.text.lower() == RESIDUAL_BLOCK and node.block:
                flow = self._residual(node, flow)
            elif node.block is not None:
                flow = self._nested(node, flow, operands)
            else:
                flow = self._layer(node, flow, operands)
        return flow

    def _layer(self, node: tree.LayerNode, flow: Flow, merged: list[str]) -> Flow:
        if is_wrapper(node, "TimeDistributed") and not self.resolver.find(
            node.name.text
        ):
            return self._each_step(node, flow)
        crosses, memory, node = take_wiring(
            node, self.resolver.find(node.name.text), self.problems
        )
        use = self._use(node)
        if use is None:
            self.used.add(flow.value)
            return replace(flow, value=flow.variable)
        self.uses.append(use)
        target, span = use.target, node.span
        flow = self._next_input(target, flow, span)
        self._mask_from_ids(use, flow, span)
        if isinstance(target, Block) and MEMORY in target.inputs:
            self._attend_memory(use, flow, memory, span)
        if takes_mask(target):
            flow = self._masked(use, flow)
        arguments = self._arguments(use, flow, merged, span)
        if crosses:
            arguments = self._cross(arguments, memory, flow, span)
        call = tree.Call(span, tree.Name(node.name.span, use.name), arguments)
        self._assign(flow.variable, call, span, node.trivia)
        if isinstance(target, Block) and target.loses_padding and flow.mask:
            self._warn_of_padding(target.loses_padding, span)
        attends = isinstance(target, Block) and has_attention(target)
        return replace(
            self._behind(use, flow),
            value=flow.variable,
            has_attention=flow.has_attention or attends,
            started=True,
        )

    def _arguments(
        self, use: LayerUse, flow: Flow, merged: list[str], span: Span
    ) -> tuple[tree.Argument, ...]:
        """The running value (or the branches to merge), then what is taken by name."""
        names = use.target.inputs
        native = isinstance(use.target, NativeLayer)
        first = names[0].rstrip("?") if names else ""
        by_name = first in self.named and not flow.started and not native
        running = self.named[first] if by_name else flow.value
        positional = merged if merged and len(names) > 1 and native else [running]
        if native and len(names) > 1 and not merged and names[1] == "residual":
            positional = [running, "residual"]
        self.used.update(positional)
        arguments = [
            tree.Argument(span, None, tree.Name(span, value)) for value in positional
        ]
        for name in names[1:]:
            plain = name.rstrip("?")
            value = flow.mask if plain == MASK else self.named.get(plain, "")
            optional = name != plain or not native
            if value and optional and value != running:
                self.used.add(value)
                argument = tree.Argument(span, plain, tree.Name(span, value))
                arguments.append(argument)
        return tuple(arguments)

    def _cross(
        self,
        arguments: tuple[tree.Argument, ...],
        memory: tree.Name | None,
        flow: Flow,
        span: Span,
    ) -> tuple[tree.Argument, ...]:
        """`mode="cross"`: the keys and values come from the memory."""
        name = memory.text if memory is not None else MEMORY
        if name not in self.named:
            self.problems.add(
                "E0230",
                "there is no encoder output to attend to",
                span,
                "name an input or branch: memory=NAME",
            )
            return arguments
        self._note_lost("attention to this memory", self._memory)
        key = tree.Name(span, self.named[name])
        crossed = [arguments[0], tree.Argument(span, "key", key)]
        if mask := self.named.get(MEMORY_MASK):
            crossed.append(tree.Argument(span, MASK, tree.Name(span, mask)))
        return tuple(crossed)
