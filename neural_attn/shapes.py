"""Shape inference: runs a network on shapes alone, and checks every equation.

The result is a tree of `Instance`s, one per layer that will exist, with shapes,
weights, parameter counts and the attention maps it will give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neural_attn import constants
from neural_attn.arguments import match
from neural_attn.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import Block, Input, LayerChoice, LayerUse, Network
from neural_attn.layers import NativeLayer, Weight
from neural_attn.primitives import PRIMITIVES, Length
from neural_attn.resolve import Resolver, call_parameters, check_value, width_of
from neural_attn.types import (
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    broadcast,
    divided,
    same,
    spelled,
    substitute,
    times,
)


@dataclass(frozen=True)
class Attention:
    """One attention map that a network gives: its kind and its number of heads."""

    kind: str  # encoder_self, decoder_self or cross
    heads: int | None
    causal: bool


@dataclass(eq=False)
class Instance:
    """One layer as it stands in the network, with concrete sizes."""

    name: str
    target: NativeLayer | Block
    values: dict[str, object]
    inputs: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None
    weights: tuple[Weight, ...] = ()
    children: dict[str, list[Instance]] = field(default_factory=dict)
    uses: dict[str, LayerUse] = field(default_factory=dict)
    attention: Attention | None = None

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers in it."""
        own = sum(_size(weight.shape) for weight in self.weights)
        return own + sum(
            part.parameter_count for parts in self.children.values() for part in parts
        )

    def named_weights(self, prefix: str = "") -> Iterator[tuple[str, Weight]]:
        """Every weight under the name it has in weight files."""
        for weight in self.weights:
            yield prefix + weight.name, weight
        for name, parts in self.children.items():
            repeated = self.uses[name].repeat is not None
            for i, part in enumerate(parts):
                inner = f"{prefix}{name}.{i}." if repeated else f"{prefix}{name}."
                yield from part.named_weights(inner)

    def attentions(self) -> list[tuple[tuple[str, ...], Attention]]:
        """The attention maps inside, each with the path of part names to it."""
        found = [((), self.attention)] if self.attention else []
        paths: list[tuple[tuple[str, ...], Attention]] = list(found)
        for name, parts in self.children.items():
            for i, part in enumerate(parts):
                step = self.uses[name].part_name(i)
                paths += [((step, *path), kind) for path, kind in part.attentions()]
        return paths


