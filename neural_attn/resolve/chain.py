"""Chains to equations: layers written one after another become a forward.

After this, a network and a `define` without equations look like any other block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neural_attn.errors import Problems, Span
from neural_attn.grammar import tree
from neural_attn.layers import NativeLayer
from neural_attn.resolve.arguments import match
from neural_attn.resolve.inputs import MASK, is_mask, takes_ids
from neural_attn.resolve.ir import Block, Input, LayerUse
from neural_attn.resolve.names import snake_case
from neural_attn.resolve.wrappers import each_step, is_stepwise, is_wrapper

if TYPE_CHECKING:
    from neural_attn.resolve.resolver import Resolver

MEMORY, MEMORY_MASK = "memory", "memory_mask"
RESIDUAL = ("add", "residual")
RESIDUAL_BLOCK = "residualconnection"
MAX_COPIES = 100  # of a residual connection, which is written out for each


@dataclass(frozen=True)
class Branch(tree.Node):
    """`name: { layers }`: layers that work on the input or branch of that name."""

    name: tree.Name
    layers: tuple[tree.LayerNode, ...]


@dataclass
class _Flow:
    """A value on its way through a chain.

    `value` is the variable that holds it now, `variable` the one that the next layer
    assigns, `mask` the variable of its padding mask, "" while it has none.
    """

    value: str
    variable: str = "x"
    mask: str = ""
    has_attention: bool = False
    started: bool = False


class Chain:
    """Wires the layers of a network or of a define without equations.

    The first argument of a layer takes the running value. Every other one is filled
    by name: from an input or branch of that name, `attention_mask` from the padding
    mask, `memory` from the last encoder before a decoder.
    """

    def __init__(
        self, resolver: Resolver, node: tree.NetworkNode | tree.Define
    ) -> None:
        self.resolver = resolver
        self.problems = resolver.problems
        self.node = node
        self.uses: list[LayerUse] = []
        self.body: list[tree.Statement] = []
        self.named: dict[str, str] = {}  # what layers may take by name, its variable
        self.used: set[str] = set()
        self.waiting: list[Input] = []  # inputs of ids that no layer has taken yet
        self.pads_with = ""
        self._counts: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()
        self._copied = 1  # how often the layers at hand are written out

    # --- the two kinds of chain --------------------------------------------------

    def network_block(
        self,
        node: tree.NetworkNode,
        inputs: Sequence[Input],
        layers: Sequence[tree.LayerNode | Branch],
    ) -> Block:
        """The block of a network: its forward takes the inputs."""
        self.named = {given.name: given.name for given in inputs}
        values = [given for given in inputs if not is_mask(given.name)]
        self.waiting = [given for given in values[1:] if given.dtype == "int"]
        flow = _Flow(values[0].name if values else "inputs")
        branches: list[_Flow] = []
        if not any(isinstance(item, Branch) for item in layers):
            self._mask_from_input(flow, node.name.span)
        for item in layers:
            if isinstance(item, Branch):
                flow = self._branch(item)
                branches.append(flow)
        rest = [item for item in layers if not isinstance(item, Branch)]
        flow = self._run(rest, flow, [b.value for b in branches])
        self._return(flow, layers[-1].span if layers else node.name.span)
        self._note_unused(inputs)
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
        if not layers:
            self.problems.add(
                "E0202", f"define `{define.name.text}` has no layers", define.name.span
            )
        span = define.name.span
        optional = (MASK, MEMORY, MEMORY_MASK)
        self.named = {MEMORY: MEMORY, MEMORY_MASK: MEMORY_MASK}
        flow = self._run(layers, _Flow("x", mask=MASK), [])
        self._return(flow, layers[-1].span if layers else span)
        nothing = tree.Literal(span, None)
        parameters = [tree.Parameter(span, "x", None)]
        parameters += [
            tree.Parameter(span, name, nothing)
            for name in optional
            if name in self.used
        ]
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
        span = name.span
        return Block(name.text, parameters, doc, layers, forward, span, trivia=trivia)

    def _return(self, flow: _Flow, span: Span) -> None:
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

    def _branch(self, branch: Branch) -> _Flow:
        """The layers of one branch; its result goes by the branch's name."""
        name = branch.name.text
        if name not in self.named:
            self.problems.add(
                "E0229",
                f"the branch `{name}` has no input of its name",
                branch.name.span,
                "inputs and branches so far: " + ", ".join(self.named),
            )
        self.waiting = [given for given in self.waiting if given.name != name]
        flow = _Flow(name, variable=name)
        self._mask_from_input(flow, branch.name.span)
        flow = self._run(branch.layers, flow, [])
        self.named[name] = flow.value
        if flow.has_attention:
            self._remember(flow)
        return flow

    def _run(
        self, layers: Sequence[tree.LayerNode], flow: _Flow, merged: list[str]
    ) -> _Flow:
        """Layers one after another; the first may merge the branches before it."""
        starts = {} if merged else _residual_starts(layers)
        for position, node in enumerate(layers):
            if position in starts:
                self._assign("residual", tree.Name(node.span, flow.value), node.span)
            if node.name.text.lower() == RESIDUAL_BLOCK and node.block:
                flow = self._residual(node, flow)
            else:
                flow = self._layer(node, flow, merged if position == 0 else [])
        return flow

    def _residual(self, node: tree.LayerNode, flow: _Flow) -> _Flow:
        """`ResidualConnection { layers } * count`: what comes out plus what went in."""
        count, around = self._copies(node), self._copied
        self._copied *= count
        for _ in range(count):
            flow = self._residual_once(node, flow)
        self._copied = around
        return flow

    def _copies(self, node: tree.LayerNode) -> int:
        """How often a residual connection stands here; notes what it cannot have."""
        what = f"`{node.name.text}`"
        match(what, (), node.arguments, self.problems)
        if node.label is not None:
            self.problems.add(
                "E0211",
                f"{what} holds layers, and has no name of its own",
                node.label.span,
                "name the layers inside",
            )
        if node.device is not None:
            self.problems.add(
                "W0101",
                f"the device {node.device.value} is not used yet: "
                "the whole network runs on one device",
                node.device.span,
            )
        if node.repeat is None:
            return 1
        count = node.repeat.value if isinstance(node.repeat, tree.Literal) else None
        if type(count) is int and 1 <= count * self._copied <= MAX_COPIES:
            return count
        self.problems.add(
            "E0216",
            f"{what} is repeated 1 to {MAX_COPIES} times in all",
            node.repeat.span,
            "put it into a `define`, which may be repeated more often",
        )
        return 1

    def _residual_once(self, node: tree.LayerNode, flow: _Flow) -> _Flow:
        kept = f"residual_{self._groups[RESIDUAL_BLOCK]}"
        self._groups[RESIDUAL_BLOCK] += 1
        self._assign(kept, tree.Name(node.span, flow.value), node.span, node.trivia)
        inner = [item for item in node.block or () if isinstance(item, tree.LayerNode)]
        for item in node.block or ():
            if not isinstance(item, tree.LayerNode):
                self.problems.add(
                    "E0211", "a residual connection holds layers only", item.span
                )
        flow = self._run(inner, flow, [])
        total = tree.Binary(
            node.span, "+", tree.Name(node.span, flow.value), tree.Name(node.span, kept)
        )
        self._assign(flow.variable, total, node.span)
        return replace(flow, value=flow.variable)

    def _each_step(self, node: tree.LayerNode, flow: _Flow) -> _Flow:
        """`TimeDistributed(layer)`: the steps of all examples become one batch."""
        inner = each_step(node, self.problems)
        if inner is None:
            self.used.add(flow.value)
            return replace(flow, value=flow.variable)
        if is_stepwise(inner):
            return self._layer(inner, flow, [])
        steps = "steps"
        while steps in (*self.named, flow.value):
            steps += "_"
        self.used.add(flow.value)
        span, before = node.span, tree.Name(node.span, flow.value)
        self._assign(steps, _call("fold_time", before), span, node.trivia)
        folded = _Flow(steps, steps, started=True)
        inside = self._layer(replace(inner, trivia=tree.Trivia()), folded, [])
        if inside.has_attention:
            self.problems.add(
                "E0235",
                "attention inside TimeDistributed would give a map for every step",
                span,
                "attend along the time axis, without TimeDistributed",
            )
        after = tree.Name(span, inside.value)
        self._assign(flow.variable, _call("unfold_time", after, before), span)
        return replace(flow, value=flow.variable, started=True)

    def _layer(self, node: tree.LayerNode, flow: _Flow, merged: list[str]) -> _Flow:
        if is_wrapper(node, "TimeDistributed") and not self.resolver.find(
            node.name.text
        ):
            return self._each_step(node, flow)
        crosses, memory, node = _take_wiring(
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
        arguments = self._arguments(use, flow, merged, span)
        if crosses:
            arguments = self._cross(arguments, memory, flow, span)
        call = tree.Call(span, tree.Name(node.name.span, use.name), arguments)
        self._assign(flow.variable, call, span, node.trivia)
        keeps_mask = (
            keeps_time(target)
            if isinstance(target, Block)
            else self._keeps_mask(use, target, flow.mask)
        )
        attends = isinstance(target, Block) and has_attention(target)
        return replace(
            flow,
            value=flow.variable,
            mask=flow.mask if keeps_mask else "",
            has_attention=flow.has_attention or attends,
            started=True,
        )

    def _arguments(
        self, use: LayerUse, flow: _Flow, merged: list[str], span: Span
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
        flow: _Flow,
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
        key = tree.Name(span, self.named[name])
        crossed = [arguments[0], tree.Argument(span, "key", key)]
        if mask := self.named.get(MEMORY_MASK):
            crossed.append(tree.Argument(span, MASK, tree.Name(span, mask)))
        return tuple(crossed)

    # --- several inputs, masks and memory ------------------------------------------

    def _next_input(
        self, target: NativeLayer | Block, flow: _Flow, span: Span
    ) -> _Flow:
        """A layer for ids in the middle of a chain starts the next input of ids."""
        if not flow.started or not self.waiting or not takes_ids(target):
            return flow
        given = self.waiting.pop(0)
        if flow.has_attention:
            self._remember(flow, span)
        fresh = _Flow(given.name, variable=flow.variable)
        self._mask_from_input(fresh, span)
        return fresh

    def _remember(self, flow: _Flow, span: Span | None = None) -> None:
        """Keep the encoder's output, and its mask, for the decoders behind it."""
        if span is not None:
            self._assign(MEMORY, tree.Name(span, flow.value), span)
            if flow.mask:
                self._assign(MEMORY_MASK, tree.Name(span, flow.mask), span)
        self.named[MEMORY] = MEMORY if span is not None else flow.value
        masked = MEMORY_MASK if span is not None else flow.mask
        self.named.pop(MEMORY_MASK, None)
        if flow.mask:
            self.named[MEMORY_MASK] = masked

    def _attend_memory(
        self, use: LayerUse, flow: _Flow, memory: tree.Name | None, span: Span
    ) -> None:
        """A decoder attends to the last encoder before it, or to `memory=NAME`."""
        if memory is not None:
            if memory.text not in self.named:
                self.problems.add(
                    "E0230",
                    f"there is no input or branch `{memory.text}` to attend to",
                    memory.span,
                    "there are: " + ", ".join(self.named),
                )
            self.named[MEMORY] = self.named.get(memory.text, memory.text)
        elif MEMORY not in self.named and flow.has_attention:
            self._remember(flow, span)
        block = use.target
        switch = isinstance(block, Block) and block.parameter("with_memory")
        inside = isinstance(self.node, tree.Define)
        if switch and MEMORY in self.named and not inside:
            use.arguments.setdefault("with_memory", tree.Literal(span, True))

    def _mask_from_input(self, flow: _Flow, span: Span) -> None:
        """An input called attention_mask, or like its values with _mask."""
        for name in (f"{flow.value}_mask", MASK):
            if name in self.named and name not in self.used:
                self._make_mask(flow, name, name, span)
                return

    def _mask_from_ids(self, use: LayerUse, flow: _Flow, span: Span) -> None:
        """An Embedding with mask_zero: id 0 is padding."""
        masks = use.arguments.get("mask_zero")
        if isinstance(masks, tree.Literal) and masks.value is True and not flow.mask:
            alone = flow.variable == "x" and not self.pads_with
            name = MASK if alone else f"{flow.value}_mask"
            self._make_mask(flow, flow.value, name, span)

    def _keeps_mask(self, use: LayerUse, native: NativeLayer, mask: str) -> bool:
        """Whether the padding mask fits what comes out of a native layer."""
        if not isinstance(native.keeps_time, str):
            return native.keeps_time
        turns = use.arguments.get("go_backwards")
        if isinstance(turns, tree.Literal) and turns.value:
            if mask and _is_on(use, native, native.keeps_time):
                self.problems.add(
                    "W0107",
                    f"`{native.name}` gives the steps in reverse order: layers behind "
                    "it are not told which of them are padding",
                    use.span,
                    "Bidirectional(…) reads both ways and keeps the order",
                )
            return False
        return _is_on(use, native, native.keeps_time)

    def _make_mask(self, flow: _Flow, source: str, target: str, span: Span) -> None:
        value = tree.Argument(span, None, tree.Name(span, source))
        function = tree.Name(span, "padding_mask")
        self._assign(target, tree.Call(span, function, (value,)), span)
        self.used.add(source)
        self.pads_with = self.pads_with or source
        flow.mask = target

    # --- layers under names --------------------------------------------------------

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

    def _assign(
        self,
        target: str,
        value: tree.Expr,
        span: Span,
        trivia: tree.Trivia | None = None,
    ) -> None:
        name = tree.Name(span, target)
        self.body.append(tree.Assign(span, name, value, trivia or tree.Trivia()))


def _call(function: str, *values: tree.Expr) -> tree.Call:
    span = values[0].span
    arguments = tuple(tree.Argument(span, None, value) for value in values)
    return tree.Call(span, tree.Name(span, function), arguments)


def has_attention(block: Block) -> bool:
    """Whether a block computes attention, itself or in a part."""
    seen, waiting = {block}, [block]
    while waiting:
        inside = waiting.pop()
        if inside.is_attention:
            return True
        parts = {u.target for u in inside.uses() if isinstance(u.target, Block)}
        waiting += parts - seen
        seen |= parts
    return False


def _is_on(use: LayerUse, native: NativeLayer, flag: str) -> bool:
    """Whether a flag of a layer is true, or may be."""
    decides = use.arguments.get(flag)
    if decides is None:
        parameter = native.parameter(flag)
        return parameter is not None and bool(parameter.default)
    # what a parameter of the define decides may be true
    return not isinstance(decides, tree.Literal) or bool(decides.value)


def keeps_time(block: Block) -> bool:
    """Whether a padding mask still fits behind a block: each layer in it keeps time."""
    seen, waiting = {block}, [block]
    while waiting:
        for use in waiting.pop().uses():
            target = use.target
            if isinstance(target, Block):
                if target not in seen:
                    waiting.append(target)
                    seen.add(target)
                continue
            flag = target.keeps_time
            if not (_is_on(use, target, flag) if isinstance(flag, str) else flag):
                return False
    return True


def _take_wiring(
    node: tree.LayerNode, target: NativeLayer | Block | None, problems: Problems
) -> tuple[bool, tree.Name | None, tree.LayerNode]:
    """Split off `mode=…` and `memory=NAME`, which are no parameters.

    Only of blocks that have an input for the memory; to others they are unknown.
    Gives whether the keys come from the memory, its name, and the rest.
    """
    if not isinstance(target, Block):
        return False, None, node
    memory, crosses = None, False
    decodes, has_keys = MEMORY in target.inputs, "key" in target.inputs
    if has_keys and not target.parameter("mode"):
        crosses, node = _take_mode(node, problems)
    if (decodes or has_keys) and not target.parameter(MEMORY):
        memory, node = _take_memory(node)
    return crosses or (memory is not None and not decodes), memory, node


def _take_memory(node: tree.LayerNode) -> tuple[tree.Name | None, tree.LayerNode]:
    """Split off `memory=NAME`."""
    for argument in node.arguments:
        if argument.name == MEMORY and isinstance(argument.value, tree.Name):
            rest = tuple(a for a in node.arguments if a is not argument)
            return argument.value, replace(node, arguments=rest)
    return None, node


def _take_mode(node: tree.LayerNode, problems: Problems) -> tuple[bool, tree.LayerNode]:
    """Split off `mode="cross"` or `mode="self"` of an attention layer."""
    for argument in node.arguments:
        if argument.name != "mode" or not isinstance(argument.value, tree.Literal):
            continue
        mode = argument.value.value
        if mode not in ("self", "cross"):
            problems.add(
                "E0217", f'`mode` is "self" or "cross", not {mode!r}', argument.span
            )
        if mode == "self" and any(a.name == MEMORY for a in node.arguments):
            problems.add("E0217", '`mode="self"` takes no memory', argument.span)
        rest = tuple(a for a in node.arguments if a is not argument)
        return mode == "cross", replace(node, arguments=rest)
    return False, node


def _residual_starts(layers: Sequence[tree.LayerNode]) -> dict[int, int]:
    """Where the values begin that each `Add()` adds again.

    That is after the last normalization or merge before it, or at the start.
    """
    starts, start = {}, 0
    for position, node in enumerate(layers):
        name = node.name.text.lower()
        if name in RESIDUAL and not node.arguments:
            starts[start] = position
        if name in RESIDUAL or "norm" in name:
            start = position + 1
    return starts
