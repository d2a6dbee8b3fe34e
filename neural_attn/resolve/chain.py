"""Chains to equations: layers written one after another become a forward.

After this, a network and a `define` without equations look like any other block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import INITIAL_STATE, NativeLayer
from neural_attn.catalogue.refused import refusal
from neural_attn.diagnostics.errors import Span
from neural_attn.grammar import tree
from neural_attn.grammar.parser import is_built_in
from neural_attn.ir import INDEX, MASK, Block, Input, LayerUse, is_mask
from neural_attn.resolve.dead_ends import dead_ends
from neural_attn.resolve.flow import (
    MEMORY,
    MEMORY_MASK,
    RESIDUAL_BLOCK,
    Branch,
    Flow,
    fits_mask,
    function_call,
    is_encoder,
    residual_starts,
    take_start,
    take_wiring,
    takes_mask,
)
from neural_attn.resolve.labels import check_labels
from neural_attn.resolve.scope import Scope
from neural_attn.resolve.values import note_device
from neural_attn.resolve.wiring import Wiring
from neural_attn.resolve.wrappers import each_step, is_stepwise

MAX_COPIES = 100  # of layers in braces, which are written out for each


class Chain:
    """Wires the layers of a network or of a define without equations.

    The first argument of a layer takes the running value. Every other one is filled
    by name: from an input or branch of that name, `attention_mask` from the padding
    mask, `memory` from the last encoder before a decoder.
    """

    def __init__(self, scope: Scope, node: tree.NetworkNode | tree.Define) -> None:
        self.scope = scope
        self.problems = scope.problems
        self.wiring = Wiring(scope, node)
        self._copied = 1  # how often the layers at hand are written out

    def network_block(
        self,
        node: tree.NetworkNode,
        inputs: Sequence[Input],
        layers: Sequence[tree.LayerNode | Branch],
    ) -> Block:
        """The block of a network: its forward takes the inputs."""
        self.wiring.labels = check_labels(self.problems, node.items)
        self.wiring.named = {given.name: given.name for given in inputs}
        self.wiring.has_inputs = bool(inputs)
        values = [given for given in inputs if not is_mask(given.name)]
        self.wiring.waiting = [given for given in values[1:] if given.dtype == "int"]
        flow = Flow(values[0].name if values else "inputs")
        branches: list[Flow] = []
        if not any(isinstance(item, Branch) for item in layers):
            self.wiring.mask_from_input(flow, node.name.span)
        for item in layers:
            if isinstance(item, Branch):
                flow = self._branch(item)
                branches.append(flow)
        rest = [item for item in layers if not isinstance(item, Branch)]
        merged = [b.value for b in branches] or self._merged_inputs(values, rest)
        flow = self._run(rest, flow, merged)
        self._return(flow, layers[-1].span if layers else node.name.span)
        self.wiring.check_states()
        self._note_unused(inputs)
        self._note_dead_ends([item for item in layers if isinstance(item, Branch)])
        parameters = [tree.Parameter(i.span, i.name, None) for i in inputs]
        return self._block(node.name, (), "", parameters, node.trivia)

    def _merged_inputs(
        self, values: Sequence[Input], layers: Sequence[tree.LayerNode]
    ) -> list[str]:
        """The inputs, where the first layer of a chain merges them."""
        first = self.scope.find(layers[0].name.text) if layers else None
        merges = isinstance(first, NativeLayer) and first.merges
        if not merges or len(values) < 2:
            return []
        self.wiring.waiting = []
        return [given.name for given in values]

    def define_block(self, define: tree.Define) -> Block:
        """The block of a define without equations."""
        self.wiring.labels = check_labels(self.problems, define.items)
        layers = []
        for item in define.items:
            if isinstance(item, tree.LayerNode):
                layers.append(item)
            elif not isinstance(item, tree.LayersMarker):
                self.problems.add("E0211.chain", item.span)
        if not layers:
            self.problems.add("E0202.define", define.name.span, define=define.name.text)
        span = define.name.span
        optional = (MASK, MEMORY, MEMORY_MASK)
        self.wiring.named = {MEMORY: MEMORY, MEMORY_MASK: MEMORY_MASK}
        flow = self._run(layers, Flow("x", mask=MASK), [])
        self._return(flow, layers[-1].span if layers else span)
        self.wiring.check_states()
        nothing = tree.Literal(span, None)
        parameters = [tree.Parameter(span, "x", None)]
        parameters += [
            tree.Parameter(span, name, nothing)
            for name in optional
            if name in self.wiring.used
        ]
        block = self._block(
            define.name, define.parameters, define.doc, parameters, define.trivia
        )
        block.loses_padding = self.wiring.loses_padding
        return block

    def _block(
        self,
        name: tree.Name,
        parameters: tuple[tree.Parameter, ...],
        doc: str,
        inputs: list[tree.Parameter],
        trivia: tree.Trivia,
    ) -> Block:
        forward = tree.Forward(name.span, tuple(inputs), tuple(self.wiring.body))
        layers = tuple(self.wiring.uses)
        span = name.span
        return Block(name.text, parameters, doc, layers, forward, span, trivia=trivia)

    def _return(self, flow: Flow, span: Span) -> None:
        self.wiring.used.add(flow.value)
        self.wiring.body.append(tree.Return(span, tree.Name(span, flow.value)))

    def _note_unused(self, inputs: Sequence[Input]) -> None:
        for given in inputs:
            if given.name not in self.wiring.used and len(inputs) > 1:
                self.problems.add("W0102", given.span, input=given.name)

    def _note_dead_ends(self, branches: Sequence[Branch]) -> None:
        """Note branches, and chains before another input, that nothing reads."""
        for end in dead_ends(self.wiring.body):
            call, place = end.value, end.span.start
            if isinstance(call, tree.Name):
                continue  # a value that is kept for layers that may want it
            name = call.function.text if isinstance(call, tree.Call) else "+"
            if name == "padding_mask":
                continue
            inside = [b for b in branches if b.span.start <= place < b.span.end]
            if not inside:
                self.problems.add("W0120.layer", end.span, layer=name)
            for branch in inside:
                span, text = branch.name.span, branch.name.text
                hint = self._reader_of(text, branch.span.end)
                self.problems.add("W0120.branch", span, hint=hint, name=text)

    def _reader_of(self, branch: str, end: int) -> str:
        """How a layer after a branch could attend to it, "" where none can."""
        taken = {
            statement.value.function.text
            for statement in self.wiring.body
            if isinstance(statement, tree.Assign)
            and isinstance(statement.value, tree.Call)
            and {MEMORY, "key"} & {a.name for a in statement.value.arguments}
        }
        behind = [use for use in self.wiring.uses if use.span.start >= end]
        readers = [use for use in behind if MEMORY in use.target.inputs]
        readers = readers or [use for use in behind if "key" in use.target.inputs]
        for use in sorted(readers, key=lambda use: use.name in taken):
            another = "another " if use.name in taken else ""
            return f"{another}`{use.target.name}(…, {MEMORY}={branch})` attends to it"
        return ""

    # --- chains ------------------------------------------------------------------

    def _branch(self, branch: Branch) -> Flow:
        """The layers of one branch; its result goes by the branch's name."""
        name = branch.name.text
        if name not in self.wiring.named and self.wiring.has_inputs:
            self.problems.add(
                "E0229", branch.name.span, name=name, named=", ".join(self.wiring.named)
            )
        self.wiring.waiting = [
            given for given in self.wiring.waiting if given.name != name
        ]
        flow = Flow(name, variable=name)
        self.wiring.mask_from_input(flow, branch.name.span)
        flow = self._run(branch.layers, flow, [])
        self.wiring.named[name] = flow.value
        self.wiring.branches[name] = flow
        if flow.states:
            self.wiring.states[name] = flow.states
        if flow.is_encoded:
            self.wiring.remember(flow)
        return flow

    def _run(
        self, layers: Sequence[tree.LayerNode], flow: Flow, merged: list[str]
    ) -> Flow:
        """Layers one after another; the first may merge the branches before it."""
        starts = {} if merged else residual_starts(layers)
        for position, node in enumerate(layers):
            if position in starts:
                self.wiring.assign(
                    "residual", tree.Name(node.span, flow.value), node.span
                )
            operands = merged if position == 0 else []
            if node.name.text.lower() == RESIDUAL_BLOCK and node.block:
                flow = self._residual(node, flow)
            elif node.block is not None:
                flow = self._nested(node, flow, operands)
            else:
                flow = self._layer(node, flow, operands)
        return flow

    def _layer(self, node: tree.LayerNode, flow: Flow, merged: list[str]) -> Flow:
        if tree.is_named(node, "TimeDistributed") and not self.scope.find(
            node.name.text
        ):
            return self._each_step(node, flow)
        found = self.scope.find(node.name.text)
        crosses, memory, node = take_wiring(node, found, self.problems)
        start, node = take_start(node, found)
        use = self.wiring.use(node)
        if use is None:
            self.wiring.used.add(flow.value)
            return replace(flow, value=flow.variable)
        self._refuse_cell(use, node)
        self.wiring.uses.append(use)
        target, span = use.target, node.span
        flow = self.wiring.next_input(target, flow, span)
        self.wiring.mask_from_ids(use, flow, span)
        if isinstance(target, Block) and MEMORY in target.inputs:
            self.wiring.attend_memory(use, flow, memory, span)
        if takes_mask(target):
            flow = self.wiring.masked(use, flow)
        arguments = self._arguments(use, flow, merged, span)
        if crosses:
            arguments = self._cross(arguments, memory, flow, span)
        if start is not None and (states := self.wiring.start_from(start)):
            arguments += (tree.Argument(start.span, INITIAL_STATE, states),)
        call = tree.Call(span, tree.Name(node.name.span, use.name), arguments)
        kept = self.wiring.keep_states(use, span)
        self.wiring.assign(flow.variable, call, span, node.trivia, kept)
        if isinstance(target, Block) and target.loses_padding and flow.mask:
            self.wiring.warn_of_padding(target.loses_padding, span)
        encodes = isinstance(target, Block) and is_encoder(target)
        return replace(
            self.wiring.behind(use, flow),
            value=flow.variable,
            is_encoded=flow.is_encoded or encodes,
            started=True,
            states=kept or flow.states,
        )

    def _refuse_cell(self, use: LayerUse, node: tree.LayerNode) -> None:
        """A single step of a recurrence has a place in equations, not in a chain."""
        refused, target = refusal(use.target.name), use.target
        if refused and isinstance(target, Block) and is_built_in(target.span):
            self.problems.add("E0234", node.name.span, hint=refused[1], why=refused[0])

    def _arguments(
        self, use: LayerUse, flow: Flow, merged: list[str], span: Span
    ) -> tuple[tree.Argument, ...]:
        """The running value (or the branches to merge), then what is taken by name."""
        names = use.target.inputs
        native = isinstance(use.target, NativeLayer)
        first = names[0].rstrip("?") if names else ""
        by_name = first in self.wiring.named and not flow.started and not native
        running = self.wiring.named[first] if by_name else flow.value
        takes_several = native and not all(name.endswith("?") for name in names[1:])
        positional = merged if merged and takes_several else [running]
        if native and len(names) > 1 and not merged and names[1] == "residual":
            positional = [running, "residual"]
        self.wiring.used.update(positional)
        arguments = [
            tree.Argument(span, None, tree.Name(span, value)) for value in positional
        ]
        for name in names[1:]:
            plain = name.rstrip("?")
            if native and plain == INITIAL_STATE:
                continue  # a layer starts from a state only where it is told so
            value = self.wiring.named.get(plain, "")
            if plain == MASK:
                value = flow.mask if fits_mask(use) else ""
            optional = name != plain or not native
            if value and optional and value != running:
                self.wiring.used.add(value)
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
        if memory is not None and not self.wiring.take_memory(memory):
            return arguments
        if MEMORY not in self.wiring.named:
            self.problems.add("E0230.encoder", span)
            return arguments
        self.wiring.note_lost("attention to this memory", self.wiring.memory)
        key = tree.Name(span, self.wiring.named[MEMORY])
        self.wiring.used.add(key.text)
        crossed = [arguments[0], tree.Argument(span, "key", key)]
        if mask := self.wiring.named.get(MEMORY_MASK):
            crossed.append(tree.Argument(span, MASK, tree.Name(span, mask)))
        return tuple(crossed)

    # --- layers around layers ------------------------------------------------------

    def _nested(self, node: tree.LayerNode, flow: Flow, merged: list[str]) -> Flow:
        """`Layer(…) { layers } * count`: the layer, then those in its braces."""
        if self.scope.find(node.name.text) is None:
            return self._layer(node, flow, merged)
        outer = replace(node, block=None)
        inner = self._layers_inside(node)
        if not inner:
            return self._layer(outer, flow, merged)
        self.problems.add("W0117", inner[0].span, layer=node.name.text)
        for copy in self._written_out(node):
            layers = self._numbered(node, (replace(outer, repeat=None), *inner), copy)
            flow = self._run(layers, flow, merged)
            merged = []
        return flow

    def _layers_inside(self, node: tree.LayerNode) -> list[tree.LayerNode]:
        inner = [item for item in node.block or () if isinstance(item, tree.LayerNode)]
        for item in node.block or ():
            if not isinstance(item, tree.LayerNode):
                self.problems.add("E0211", item.span, layer=node.name.text)
        return inner

    def _residual(self, node: tree.LayerNode, flow: Flow) -> Flow:
        """`ResidualConnection { layers } * count`: what comes out plus what went in."""
        what = f"`{node.name.text}`"
        match(what, (), node.arguments, self.problems)
        if node.label is not None:
            self.problems.add("E0211.label", node.label.span, what=what)
        note_device(self.problems, node)
        for copy in self._written_out(node):
            flow = self._residual_once(node, flow, copy)
        return flow

    def _numbered(
        self, node: tree.LayerNode, layers: Sequence[tree.LayerNode], copy: int
    ) -> list[tree.LayerNode]:
        """Layers in braces with the number of the copy where they name it.

        A layer that is repeated itself counts its own copies.
        """
        if node.repeat is None or INDEX in self.scope.parameters:
            return list(layers)
        return [_with_index(layer, copy) for layer in layers]

    def _written_out(self, node: tree.LayerNode) -> Iterator[int]:
        """Once for each copy of layers in braces; those inside count them all."""
        count, around = self._copies(node), self._copied
        self._copied *= count
        yield from range(count)
        self._copied = around

    def _copies(self, node: tree.LayerNode) -> int:
        """How often layers in braces are written out here."""
        if node.repeat is None:
            return 1
        count = node.repeat.value if isinstance(node.repeat, tree.Literal) else None
        if type(count) is int and 1 <= count * self._copied <= MAX_COPIES:
            return count
        self.problems.add(
            "E0216.braces", node.repeat.span, layer=node.name.text, most=MAX_COPIES
        )
        return 1

    def _residual_once(self, node: tree.LayerNode, flow: Flow, copy: int) -> Flow:
        kept = f"residual_{self.wiring.groups[RESIDUAL_BLOCK]}"
        self.wiring.groups[RESIDUAL_BLOCK] += 1
        self.wiring.assign(
            kept, tree.Name(node.span, flow.value), node.span, node.trivia
        )
        inner = self._numbered(node, self._layers_inside(node), copy)
        flow = self._run(inner, flow, [])
        total = tree.Binary(
            node.span, "+", tree.Name(node.span, flow.value), tree.Name(node.span, kept)
        )
        self.wiring.assign(flow.variable, total, node.span)
        return replace(flow, value=flow.variable)

    def _each_step(self, node: tree.LayerNode, flow: Flow) -> Flow:
        """`TimeDistributed(layer)`: the steps of all examples become one batch."""
        inner = each_step(node, self.problems)
        if inner is None:
            self.wiring.used.add(flow.value)
            return replace(flow, value=flow.variable)
        if is_stepwise(inner):
            return self._layer(inner, flow, [])
        steps = "steps"
        while steps in (*self.wiring.named, flow.value):
            steps += "_"
        self.wiring.used.add(flow.value)
        span, before = node.span, tree.Name(node.span, flow.value)
        self.wiring.assign(steps, function_call("fold_time", before), span, node.trivia)
        folded = Flow(steps, steps, started=True)
        inside = self._layer(replace(inner, trivia=tree.Trivia()), folded, [])
        if inside.is_encoded:
            self.problems.add("E0235", span)
        after = tree.Name(span, inside.value)
        self.wiring.assign(
            flow.variable, function_call("unfold_time", after, before), span
        )
        return replace(flow, value=flow.variable, started=True)


def _with_index(node: tree.LayerNode, copy: int) -> tree.LayerNode:
    """A layer, and those in its braces, for one number of the copy."""
    if node.repeat is not None:
        return node
    arguments = tuple(
        replace(a, value=tree.replaced(a.value, INDEX, tree.Literal(a.span, copy)))
        for a in node.arguments
    )
    block = node.block and tuple(
        _with_index(item, copy) if isinstance(item, tree.LayerNode) else item
        for item in node.block
    )
    return replace(node, arguments=arguments, block=block)
