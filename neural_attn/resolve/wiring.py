"""Masks, memory and names: what reaches the layers of a chain besides its value."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from neural_attn.catalogue.base import NativeLayer
from neural_attn.diagnostics.errors import Span
from neural_attn.grammar import tree
from neural_attn.ir import MASK, Block, Input, LayerUse
from neural_attn.resolve.flow import (
    MEMORY,
    MEMORY_MASK,
    Flow,
    keeps_steps,
    keeps_time,
    takes_ids,
    takes_mask,
    turns_round,
)
from neural_attn.resolve.names import snake_case
from neural_attn.resolve.scope import Scope
from neural_attn.resolve.values import MAX_REPEAT


class Wiring:
    """The state of a chain: its layers and statements so far, and who takes what.

    A padding mask reaches every layer that takes one, until a layer changes the time
    axis; the last encoder's output reaches the decoders after it.
    """

    def __init__(self, scope: Scope, node: tree.NetworkNode | tree.Define) -> None:
        self.scope = scope
        self.problems = scope.problems
        self.node = node
        self.uses: list[LayerUse] = []
        self.body: list[tree.Statement] = []
        self.named: dict[str, str] = {}  # what layers may take by name, its variable
        self.branches: dict[str, Flow] = {}  # what came of each, with its own mask
        self.used: set[str] = set()
        self.waiting: list[Input] = []  # inputs of ids that no layer has taken yet
        self.pads_with = ""
        self.labels: set[str] = set()  # the names that the author gives to layers
        # in a define: the layer after which padding is unknown, one that asks, a hint
        self.loses_padding: tuple[str, str, str] | None = None
        self.memory = Flow("")  # what decoders attend to, as it was remembered
        # the variables of states, by the layer that gives them and its branch; and
        # the layers whose states nobody has taken yet
        self.states: dict[str, tuple[str, ...]] = {}
        self.unclaimed: dict[str, Span] = {}
        self.has_inputs = True  # False where the input is missing, as was reported
        self._counts: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()

    # --- several inputs, masks and memory ------------------------------------------

    def next_input(self, target: NativeLayer | Block, flow: Flow, span: Span) -> Flow:
        """A layer for ids in the middle of a chain starts the next input of ids."""
        if not flow.started or not self.waiting or not takes_ids(target):
            return flow
        given = self.waiting.pop(0)
        if flow.is_encoded:
            self.remember(flow, span)
        fresh = Flow(given.name, variable=flow.variable)
        self.mask_from_input(fresh, span)
        return fresh

    def remember(self, flow: Flow, span: Span | None = None) -> None:
        """Keep the encoder's output, and its mask, for the decoders after it."""
        if span is not None:
            self.assign(MEMORY, tree.Name(span, flow.value), span)
            if flow.mask:
                self.assign(MEMORY_MASK, tree.Name(span, flow.mask), span)
            flow = replace(flow, value=MEMORY, mask=flow.mask and MEMORY_MASK)
        self.named[MEMORY] = flow.value
        self.named.pop(MEMORY_MASK, None)
        if flow.mask:
            self.named[MEMORY_MASK] = flow.mask
        self.memory = replace(flow)

    def take_memory(self, name: tree.Name) -> bool:
        """Make an input or a branch the memory, by name; False where there is none."""
        if name.text not in self.named:
            known = ", ".join(self.named) or "none"
            self.problems.add("E0230", name.span, memory=name.text, named=known)
            return False
        flow = self.branches.get(name.text)
        if flow is None and name.text != MEMORY:  # an input as it is
            flow = Flow(self.named[name.text])
            self.mask_from_input(flow, name.span)
        if flow is not None:
            self.remember(flow)
        return True

    def attend_memory(
        self, use: LayerUse, flow: Flow, memory: tree.Name | None, span: Span
    ) -> None:
        """A decoder attends to the last encoder before it, or to `memory=NAME`."""
        if memory is not None:
            self.take_memory(memory)
        elif MEMORY not in self.named and flow.is_encoded:
            self.remember(flow, span)
        if self.named.get(MEMORY) == flow.value and flow.value != MEMORY:
            self._remember_other(flow, span)
        block = use.target
        switch = isinstance(block, Block) and block.parameter("with_memory")
        inside = isinstance(self.node, tree.Define)
        asks = any(name.rstrip("?") == MEMORY_MASK for name in block.inputs)
        if MEMORY in self.named and asks:
            self.note_lost("attention to this memory", self.memory)
        if switch and MEMORY in self.named and not inside:
            use.arguments.setdefault("with_memory", tree.Literal(span, True))

    def _remember_other(self, flow: Flow, span: Span) -> None:
        """Behind branches: another one's encoder, or what goes on, kept as it is."""
        others = [one for one in self.branches.values() if one.value != flow.value]
        encoded = [one for one in others if one.is_encoded]
        if encoded:
            self.remember(encoded[-1])
        else:
            self.remember(self.memory, span)

    def keep_states(self, use: LayerUse, span: Span) -> tuple[str, ...]:
        """The variables of the states that a layer gives, () where it gives none."""
        gives = use.arguments.get("return_state")
        if not isinstance(gives, tree.Literal) or gives.value is not True:
            return ()
        names = use.target.states if isinstance(use.target, NativeLayer) else ()
        self.states[use.name] = tuple(f"{use.name}_{name}" for name in names)
        if names:
            self.unclaimed[use.name] = span
        return self.states[use.name]

    def start_from(self, start: tree.Expr) -> tree.Expr | None:
        """What `initial_state=…` names: a layer or branch with states, or tensors."""
        if isinstance(start, tree.Sequence):
            found = [self.start_from(item) for item in start.items]
            items = tuple(item for item in found if item is not None)
            return tree.Sequence(start.span, items) if items else None
        name = start.text if isinstance(start, tree.Name) else ""
        states = self.states.get(name) or (self.named.get(name, ""),)
        if states == ("",):
            known = ", ".join([*self.states, *self.named]) or "none"
            self.problems.add(
                "E0245.unknown", start.span, start=start.span.text, named=known
            )
            return None
        for layer in [one for one in self.unclaimed if self.states[one] == states]:
            del self.unclaimed[layer]
        self.used.update(states)
        names = [tree.Name(start.span, state) for state in states]
        return names[0] if len(names) == 1 else tree.Sequence(start.span, tuple(names))

    def check_states(self) -> None:
        """Note the layers whose states no other one starts from."""
        for layer, span in self.unclaimed.items():
            self.problems.add("E0245", span, layer=layer)

    def mask_from_input(self, flow: Flow, span: Span) -> None:
        """An input called attention_mask, or like its values with _mask."""
        for name in (f"{flow.value}_mask", MASK):
            if name in self.named and name not in self.used:
                self._make_mask(flow, name, name, span)
                return

    def mask_from_ids(self, use: LayerUse, flow: Flow, span: Span) -> None:
        """An Embedding with mask_zero: id 0 is padding."""
        masks = use.arguments.get("mask_zero")
        if isinstance(masks, tree.Literal) and masks.value is True and not flow.mask:
            alone = flow.variable == "x" and not self.pads_with
            name = MASK if alone else f"{flow.value}_mask"
            self._make_mask(flow, flow.value, name, span)

    def masked(self, use: LayerUse, flow: Flow) -> Flow:
        """The flow to a layer that asks for padding; said where it is not known."""
        taker = f"`{use.target.name}`"
        if flow.mask and use.repeat is not None and not self._keeps(use):
            # the mask would not fit what the first of the repeats gives
            flow = replace(flow, mask="", lost_at=use)
            taker = "the next of its repeats"
        self.note_lost(taker, flow)
        return flow

    def behind(self, use: LayerUse, flow: Flow) -> Flow:
        """The flow after a layer: whether its padding is still known."""
        target = use.target
        if not flow.mask or self._keeps(use):
            return flow
        # a layer that takes the mask ends the time axis itself, or turns it round
        used_up = isinstance(target, NativeLayer) and takes_mask(target)
        lost = None if used_up and not turns_round(use) else use
        return replace(flow, mask="", lost_at=lost)

    def _keeps(self, use: LayerUse) -> bool:
        if isinstance(use.target, Block):
            return keeps_time(use.target)
        return keeps_steps(use, use.target)

    def note_lost(self, taker: str, flow: Flow) -> None:
        """A layer asks for padding that a layer before it made unknown: said once."""
        lost, flow.lost_at = flow.lost_at, None
        if lost is not None:
            order = "Bidirectional(…) reads both ways and keeps the order"
            window = 'padding="same" with strides 1 would keep the steps in place'
            hint = order if turns_round(lost) else window
            self.warn_of_padding((lost.target.name, taker, hint), lost.span)

    def warn_of_padding(self, facts: tuple[str, str, str], span: Span) -> None:
        """Warn of padding that is taken for real; a define where a network uses it."""
        if isinstance(self.node, tree.Define):
            self.loses_padding = self.loses_padding or facts
            return
        lost, taker, hint = facts
        self.problems.add("W0107", span, hint=hint, lost=lost, taker=taker)

    def _make_mask(self, flow: Flow, source: str, target: str, span: Span) -> None:
        value = tree.Argument(span, None, tree.Name(span, source))
        function = tree.Name(span, "padding_mask")
        self.assign(target, tree.Call(span, function, (value,)), span)
        self.used.add(source)
        self.pads_with = self.pads_with or source
        flow.mask = target

    # --- layers under names --------------------------------------------------------

    def use(self, node: tree.LayerNode) -> LayerUse | None:
        """The layer under its name: the author's, or its type with a number."""
        if node.label is not None:
            return self.scope.use(node, node.label.text)
        target = self.scope.find(node.name.text)
        kind = snake_case(target.name if target else node.name.text)
        index = self._counts[kind]
        use = self.scope.use(node, f"{kind}_{index}", kind, index)
        if use is None:
            return None
        if use.repeat is None:
            self._check_number(use, 1)
            self._counts[kind] += 1
        else:
            if use.has_copies:
                group = self.groups[kind]
                use.name = f"{kind}_layers" + (f"_{group}" if group else "")
                self.groups[kind] += 1
            count = use.repeat.value if isinstance(use.repeat, tree.Literal) else 1
            count = count if isinstance(count, int) else 1
            self._check_number(use, min(count, MAX_REPEAT))
            self._counts[kind] += count
        return use

    def _check_number(self, use: LayerUse, count: int) -> None:
        """Note a name that an author gave to a layer, and a number gives to another."""
        for taken in {use.part_name(i) for i in range(count)} & self.labels:
            self.problems.add("E0207.number", use.span, taken=taken)

    def assign(
        self,
        target: str,
        value: tree.Expr,
        span: Span,
        trivia: tree.Trivia | None = None,
        further: tuple[str, ...] = (),
    ) -> None:
        """Write `target = value` into the forward, with `further` names behind it."""
        names = tuple(tree.Name(span, name) for name in (target, *further))
        self.body.append(tree.Assign(span, names, value, trivia or tree.Trivia()))
