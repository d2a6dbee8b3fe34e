"""Checks the equations of a define: names, calls, and that it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.functions import OBSERVE, PRIMITIVES
from neural_attn.diagnostics.errors import Problems, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import (
    SCAN,
    SEEN,
    UNUSED,
    Block,
    call_parameters,
    step_call,
    width_of,
)
from neural_attn.resolve.dead_ends import dead_ends, with_maps
from neural_attn.resolve.names import trouble_with_variable
from neural_attn.resolve.values import unknown_name

# what functions of other libraries are here
_ELSEWHERE = {
    **dict.fromkeys(("matmul", "dot", "bmm", "einsum"), "a @ b"),
    **dict.fromkeys(("cat", "concat"), "concatenate([x, y])"),
    **dict.fromkeys(("pow", "power", "square"), "x ** 2"),
    **dict.fromkeys(("permute", "swapaxes"), "transpose(x)"),
    **dict.fromkeys(("view", "squeeze", "unsqueeze", "expand_dims"), "reshape(x, …)"),
    **dict.fromkeys(("clip", "clamp"), "minimum(maximum(x, 0), 1)"),
    "ones": "zeros(…) + 1",
    "swish": "silu(x)",
    "topk": "top_k(x, k)",
    "pad": "concatenate([x, y])",
}


class Equations:
    """Checks the forward of a define: names, calls, and that it returns."""

    def __init__(self, problems: Problems, block: Block, labels: set[str]) -> None:
        self.problems = problems
        self.block = block
        self.labels = labels  # of all layers, also of those that have a problem
        self.layers = {use.name: use for use in block.uses()}
        self.static = {p.name for p in block.parameters}
        self.has_map = False

    def check(self) -> None:
        """Note every problem of the block's equations."""
        self.block.observes = any(
            isinstance(node, tree.Call) and node.function.text == OBSERVE
            for expr in _in_statements(self.block.forward.body)
            for node in tree.walk(expr)
        )
        known = set(self.static)
        for parameter in self.block.forward.parameters:
            if why := trouble_with_variable(parameter.name):
                self.problems.add("E0213", parameter.span, why=why)
            if parameter.name in self.static or parameter.name in self.layers:
                self.problems.add("E0207.variable", parameter.span, name=parameter.name)
            known.add(parameter.name)
        self._check_parameters()
        if not self._check_body(self.block.forward.body, known):
            self.problems.add("E0218", self.block.forward.span, define=self.block.name)
        self._check_layers_are_called()
        for end in dead_ends(self.block.forward.body, with_maps(self.layers.values())):
            name, define = end.targets[0], self.block.name
            self.problems.add("W0120", name.span, define=define, name=name.text)

    def _check_layers_are_called(self) -> None:
        used = {
            node.function.text if isinstance(node, tree.Call) else node.text
            for expr in _in_statements(self.block.forward.body)
            for node in tree.walk(expr)
            if isinstance(node, tree.Call | tree.Name)
        }
        for use in self.block.uses():
            if use.name not in used:
                self.problems.add(
                    "W0108", use.span, define=self.block.name, layer=use.name
                )

    def _check_parameters(self) -> None:
        """A width is that of an input; layers and parameters differ in name."""
        for name, use in self.layers.items():
            if name in self.static:
                self.problems.add("E0207.parameter", use.span, name=name)
        for parameter in self.block.parameters:
            if (name := width_of(parameter)) and name not in self.block.inputs:
                self.problems.add(
                    "E0219",
                    parameter.default.span if parameter.default else None,
                    name=name,
                    inputs=", ".join(self.block.inputs) or "none",
                )

    def _check_body(self, body: tuple[tree.Statement, ...], known: set[str]) -> bool:
        """Check statements in order; True where they always return."""
        for statement in body:
            if isinstance(statement, tree.Assign):
                self._check_expr(statement.value, known)
                for target in statement.targets:
                    self._check_target(target)
                names = [target.text for target in statement.targets]
                needed = [name for name in names if name != UNUSED]
                if len(set(needed)) < len(needed):
                    self.problems.add("E0207.targets", statement.targets[0].span)
                known |= set(names)
            elif isinstance(statement, tree.Return):
                self._check_expr(statement.value, known)
                return True
            else:
                self._check_expr(statement.condition, known)
                ends = [
                    self._check_body(branch, known)
                    for branch in (statement.then, statement.otherwise)
                ]
                if all(ends):
                    return True
        return False

    def _check_target(self, target: tree.Name) -> None:
        if why := trouble_with_variable(target.text):
            self.problems.add("E0213", target.span, why=why)
        if target.text in self.static or target.text in self.layers:
            self.problems.add("E0207.variable", target.span, name=target.text)

    def _check_expr(self, expr: tree.Expr, known: set[str]) -> None:
        for node in tree.walk(expr):
            if isinstance(node, tree.Call):
                self._check_call(node)
            elif isinstance(node, tree.Name) and node.text not in known:
                if node.text not in self.labels:
                    unknown_name(self.problems, node, known)

    def _check_call(self, call: tree.Call) -> None:
        name = call.function.text
        primitive = PRIMITIVES.get(name)
        if name in self.layers:
            parameters = call_parameters(self.layers[name])
        elif name == SCAN:
            self._check_scan(call)
            return
        elif primitive:
            parameters = tuple(primitive.parameters)
            if primitive.is_attention:
                self._note_attention(call)
        elif name in self.labels:
            return  # what is wrong with the layer has been said
        elif name == "width":
            self.problems.add("E0221.width", call.span, width=call.span.text)
            return
        else:
            hint = did_you_mean(name, [*self.layers, *PRIMITIVES])
            if name in _ELSEWHERE and name.lower() not in self.layers:
                hint = f"write `{_ELSEWHERE[name]}`"
            self.problems.add(
                "E0221",
                call.function.span,
                hint=hint,
                name=name,
                layers=", ".join(self.layers) or "none",
                functions=", ".join(PRIMITIVES),
            )
            return
        match(f"`{name}`", parameters, call.arguments, self.problems)

    def _check_scan(self, call: tree.Call) -> None:
        """`scan(step, x, …)` takes what one step takes, after the step itself."""
        step = step_call(call)
        if step is None or step.function.text not in {*self.layers, *self.labels}:
            self.problems.add("E0238", call.span)
        elif step.function.text in self.layers:
            use = self.layers[step.function.text]
            names = call_parameters(use)
            match(f"`{use.name}`", names, step.arguments, self.problems)
            if SEEN in names:
                self.problems.add("E0238.mask", call.span, step=use.name)

    def _note_attention(self, call: tree.Call) -> None:
        self.block.is_attention = True
        if self.block.observes and call.function.text != OBSERVE:
            return  # what is observed is the map
        if self.has_map:
            if self.block.observes:
                self.problems.add("E0222.observe", call.span, define=self.block.name)
            else:
                self.problems.add("E0222", call.span, define=self.block.name)
        self.has_map = True