def _size(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


@dataclass(eq=False)
class Checked:
    """A network whose shapes fit, and what the emitters must know of its blocks."""

    network: Network
    root: Instance
    facts: dict[Block, Facts]

    @property
    def attentions(self) -> dict[str, Attention]:
        """The attention maps by name, in order: the contract of design section 4.

        A layer with one attention inside gives a map under its own name; one with
        several adds the names on the way.
        """
        by_layer: dict[str, list[tuple[tuple[str, ...], Attention]]] = {}
        for path, attention in self.root.attentions():
            by_layer.setdefault(path[0], []).append((path[1:], attention))
        named: dict[str, Attention] = {}
        for layer, found in by_layer.items():
            steps = _shortest([path for path, _ in found])
            for step, (_, attention) in zip(steps, found, strict=True):
                named[".".join((layer, *step))] = attention
        return named


def _shortest(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The paths without the trailing steps that tell nothing apart."""
    if len(paths) == 1:
        return [()]
    for length in range(1, max(map(len, paths)) + 1):
        short = [path[:length] for path in paths]
        if len(set(short)) == len(short):
            return short
    return paths


@dataclass(eq=False)
class Facts:
    """What all instances of a block have in common, for the code of its class.

    `features` holds, per layer, sizes of its input as expressions in the block's
    parameters; `hidden` names inputs whose width the class must be told;
    `decisions` holds the outcomes of each condition; `tensors` the calls and names
    that stand for tensors rather than constants, by node identity; `live` the layers
    that exist; `values` what each parameter is, over all instances; `passed` the
    optional inputs that some call gives.
    """

    features: dict[str, dict[str, tree.Expr]] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    decisions: dict[int, set[bool]] = field(default_factory=dict)
    tensors: set[int] = field(default_factory=set)
    hidden_values: dict[str, dict[str, tree.Expr]] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    values: dict[str, list[object]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)


class _Stop(Exception):
    """A problem was noted; the rest of this chain cannot be checked."""


class _Again(Exception):
    """A block was found to serve inputs of different widths: start over."""


class Shapes:
    """Runs blocks on shapes."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.facts: dict[Block, Facts] = {}
        # blocks whose inputs may differ in width: each width gets a name of its own
        self.general: set[Block] = set()
        self.trail: list[str] = []

    def network(
        self, network: Network, lengths: Mapping[str, tuple[int | None, ...]]
    ) -> Checked | None:
        """Check a network; `lengths` may replace the shapes of its inputs."""
        given = [_input_tensor(i, lengths.get(i.name)) for i in network.inputs]
        while True:
            self.facts, self.trail = {}, []
            root = Instance(network.name, network.block, {})
            try:
                root = _Run(self, network.block, {}, {}, root).forward(given)
            except _Again:
                continue
            except _Stop:
                return None
            return Checked(network, root, self.facts)

    def note(self, error: ShapeError, node: tree.Node) -> _Stop:
        """Note a broken rule at a place, with the layers that led there."""
        hint = error.hint
        if len(self.trail) > 1:
            chain = " → ".join(self.trail[-4:])
            hint = f"{hint}; it came by: {chain}" if hint else f"it came by: {chain}"
        self.problems.add("E0301", error.message, node.span, hint)
        return _Stop()


def _input_tensor(given: Input, shape: tuple[int | None, ...] | None) -> Tensor:
    sizes = given.shape if shape is None else shape
    batch = Dim(None, None, "batch")
    labels = ["time", *("?" for _ in sizes)]
    dims = [
        Dim(size, tree.Literal(given.span, size) if size else None, label)
        for size, label in zip(sizes, labels, strict=False)
    ]
    return Tensor((batch, *dims), given.dtype)


class _Run:
    """One block with one set of values, run on the shapes of its inputs."""

    def __init__(
        self,
        shapes: Shapes,
        block: Block,
        given: Mapping[str, Static],
        expressions: Mapping[str, tree.Expr | None],
        instance: Instance,
    ) -> None:
        self.shapes = shapes
        self.block = block
        self.facts = shapes.facts.setdefault(block, Facts())
        self.instance = instance
        self.given = given
        self.outer = dict(expressions)  # parameters, spelled in the caller's terms
        self.values: dict[str, Value] = {}
        self.uses: dict[str, LayerUse] = {}
        self.static: dict[str, object] = {}

    # --- entering ----------------------------------------------------------------

    def forward(self, inputs: Sequence[Value]) -> Instance:
        """Run the forward on tensors (or none); fills and returns the instance."""
        self._bind_parameters(inputs)
        self._bind_inputs(inputs)
        self.instance.values = dict(self.static)
        for name, value in self.static.items():
            known = self.facts.values.setdefault(name, [])
            if value not in known:
                known.append(value)
        self._declare(self.block.layers)
        output = self._body(self.block.forward.body)
        if not isinstance(output, Tensor):
            raise self.shapes.note(
                ShapeError(f"`{self.block.name}` must return a tensor"),
                self.block.forward,
            )
        self.instance.output = output
        return self.instance

    def _bind_parameters(self, inputs: Sequence[Value]) -> None:
        by_name = dict(zip(self.block.inputs, inputs, strict=False))
        for parameter in self.block.parameters:
            source = width_of(parameter)
            if source:
                self._bind_width(parameter, by_name.get(source))
            elif parameter.name in self.given:
                self.static[parameter.name] = self.given[parameter.name].value
        pending = [p for p in self.block.parameters if p.name not in self.static]
        while pending:
            ready = [p for p in pending if self._bind_default(p)]
            if not ready:
                node = pending[0]
                error = ShapeError(f"the default of `{node.name}` depends on itself")
                raise self.shapes.note(error, node)
            pending = [p for p in pending if p not in ready]
        for parameter in self.block.parameters:
            self._check(parameter)

    def _bind_width(self, parameter: tree.Parameter, value: Value | None) -> None:
        name = parameter.name
        width = (
            value.width if isinstance(value, Tensor) and value.rank > 1 else Dim(None)
        )
        given = self.given.get(name)
        if width.value is None and given is None:
            error = ShapeError(
                f"`{self.block.name}` needs numbers with a known width "
                f"[batch, time, {name}], and gets {value}"
            )
            raise self.shapes.note(error, self._place())
        if given is not None and width.value not in (None, given.value):
            error = ShapeError(
                f"`{name}={given.value}` does not fit: {value} arrives, "
                f"whose width is {width.value}",
                f"leave `{name}` out, or make the layer before it {given.value} wide",
            )
            raise self.shapes.note(error, self._place())
        self.static[name] = width.value if width.value is not None else given.value  # type: ignore[union-attr]
        self.outer[name] = width.expr

    def _bind_default(self, parameter: tree.Parameter) -> bool:
        default = parameter.default
        if default is None:  # required; resolve has told the author already
            self.static[parameter.name] = None
            return True
        names = {n.text for n in tree.walk(default) if isinstance(n, tree.Name)}
        if not names <= self.static.keys():
            return False
        self.static[parameter.name] = self._constant(default)
        self.outer[parameter.name] = substitute(default, self.outer)
        return True

    def _check(self, parameter: tree.Parameter) -> None:
        name = parameter.name
        value = self.static[name]
        given = self.given.get(name)
        span = given.expr.span if given and given.expr else self._place().span
        if not check_value(self.shapes.problems, self.block, name, value, span):
            raise _Stop

    def _place(self) -> tree.Node:
        return self._caller or self.block.forward

    _caller: tree.Node | None = None

    def _bind_inputs(self, inputs: Sequence[Value]) -> None:
        widths = {width_of(p): p.name for p in self.block.parameters if width_of(p)}
        seen: dict[int, str] = {}
        for position, parameter in enumerate(self.block.forward.parameters):
            value = inputs[position] if position < len(inputs) else None
            name = parameter.name
            if value is None:
                value = self._default_input(parameter)
            elif parameter.default is not None:
                self.facts.passed.add(name)
            if isinstance(value, Tensor) and self.block is not self._root_block:
                hidden = widths.get(name, f"{name}_width")
                if self.block not in self.shapes.general:
                    hidden = seen.setdefault(value.uid, hidden)
                if hidden not in self.static:
                    self.outer[hidden] = value.width.expr if value.dims else None
                value = _entered(value, hidden, parameter)
            self.values[name] = value
        self.instance.inputs = [
            v for v in self.values.values() if isinstance(v, Tensor)
        ]

    @property
    def _root_block(self) -> Block | None:
        return self.block if self._caller is None else None

    def _default_input(self, parameter: tree.Parameter) -> Value:
        default = parameter.default
        if isinstance(default, tree.Name) and default.text in self.values:
            return self.values[default.text]
        if isinstance(default, tree.Literal):
            return Static(default.value, default)
        error = ShapeError(f"`{self.block.name}` is called without `{parameter.name}`")
        raise self.shapes.note(error, self._place())

    def _declare(self, layers: Sequence[LayerUse | LayerChoice]) -> None:
        for layer in layers:
            if isinstance(layer, LayerUse):
                self.uses[layer.name] = layer
                self.facts.live.add(layer.name)
            else:
                chosen = self._decide(layer, layer.condition)
                self._declare(layer.then if chosen else layer.otherwise)

    def _decide(self, node: object, condition: tree.Expr) -> bool:
        value = self._evaluate(condition)
        if isinstance(value, Tensor):
            error = ShapeError(
                "a condition must be known when compiling, and this is a tensor"
            )
            raise self.shapes.note(error, condition)
        outcome = bool(value.value)
        self.facts.decisions.setdefault(id(node), set()).add(outcome)
        return outcome

    # --- statements --------------------------------------------------------------

    def _body(self, body: Sequence[tree.Statement]) -> Value | None:
        for statement in body:
            if isinstance(statement, tree.Assign):
                self.values[statement.target.text] = self._evaluate(statement.value)
            elif isinstance(statement, tree.Return):
                return self._evaluate(statement.value)
            else:
                chosen = self._decide(statement, statement.condition)
                result = self._body(statement.then if chosen else statement.otherwise)
                if result is not None:
                    return result
        return None

    # --- expressions -------------------------------------------------------------

    def _constant(self, expr: tree.Expr) -> object:
        try:
            return constants.evaluate(expr, self.static)
        except constants.ConstantError as error:
            raise self.shapes.note(ShapeError(str(error)), expr) from None

    def _evaluate(self, expr: tree.Expr) -> Value:
        value = self._value(expr)
        if isinstance(value, Tensor):
            self.facts.tensors.add(id(expr))
        return value

    def _value(self, expr: tree.Expr) -> Value:
        if isinstance(expr, tree.Literal):
            return Static(expr.value, expr)
        if isinstance(expr, tree.Name):
            if expr.text in self.values:
                return self.values[expr.text]
            if expr.text in self.static:
                return Static(self.static[expr.text], expr)  # type: ignore[arg-type]
            error = ShapeError(f"`{expr.text}` has no value on this path")
            raise self.shapes.note(error, expr)
        if isinstance(expr, tree.Sequence):
            return Static(tuple(self._item(item) for item in expr.items))
        if isinstance(expr, tree.Call):
            return self._call(expr)
        if isinstance(expr, tree.Unary):
            operand = self._evaluate(expr.operand)
            if isinstance(operand, Tensor) and expr.operator == "-":
                return operand.like(*operand.dims)
            return self._static(expr, operand)
        left, right = self._evaluate(expr.left), self._evaluate(expr.right)
        if isinstance(left, Static) and isinstance(right, Static):
            return self._static(expr, left, right)
        try:
            return _arithmetic(expr.operator, left, right)
        except ShapeError as error:
            raise self.shapes.note(error, expr) from None

    def _item(self, expr: tree.Expr) -> Value:
        return self._evaluate(expr)

    def _static(self, expr: tree.Expr, *operands: Value) -> Static:
        values = [o.value if isinstance(o, Static) else None for o in operands]
        try:
            if isinstance(expr, tree.Unary):
                result = constants.unary(expr.operator, values[0])
            else:
                assert isinstance(expr, tree.Binary)
                result = constants.binary(expr.operator, *values, exact=False)
        except constants.ConstantError as error:
            raise self.shapes.note(ShapeError(str(error)), expr) from None
        return Static(result, expr)  # type: ignore[arg-type]

    def _call(self, call: tree.Call) -> Value:
        name = call.function.text
        if name in self.uses:
            return self._call_layer(self.uses[name], call)
        primitive = PRIMITIVES.get(name)
        if primitive is None:
            error = ShapeError(f"the layer `{name}` does not exist on this path")
            raise self.shapes.note(error, call)
        parameters = primitive.parameters
        matched = match(f"`{name}`", tuple(parameters), call.arguments, Problems())
        given: dict[str, Value] = {}
        for parameter, default in parameters.items():
            if parameter in matched:
                expr = matched[parameter]
                if isinstance(expr, tree.Name) and expr.text in self.uses:
                    given[parameter] = Static(None)  # a layer, such as a dropout
                    continue
                given[parameter] = self._evaluate(expr)
            elif default is None:
                error = ShapeError(f"`{name}` is called without `{parameter}`")
                raise self.shapes.note(error, call)
            else:
                given[parameter] = default
        try:
            result = primitive.rule(given)
        except ShapeError as error:
            raise self.shapes.note(error, call) from None
        if primitive.is_attention:
            self.instance.attention = self._attention(given)
        return result

    def _attention(self, given: Mapping[str, Value]) -> Attention:
        causal = given["causal"]
        is_causal = isinstance(causal, Static) and causal.value is True
        query = given.get("query", given.get("logits"))
        assert isinstance(query, Tensor)
        heads = query.dims[1].value
        if self._crosses(given):
            return Attention("cross", heads, is_causal)
        return Attention(
            "decoder_self" if is_causal else "encoder_self", heads, is_causal
        )

    def _crosses(self, given: Mapping[str, Value]) -> bool:
        """Whether queries and keys come from different inputs of the block."""
        query, key = given.get("query"), given.get("key")
        if isinstance(query, Tensor) and isinstance(key, Tensor):
            return not query.roots & key.roots
        sequences = {
            root
            for value in self.values.values()
            if isinstance(value, Tensor) and value.dtype == "float" and value.rank == 3
            for root in value.roots
        }
        logits = given["logits"]
        return isinstance(logits, Tensor) and len(sequences & logits.roots) > 1

    # --- layers ------------------------------------------------------------------

    def _call_layer(self, use: LayerUse, call: tree.Call) -> Value:
        names = call_parameters(use)
        matched = match(f"`{use.name}`", names, call.arguments, Problems())
        inputs = [
            self._evaluate(matched[name]) if name in matched else None for name in names
        ]
        count = self._repeat(use)
        parts: list[Instance] = []
        for i in range(count):
            self.shapes.trail.append(f"{use.part_name(i)} {inputs[0]}")
            if i > 1 and parts[-1] is parts[-2]:
                parts.append(parts[-1])
            else:
                part = self._instance(use, inputs, call)
                alike = parts and _alike(parts[-1], part)
                parts.append(parts[-1] if alike else part)
            self.shapes.trail.pop()
            assert parts[-1].output is not None
            inputs[0] = parts[-1].output
        self.shapes.trail.append(f"{use.part_name(count - 1)} {inputs[0]}")
        if self._caller is not None:
            self.shapes.trail.pop()
        self.instance.children[use.name] = parts
        self.instance.uses[use.name] = use
        output = parts[-1].output
        assert output is not None
        roots = frozenset().union(*(v.roots for v in inputs if isinstance(v, Tensor)))
        return Tensor(output.dims, output.dtype, roots)

    def _repeat(self, use: LayerUse) -> int:
        if use.repeat is None:
            return 1
        count = self._constant(use.repeat)
        checker = Resolver.check_repeat
        if not checker(self.shapes, count, use.repeat.span):  # type: ignore[arg-type]
            raise _Stop
        return int(count)  # type: ignore[call-overload,no-any-return]

    def _instance(
        self, use: LayerUse, inputs: Sequence[Value | None], call: tree.Call
    ) -> Instance:
        given = {
            name: Static(self._constant(expr), expr)  # type: ignore[arg-type]
            for name, expr in use.arguments.items()
        }
        if isinstance(use.target, Block):
            return self._block_instance(use, use.target, given, inputs, call)
        return self._native_instance(use, use.target, given, inputs, call)

    def _block_instance(
        self,
        use: LayerUse,
        block: Block,
        given: Mapping[str, Static],
        inputs: Sequence[Value | None],
        call: tree.Call,
    ) -> Instance:
        part = Instance(use.name, block, {})
        run = _Run(self.shapes, block, given, use.arguments, part)
        run._caller = call
        run.forward([v for v in inputs])  # type: ignore[misc]
        assert part.output is not None
        part.output = Tensor(
            tuple(
                Dim(d.value, substitute(d.expr, run.outer), d.label)
                for d in part.output.dims
            ),
            part.output.dtype,
        )
        spelling: dict[str, tree.Expr] = {}
        for name, value in run.static.items():
            self._spell(spelling, name, run.outer.get(name), value, use)
        for hidden in run.facts.hidden:
            position = block.inputs.index(run.facts.hidden[hidden])
            tensor = inputs[position]
            width = tensor.width.value if isinstance(tensor, Tensor) else None
            self._spell(spelling, hidden, run.outer.get(hidden), width, use)
        self.facts.hidden_values.setdefault(use.name, {}).update(spelling)
        return part

    def _spell(
        self,
        spelling: dict[str, tree.Expr],
        name: str,
        expr: tree.Expr | None,
        value: object,
        use: LayerUse,
    ) -> None:
        """Say a size of a part in this block's parameters, or as a plain number."""
        exact = self._checked_spelling(expr, value)
        if exact is not None:
            spelling[name] = exact
        elif isinstance(value, int | float | str | bool) or value is None:
            spelling[name] = tree.Literal(use.span, value)

    def _checked_spelling(
        self, expr: tree.Expr | None, value: object
    ) -> tree.Expr | None:
        if expr is None:
            return None
        names = {n.text for n in tree.walk(expr) if isinstance(n, tree.Name)}
        known = {**self.static, **self._hidden_static()}
        if not names <= known.keys():
            return None
        try:
            found = constants.evaluate(expr, known)
        except constants.ConstantError:
            return None
        if found != value:
            return None
        for name in names - self.static.keys():
            self.facts.hidden[name] = name.removesuffix("_width")
        return expr

    def _hidden_static(self) -> dict[str, object]:
        return {
            f"{name}_width": value.width.value
            for name, value in zip(
                self.block.inputs, self.instance.inputs, strict=False
            )
            if value.dims
        }

    def _native_instance(
        self,
        use: LayerUse,
        native: NativeLayer,
        given: Mapping[str, Static],
        inputs: Sequence[Value | None],
        call: tree.Call,
    ) -> Instance:
        arguments: dict[str, object] = {}
        for parameter in native.parameters:
            value = given.get(parameter.name)
            arguments[parameter.name] = value.value if value else parameter.default
            if value and value.expr:
                span = value.expr.span
                problems = self.shapes.problems
                if not check_value(problems, native, parameter.name, value.value, span):
                    raise _Stop
        tensors = [value for value in inputs if isinstance(value, Tensor)]
        needed = [n for n in native.inputs if not n.endswith("?")]
        if len(tensors) < len(needed):
            error = ShapeError(f"`{native.name}` needs {' and '.join(needed)}")
            raise self.shapes.note(error, call)
        ordered = [
            v for v, n in zip(inputs, native.inputs, strict=False) if v is not None
        ]
        try:
            output = native.shape(
                arguments, [v for v in ordered if isinstance(v, Tensor)][: len(needed)]
            )
            weights = native.weights(arguments, tensors)
        except ShapeError as error:
            raise self.shapes.note(error, call) from None
        self._note_features(use, native, tensors)
        output = _spelled_output(output, given)
        return Instance(use.name, native, arguments, tensors, output, weights)

    def _note_features(
        self, use: LayerUse, native: NativeLayer, tensors: list[Tensor]
    ) -> None:
        for name, dim in native.features(tensors).items():
            exact = self._checked_spelling(dim.expr, dim.value)
            expr = exact or tree.Literal(use.span, dim.value)
            known = self.facts.features.setdefault(use.name, {})
            if name in known and spelled(known[name]) != spelled(expr):
                if self.block not in self.shapes.general:
                    self.shapes.general.add(self.block)
                    raise _Again
                error = ShapeError(
                    f"`{use.name}` gets {dim} numbers here and "
                    f"{spelled(known[name])} elsewhere: one class cannot serve both",
                    "give the define a parameter `width = width(x)`",
                )
                raise self.shapes.note(error, use_node(use))
            known[name] = expr


def use_node(use: LayerUse) -> tree.Node:
    """The place of a layer, as a node."""
    return tree.Node(use.span)


def _entered(value: Tensor, width: str, parameter: tree.Parameter) -> Tensor:
    """A tensor as a block sees it: its width has the block's name for it."""
    dims = [Dim(d.value, None, d.label) for d in value.dims]
    if dims:
        last = dims[-1]
        spelling = tree.Name(parameter.span, width)
        dims[-1] = Dim(last.value, spelling, last.label)
    return Tensor(tuple(dims), value.dtype, frozenset({value.uid}), value.uid)


def _alike(one: Instance, two: Instance) -> bool:
    """Whether a repeated layer has come to a fixed point."""
    a, b = one.output, two.output
    if a is None or b is None or one.values != two.values or a.rank != b.rank:
        return False
    same_output = all(x.value == y.value for x, y in zip(a.dims, b.dims, strict=True))
    shapes = [[d.value for d in t.dims] for t in one.inputs]
    return same_output and shapes == [[d.value for d in t.dims] for t in two.inputs]


def _spelled_output(output: Tensor, given: Mapping[str, Static]) -> Tensor:
    """Give the new width the spelling of the argument that set it."""
    width = output.dims[-1] if output.dims else None
    if width is None or width.expr is not None:
        return output
    for name in ("units", "output_dim", "filters"):
        static = given.get(name)
        if static is not None and static.value == width.value:
            dims = (*output.dims[:-1], Dim(width.value, static.expr, width.label))
            return Tensor(dims, output.dtype, output.roots)
    return output


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    """The shape of `left operator right` where at least one side is a tensor."""
    for side in (left, right):
        if isinstance(side, Static):
            number = isinstance(side.value, int | float)
            if not number or isinstance(side.value, bool):
                shown = "none" if side.value is None else repr(side.value)
                raise ShapeError(f"`{operator}` cannot combine a tensor with {shown}")
    if operator in ("and", "or", "==", "!=", "<", ">", "<=", ">="):
        raise ShapeError(f"`{operator}` compares constants, not tensors")
    if isinstance(left, Length) or isinstance(right, Length):
        return _length_arithmetic(operator, left, right)
    if isinstance(left, Static) or isinstance(right, Static):
        tensor = left if isinstance(left, Tensor) else right
        assert isinstance(tensor, Tensor)
        if operator == "@":
            raise ShapeError("`@` needs a tensor on both sides")
        return tensor.like(*tensor.dims, dtype="float")
    roots = left.roots | right.roots
    if operator == "@":
        return Tensor(_matmul(left, right), "float", roots)
    dtype = "float" if "float" in (left.dtype, right.dtype) else left.dtype
    return Tensor(broadcast(left, right), dtype, roots)


def _length_arithmetic(operator: str, left: Value, right: Value) -> Length:
    dims = []
    for side in (left, right):
        if isinstance(side, Length):
            dims.append(side.dim)
        elif isinstance(side, Static):
            dims.append(Dim(side.value))  # type: ignore[arg-type]
        else:
            raise ShapeError("a length combines with whole numbers only")
    a, b = dims
    if a.value is None or b.value is None:
        return Length((), "int", dim=Dim(None))
    value = constants.binary(operator, a.value, b.value, exact=True)
    return Length((), "int", dim=Dim(value))  # type: ignore[arg-type]


def _matmul(left: Tensor, right: Tensor) -> tuple[Dim, ...]:
    if left.rank < 2 or right.rank < 2:
        raise ShapeError(f"`@` needs two matrices, and gets {left} and {right}")
    if not same(left.dims[-1], right.dims[-2]):
        raise ShapeError(
            f"`@` needs the last axis of {left} to equal the last but one of {right}",
            "transpose(x) swaps the last two axes",
        )
    a = left.like(*left.dims[:-2]) if left.rank > 2 else Tensor(())
    b = right.like(*right.dims[:-2]) if right.rank > 2 else Tensor(())
    return (*broadcast(a, b), left.dims[-2], right.dims[-1])


__all__ = ["Attention", "Checked", "Facts", "Instance", "Shapes", "divided", "times"]
