"""Layers around layers: residual connections, braces, each step alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from neural_attn.grammar import tree
from neural_attn.resolve.arguments import match
from neural_attn.resolve.flow import RESIDUAL_BLOCK, Flow, function_call
from neural_attn.resolve.values import note_device
from neural_attn.resolve.wiring import Wiring
from neural_attn.resolve.wrappers import each_step, is_stepwise

MAX_COPIES = 100  # of layers in braces, which are written out for each


class Enclosing(Wiring, ABC):
    """What layers in braces come to; how a chain and a layer run is its subclass's."""

    @abstractmethod
    def _run(
        self, layers: Sequence[tree.LayerNode], flow: Flow, merged: list[str]
    ) -> Flow:
        """Layers one after another; the first may merge the branches before it."""

    @abstractmethod
    def _layer(self, node: tree.LayerNode, flow: Flow, merged: list[str]) -> Flow:
        """One layer."""

    def _nested(self, node: tree.LayerNode, flow: Flow, merged: list[str]) -> Flow:
        """`Layer(…) { layers } * count`: the layer, then those in its braces."""
        if self.resolver.find(node.name.text) is None:
            return self._layer(node, flow, merged)
        outer = replace(node, block=None)
        inner = self._layers_inside(node)
        if not inner:
            return self._layer(outer, flow, merged)
        self.problems.add(
            "W0117",
            f"the layers in these braces run behind `{node.name.text}`, one by one",
            inner[0].span,
            "write them behind it, or a `define` that says how they belong together",
        )
        for _ in self._written_out(node):
            flow = self._run((replace(outer, repeat=None), *inner), flow, merged)
            merged = []
        return flow

    def _layers_inside(self, node: tree.LayerNode) -> list[tree.LayerNode]:
        inner = [item for item in node.block or () if isinstance(item, tree.LayerNode)]
        for item in node.block or ():
            if not isinstance(item, tree.LayerNode):
                self.problems.add(
                    "E0211", f"`{node.name.text}` holds layers only", item.span
                )
        return inner

    def _residual(self, node: tree.LayerNode, flow: Flow) -> Flow:
        """`ResidualConnection { layers } * count`: what comes out plus what went in."""
        what = f"`{node.name.text}`"
        match(what, (), node.arguments, self.problems)
        if node.label is not None:
            self.problems.add(
                "E0211",
                f"{what} holds layers, and has no name of its own",
                node.label.span,
                "name the layers inside",
            )
        note_device(self.problems, node)
        for _ in self._written_out(node):
            flow = self._residual_once(node, flow)
        return flow

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
            "E0216",
            f"`{node.name.text}` with layers in braces is repeated 1 to {MAX_COPIES} "
            "times in all",
            node.repeat.span,
            "put it into a `define`, which may be repeated more often",
        )
        return 1

    def _residual_once(self, node: tree.LayerNode, flow: Flow) -> Flow:
        kept = f"residual_{self._groups[RESIDUAL_BLOCK]}"
        self._groups[RESIDUAL_BLOCK] += 1
        self._assign(kept, tree.Name(node.span, flow.value), node.span, node.trivia)
        flow = self._run(self._layers_inside(node), flow, [])
        total = tree.Binary(
            node.span, "+", tree.Name(node.span, flow.value), tree.Name(node.span, kept)
        )
        self._assign(flow.variable, total, node.span)
        return replace(flow, value=flow.variable)

    def _each_step(self, node: tree.LayerNode, flow: Flow) -> Flow:
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
        self._assign(steps, function_call("fold_time", before), span, node.trivia)
        folded = Flow(steps, steps, started=True)
        inside = self._layer(replace(inner, trivia=tree.Trivia()), folded, [])
        if inside.has_attention:
            self.problems.add(
                "E0235",
                "attention inside TimeDistributed would give a map for every step",
                span,
                "attend along the time axis, without TimeDistributed",
            )
        after = tree.Name(span, inside.value)
        self._assign(flow.variable, function_call("unfold_time", after, before), span)
        return replace(flow, value=flow.variable, started=True)