def layer_nodes(items: Iterable[tree.Item]) -> Iterator[tree.LayerNode]:
    """Every layer that is written, whatever the conditions around it."""
    for item in items:
        if isinstance(item, tree.LayerNode):
            yield item
        elif isinstance(item, tree.LayerChoice):
            yield from layer_nodes((*item.then, *item.otherwise))


def mentioned(define: tree.Define) -> set[str]:
    """Every name that stands in a define: in arguments, conditions and equations."""
    expressions = [p.default for p in define.parameters if p.default is not None]
    expressions += _in_items(define.items)
    if define.forward is not None:
        expressions += _in_statements(define.forward.body)
    return {
        node.text
        for expr in expressions
        for node in tree.walk(expr)
        if isinstance(node, tree.Name)
    }


def _in_items(items: Iterable[tree.Item]) -> Iterator[tree.Expr]:
    for item in items:
        if isinstance(item, tree.LayerChoice):
            yield item.condition
            yield from _in_items((*item.then, *item.otherwise))
        elif isinstance(item, tree.LayerNode):
            yield from (argument.value for argument in item.arguments)
            if item.repeat is not None:
                yield item.repeat
            yield from _in_items(item.block or ())


def _in_statements(body: Iterable[tree.Statement]) -> Iterator[tree.Expr]:
    for statement in body:
        if isinstance(statement, tree.If):
            yield statement.condition
            yield from _in_statements((*statement.then, *statement.otherwise))
        else:
            yield statement.value
