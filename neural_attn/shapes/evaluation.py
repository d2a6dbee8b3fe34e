"""Running the equations of one block on shapes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from neural_attn.catalogue import constants
from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.array_rules import is_open_end
from neural_attn.catalogue.attention_rules import promise_of, shares_heads
from neural_attn.catalogue.function_arguments import Length
from neural_attn.catalogue.functions import OBSERVE, PRIMITIVES, Primitive
from neural_attn.catalogue.learned import MATRICES
from neural_attn.catalogue.tensor_arithmetic import (
    arithmetic,
    floored,
    is_optional,
    negative,
)
from neural_attn.catalogue.types import (
    Constant,
    Dim,
    LastState,
    Several,
    ShapeError,
    Static,
    Tensor,
    Value,
    written,
)
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.grammar.parser import is_built_in
from neural_attn.ir import INDEX, SCAN, Block, LayerUse, is_learned
from neural_attn.shapes.instance import Attention, Facts, Instance, Step
from neural_attn.shapes.steps import (
    Joined,
    joined_by_function,
    joined_by_product,
    joined_by_sides,
    summed_so_far,
    tensors_in,
)
from neural_attn.shapes.unused_parameters import Consulted, Vain


class Stop(Exception):  # noqa: N818 - a signal
    """A problem was noted; the rest of this chain cannot be checked."""


class Again(Exception):  # noqa: N818 - a signal
    """A block was found to serve inputs of different widths: start over."""


class Session:
    """What all blocks of one run on shapes share."""

    def __init__(
        self,
        problems: Problems,
        general: set[Block],
        told: set[tuple[Block, str, str]],
    ) -> None:
        self.problems = problems
        # sizes of layers in blocks that no expression gives: the class is told them
        self.told = told
        # blocks whose inputs may differ in width: each width gets a name of its own
        self.general = general
        self.facts: dict[Block, Facts] = {}
        self.trail: list[str] = []
        self.calls: list[tree.Node] = []  # of blocks, outermost first
        # runs of blocks by what they were given: a file of 1,000 encoders runs one
        self.known: dict[tuple[object, ...], Any] = {}
        # every block that is made: who makes it, as which layer (and which of its
        # repeats), and its run
        self.made: dict[tuple[object, ...], tuple[Any, LayerUse, Any, int]] = {}
        self.vain = Vain()
        self.scans = 0  # how many scans are around what runs now

    def note(self, error: ShapeError, node: tree.Node, of_shapes: bool = True) -> Stop:
        """Note a broken rule at a place; one of shapes with what led there."""
        hint = error.hint
        span = node.span
        calls = [call for call in self.calls if not is_built_in(call.span)]
        if is_built_in(span) and calls:
            span = calls[-1].span  # the author's own line
        if len(self.trail) > 1 and of_shapes:
            chain = " → ".join(self.trail[-4:])
            hint = (
                f"{hint}; called through: {chain}"
                if hint
                else f"called through: {chain}"
            )
        self.problems.add("E0301", span, hint=hint, reason=error.message)
        return Stop()


class Evaluation(ABC):
    """One block with one set of values: evaluates its statements and expressions.

    `values` holds what the forward has named so far, `static` the block's
    parameters, `uses` the layers that exist.
    """

    def __init__(self, session: Session, block: Block, instance: Instance) -> None:
        self.session = session
        self.block = block
        self.facts = session.facts.setdefault(block, Facts())
        self.instance = instance
        self.values: dict[str, Value] = {}
        instance.variables = self.values
        self.uses: dict[str, LayerUse] = {}
        self.static = Consulted()
        self.input_names: dict[int | None, str] = {}  # of the inputs, by uid
        self.sure: set[str] = set()  # inputs that a condition around has asked for

    @abstractmethod
    def call_layer(self, use: LayerUse, call: tree.Call) -> Value:
        """Call one of the block's own layers."""

    @abstractmethod
    def scan(self, call: tree.Call) -> Value:
        """Call one of the block's own layers at each step of a sequence."""

    def note_step(
        self,
        kind: str,
        name: str,
        inputs: Iterable[object],
        output: object,
        text: str = "",
    ) -> None:
        """Note what happened to tensors, for drawings of the network."""
        tensors = tuple(value for value in inputs if isinstance(value, Tensor))
        if isinstance(output, Tensor):
            self.instance.steps.append(Step(kind, name, tensors, output, text))

    # --- statements --------------------------------------------------------------

    def run_body(self, body: Sequence[tree.Statement]) -> Value | None:
        """Run statements up to a return; None where they do not return."""
        for statement in body:
            if isinstance(statement, tree.Assign):
                self._assign(statement)
            elif isinstance(statement, tree.Return):
                return self.evaluate(statement.value)
            else:
                chosen = self.decide(statement, statement.condition)
                with self._asked(statement):
                    result = self.run_body(
                        statement.then if chosen else statement.otherwise
                    )
                if result is not None:
                    return result
        return None

    @contextmanager
    def _asked(self, statement: tree.If) -> Iterator[None]:
        """Inside `if x != none { … }` x is given; with an else it must always be.

        The code of a class has one of two branches where every use takes the same.
        """
        asked = tree.names_in(statement.condition) & set(self.input_names.values())
        if statement.otherwise:
            self.facts.needed |= asked - self.sure
            yield
            return
        before = self.sure
        self.sure = before | asked
        yield
        self.sure = before

    def _assign(self, statement: tree.Assign) -> None:
        """Give each name its value; several names share what gives as many."""
        value, names = self.evaluate(statement.value), statement.targets
        values: Sequence[object] = (value,)
        if len(names) > 1:
            parts = value.value if isinstance(value, Static) else None
            values = parts if isinstance(parts, tuple) else (value,)
            if len(values) != len(names):
                error = ShapeError(
                    f"`{statement.value.span.text}` gives {len(values)}, "
                    f"but {len(names)} names stand before the `=`"
                )
                raise self.session.note(error, statement.value)
        elif isinstance(value, Several):
            error = ShapeError(
                f"`{statement.value.span.text}` gives {len(value.value)} values",
                "a chain passes on only one; equations name each: `a, b = layer(x)`",
            )
            raise self.session.note(error, statement.value)
        for name, one in zip(names, values, strict=True):
            self.values[name.text] = (
                one if isinstance(one, Tensor | Static) else Static(one)  # type: ignore[arg-type]
            )

    def decide(self, node: object, condition: tree.Expr) -> bool:
        """Whether a condition holds; notes the outcome for the code of the class."""
        value = self.evaluate(condition)
        if isinstance(value, Tensor):
            error = ShapeError(
                "a condition must be known when compiling, but this is a tensor"
            )
            raise self.session.note(error, condition)
        outcome = bool(value.value)
        self.facts.decisions.setdefault(id(node), set()).add(outcome)
        return outcome

    # --- expressions -------------------------------------------------------------

    def constant(self, expr: tree.Expr, index: int | None = None) -> Constant:
        """The value of an expression in the block's parameters alone.

        `index` is the number of the copy that is given it, if there are several.
        """
        names: Mapping[str, Constant] = self.static
        if index is not None:
            names = ChainMap({INDEX: index}, self.static)
        try:
            value: Constant = constants.evaluate(expr, names)
        except constants.ConstantError as error:
            broken = ShapeError(str(error), error.hint or self.here(expr))
            raise self.session.note(broken, expr, of_shapes=False) from None
        return value

    def evaluate(self, expr: tree.Expr) -> Value:
        """The shape or the constant that an expression of the forward comes to."""
        value = self._value(expr)
        if isinstance(value, Tensor | Several):
            self.facts.tensors.add(id(expr))
            first = value.value[0] if isinstance(value, Several) else value
            if first.dtype == "int" and not isinstance(first, Length):
                self.facts.ids.add(id(expr))
        return value

    def _value(self, expr: tree.Expr) -> Value:
        if isinstance(expr, tree.Literal):
            return Static(expr.value, expr)
        if isinstance(expr, tree.Name):
            if expr.text in self.values:
                found = self.values[expr.text]
                if isinstance(found, LastState):
                    self.note_joined([(found.of, False)])
                return found
            if expr.text in self.static:
                return Static(self.static[expr.text], expr)
            error = ShapeError(f"`{expr.text}` has no value on this path")
            if is_learned(self.uses.get(expr.text)):
                call = tree.Call(expr.span, expr, ())
                return self.call_layer(self.uses[expr.text], call)
            if expr.text in self.uses:
                hint = f"call it: `{expr.text}(…)`"
                error = ShapeError(f"`{expr.text}` is a layer", hint)
            raise self.session.note(error, expr)
        if isinstance(expr, tree.Sequence):
            return Static(tuple(self.evaluate(item) for item in expr.items), expr)
        if isinstance(expr, tree.Call):
            return self._call(expr)
        operands = [self.evaluate(operand) for operand in tree.children(expr)]
        if all(isinstance(operand, Static) for operand in operands):
            return self._static(expr, operands)
        return self._of_tensors(expr, operands)

    def _of_tensors(
        self, expr: tree.Unary | tree.Binary, operands: list[Value]
    ) -> Value:
        if isinstance(expr, tree.Binary) and is_optional(expr.operator, *operands):
            return self._optional(expr, operands)
        try:
            if isinstance(expr, tree.Binary):
                result: Value = arithmetic(expr.operator, *operands)
                joins = joined_by_product if expr.operator == "@" else joined_by_sides
                self.note_joined(joins(*operands))
                if expr.operator == "and":
                    self.facts.decisions.setdefault(id(expr), set()).add(True)
            else:
                result = negative(expr.operator, operands[0])
        except ShapeError as error:
            raise self.session.note(error, expr) from None
        self._note_masks(operands)
        self.facts.needed |= self._masks(operands) - self.sure
        self.note_step("operator", expr.operator, operands, result, expr.span.text)
        return result

    def _optional(self, expr: tree.Binary, operands: list[Value]) -> Value:
        """`x != none` for a tensor; `mask and none`, which is the mask."""
        if expr.operator != "and":
            return Static(expr.operator == "!=", expr)
        left, right = operands
        missing = expr.right if isinstance(left, Tensor) else expr.left
        self.facts.absent.add(id(missing))
        self.facts.decisions.setdefault(id(expr), set()).add(False)
        return left if isinstance(left, Tensor) else right

    def _static(self, expr: tree.Unary | tree.Binary, operands: list[Value]) -> Static:
        values = [o.value for o in operands if isinstance(o, Static)]
        try:
            if isinstance(expr, tree.Unary):
                result = constants.unary(expr.operator, *values)
            else:
                result = constants.binary(expr.operator, *values, exact=False)
        except constants.ConstantError as error:
            raise self.session.note(ShapeError(str(error)), expr) from None
        return Static(result, expr)

    def _call(self, call: tree.Call) -> Value:
        name = call.function.text
        if name in self.uses:
            return self.call_layer(self.uses[name], call)
        if name == SCAN:
            return self.scan(call)
        if name == "weight":
            return self._matrix(call)
        primitive = PRIMITIVES.get(name)
        if primitive is None:
            error = ShapeError(f"the layer `{name}` does not exist on this path")
            raise self.session.note(error, call)
        if name == "floor" and (length := self._floored(call)):
            return length
        given = self._given(primitive, call)
        try:
            result = primitive.rule(given)
        except ShapeError as error:
            error.hint = error.hint or self.here(call)
            raise self.session.note(error, call) from None
        self._note_steps(call, given, result)
        self._note_uses(primitive, call, given)
        self._note_needed(primitive, given)
        if name == "padding_mask" and isinstance(given["values"], Tensor):
            self.facts.masks.add(self.input_names.get(given["values"].along, ""))
        if primitive.is_attention:
            if name == OBSERVE or not self.block.observes:
                self.instance.attention = self._attention(given)
            if shares_heads(given):
                self.facts.shared.add(id(call))
        if type(result) is Static and result.expr is None:
            result = Static(result.value, call)
        inputs = [t for value in given.values() for t in tensors_in(value)]
        self.note_step("function", name, inputs, result, call.span.text)
        return result

    def _note_steps(
        self, call: tree.Call, given: Mapping[str, Value], result: Value
    ) -> None:
        """Note what a function does with steps: picks one, sums up to each, joins."""
        name = call.function.text
        if name == "slice" and is_open_end(given):
            self.facts.ends.add(id(call))
        summed = summed_so_far(name, given)
        if summed is None:
            self.note_joined(joined_by_function(name, given, result))
        elif not self.session.scans:
            self.facts.sums_steps.add(self.input_names.get(summed, ""))

    def note_joined(self, found: Iterable[Joined]) -> None:
        """Note the inputs whose steps are joined.

        Inside a scan there is one step: what is done to it is done step by step.
        """
        for along, as_attention in () if self.session.scans else found:
            weighs = as_attention and self.block.is_attention
            noted = self.facts.weighs_steps if weighs else self.facts.mixes_steps
            noted.add(self.input_names.get(along, ""))

    def _note_uses(
        self, primitive: Primitive, call: tree.Call, given: Mapping[str, Value]
    ) -> None:
        """Note a function that counts the steps, or looks at a mask of the inputs.

        There is nothing to count where there is one step at a time.
        """
        if not primitive.is_attention:
            self._note_masks(tensors_in(Static(tuple(given.values()))))
        name = primitive.name
        if name == "positions":
            by_mask = isinstance(given["mask"], Tensor)
            self.facts.decisions.setdefault(id(call), set()).add(by_mask)
        counted = name == "arange" and isinstance(given["n"], Length)
        if not self.session.scans:
            self.facts.counts_steps |= counted or name == "position_ids"

    def _note_masks(self, values: Iterable[object]) -> None:
        """Note masks of the block's inputs that more than an attention looks at."""
        self.facts.masks |= self._masks(values)

    def _masks(self, values: Iterable[object]) -> set[str]:
        return {
            self.input_names[value.uid]
            for value in values
            if isinstance(value, Tensor) and value.dtype == "bool"
            if value.uid in self.input_names
        }

    def _note_needed(self, primitive: Primitive, given: Mapping[str, Value]) -> None:
        """Note a mask that a function cannot do without."""
        for parameter, value in given.items():
            masks = self._masks(tensors_in(value)) - self.sure
            if masks and not _does_without(primitive, given, parameter):
                self.facts.needed |= masks

    def _matrix(self, call: tree.Call) -> Value:
        """`weight(layer)`: the matrix of a layer that has been called before."""
        expr = call.arguments[0].value
        name = expr.text if isinstance(expr, tree.Name) else ""
        parts = self.instance.children.get(name, [])
        try:
            result = _matrix_of(self.uses.get(name), parts[0] if parts else None)
        except ShapeError as error:
            raise self.session.note(error, call) from None
        self.note_step("function", "weight", (), result, call.span.text)
        return result

    def _floored(self, call: tree.Call) -> Length | None:
        """`floor(n / 2)` of a length, which need not divide exactly."""
        quotient = call.arguments[0].value if len(call.arguments) == 1 else None
        if not isinstance(quotient, tree.Binary) or quotient.operator != "/":
            return None
        left, right = self.evaluate(quotient.left), self.evaluate(quotient.right)
        if not isinstance(left, Length) and not isinstance(right, Length):
            return None
        try:
            length = floored(left, right)
        except ShapeError as error:
            raise self.session.note(error, call) from None
        self.facts.floored.add(id(call))
        return length

    def here(self, expr: tree.Expr) -> str:
        """What the parameters come to that an expression names."""
        names = tree.names_in(expr)
        known = sorted(names & self.static.keys())
        values = ", ".join(f"{name} = {written(self.static[name])}" for name in known)
        return f"here {values}" if known else ""

    def _given(self, primitive: Primitive, call: tree.Call) -> dict[str, Value]:
        """The values of a primitive's parameters in one call."""
        parameters, name = primitive.parameters, primitive.name
        matched = match(f"`{name}`", tuple(parameters), call.arguments, Problems())
        given: dict[str, Value] = {}
        for parameter, default in parameters.items():
            if parameter in matched:
                expr = matched[parameter]
                use = self.uses.get(expr.text) if isinstance(expr, tree.Name) else None
                if use is not None and not is_learned(use):
                    # a layer, such as a dropout, has no value of its own
                    self.facts.live.add(use.name)
                    for value in use.arguments.values():
                        self.static.seen |= tree.names_in(value)
                    given[parameter] = Static(None)
                else:
                    given[parameter] = self.evaluate(expr)
            elif default is None:
                error = ShapeError(f"`{name}` is called without `{parameter}`")
                raise self.session.note(error, call)
            else:
                given[parameter] = default
        return given

    def _attention(self, given: Mapping[str, Value]) -> Attention:
        causal = given["causal"]
        is_causal = isinstance(causal, Static) and causal.value is True
        query = given.get("query") or _weights(given)
        assert isinstance(query, Tensor)
        heads = query.dims[1].value
        key = given.get("key")
        across = key.along if isinstance(key, Tensor) else query.across
        kind = "decoder_self" if is_causal else "encoder_self"
        return Attention(
            "cross" if self._crosses(given) else kind,
            heads,
            is_causal,
            self.input_names.get(query.along, ""),
            self.input_names.get(across, ""),
            promise_of(given),
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
        weights = _weights(given)
        return isinstance(weights, Tensor) and len(sequences & weights.roots) > 1


def _does_without(
    primitive: Primitive, given: Mapping[str, Value], parameter: str
) -> bool:
    """Whether a function takes `none` for what one of its parameters was given."""
    if not isinstance(given[parameter], Tensor):
        return False  # one of a list
    try:
        primitive.rule({**given, parameter: Static(None)})
    except ShapeError:
        return False
    return True


def _matrix_of(use: LayerUse | None, made: Instance | None) -> Tensor:
    """The matrix of a layer, as PyTorch lays it out. Raises ShapeError."""
    if use is None or use.repeat is not None:
        raise ShapeError("weight takes one layer of this define, by its name")
    sizes = MATRICES.get(use.target.name)
    if sizes is None:
        raise ShapeError(
            f"`{use.name}` has no matrix to share, as it is a {use.target.name}",
            f"weight takes one of {', '.join(MATRICES)}; the name of a Weight "
            "stands for its array",
        )
    if made is None:
        raise ShapeError(
            f"`{use.name}` has no weights before it is called",
            f"write `{use.name}(…)` on a line before",
        )
    (shape,) = (w.shape for w in made.weights if w.name == "weight")
    spelling = [use.arguments.get(name) for name in sizes]
    if spelling[1] is None:
        spelling[1] = made.inputs[0].width.expr
    return Tensor(tuple(map(Dim, shape, spelling)))


def _weights(given: Mapping[str, Value]) -> Value | None:
    """The weights [batch, heads, queries, keys] that are given, or their logits."""
    return given.get("logits", given.get("weights"))
