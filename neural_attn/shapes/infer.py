"""Shape inference: runs a network on shapes alone, and checks every equation.

The result is a tree of `Instance`s, one per layer that will exist, with shapes,
weights, parameter counts and the attention maps it will give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, zip_longest
from typing import cast

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.function_arguments import check_steps_mask
from neural_attn.catalogue.learned import WEIGHT
from neural_attn.catalogue.types import (
    BATCH,
    Dim,
    Several,
    ShapeError,
    Static,
    Tensor,
    Value,
    last_state,
)
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import (
    MASK,
    Block,
    Input,
    LayerChoice,
    LayerUse,
    Network,
    call_parameters,
    scan_mask,
    step_call,
)
from neural_attn.resolve.root_causes import first_causes
from neural_attn.resolve.values import check_repeat, check_value
from neural_attn.shapes.block_entry import Entry
from neural_attn.shapes.calls import (
    alike,
    call_key,
    is_same_layer,
    of_copy,
    of_repeat,
    seen_outside,
    with_spelling,
)
from neural_attn.shapes.evaluation import Again, Session, Stop
from neural_attn.shapes.instance import Attention, Checked, Facts, Instance
from neural_attn.shapes.scanning import (
    of_batch,
    one_map_each,
    one_step,
    over_time,
    starting_states,
)
from neural_attn.shapes.size_expressions import (
    APART,
    TWO_CALLS,
    note_arguments,
    note_features,
)
from neural_attn.shapes.states import states_behind
from neural_attn.shapes.steps import joined_by_layer, joined_by_return, tensors_in

MAX_LAYERS = 200_000  # in one network, those inside blocks included


class Shapes:
    """Runs networks on shapes; problems are noted, not raised."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def network(
        self, network: Network, lengths: Mapping[str, tuple[int | None, ...]]
    ) -> Checked | None:
        """Check a network; `lengths` may replace the shapes of its inputs."""
        given = [_input_tensor(i, lengths.get(i.name)) for i in network.inputs]
        general: set[Block] = set()
        told: set[tuple[Block, str, str]] = set()
        while True:
            session = Session(self.problems, general, told)
            root = Instance(network.name, network.block, {})
            try:
                _Run(session, network.block, root, {}, {}, None).forward(given)
                _note_made(session)
                session.vain.warn(self.problems)
                self._check_calls(session)
            except Again:
                continue
            except Stop:
                self.problems.diagnostics = first_causes(self.problems.diagnostics)
                return None
            except RecursionError:
                self.problems.add(
                    "E0105.network", network.block.span, network=network.name
                )
                return None
            return Checked(network, root, session.facts)

    def _check_calls(self, session: Session) -> None:
        """A class makes its layers once, so all of its instances must call them."""
        for block, facts in session.facts.items():
            for use in block.uses():
                if use.name in facts.uncalled & facts.weighted:
                    self.problems.add(
                        "E0236", use.span, layer=use.name, define=block.name
                    )


def at_shapes(
    network: Network, shapes: Mapping[str, tuple[int | None, ...]]
) -> Checked:
    """The network checked again with its inputs at other shapes (no batch).

    Raises NeuralError where some layer needs the shape that the file declares.
    """
    problems = Problems()
    checked = Shapes(problems).network(network, shapes)
    problems.raise_errors()
    assert checked is not None
    return checked


def _input_tensor(given: Input, shape: tuple[int | None, ...] | None) -> Tensor:
    sizes = given.shape if shape is None else shape
    batch = Dim(None, None, BATCH)
    labels = ["time", *("?" for _ in sizes)]
    dims = [
        Dim(size, tree.Literal(given.span, size) if size else None, label)
        for size, label in zip(sizes, labels, strict=False)
    ]
    tensor = Tensor((batch, *dims), given.dtype)
    return replace(tensor, roots=frozenset({tensor.uid}), along=tensor.uid)


def _result(use: LayerUse, output: Tensor, roots: frozenset[int]) -> Tensor:
    """What a call gives, a tensor of its own each time.

    What a block makes of its weights alone depends on none of its inputs.
    """
    is_own = isinstance(use.target, Block) and not output.roots
    made = Tensor(output.dims, output.dtype, frozenset() if is_own else roots)
    return made.at(output.along, output.across)


class _Run(Entry):
    """One block with one set of values, run on the shapes of its inputs."""

    def forward(self, inputs: Sequence[Value | None]) -> Instance:
        """Run the forward on tensors (or none); fills and returns the instance."""
        self.bind_parameters(inputs)
        self.bind_inputs(inputs)
        self.instance.values = dict(self.static)
        for name, value in self.static.items():
            known = self.facts.values.setdefault(name, [])
            if value not in known:
                known.append(value)
        self.declare(self.block.layers)
        self.check_length()
        outputs = self._returned()
        if self.caller is None and not outputs[0].roots:
            error = ShapeError("the output does not depend on the input")
            raise self.session.note(error, self.block.forward.body[-1])
        made = self.instance.children
        self.facts.uncalled |= self.uses.keys() - made.keys()
        weighted = {n for n, parts in made.items() if any(p.has_weights for p in parts)}
        self.facts.weighted |= weighted
        self.instance.has_weights = bool(weighted)
        self.instance.output, *rest = outputs
        self.instance.further_outputs = tuple(rest)
        self.instance.input_names = self.input_names
        self.instance.along = self.input_names.get(outputs[0].along, "")
        parts = self.instance.children.values()
        self.instance.layer_count += sum(p.layer_count for ps in parts for p in ps)
        if self.instance.layer_count > MAX_LAYERS:
            error = ShapeError(
                f"`{self.block.name}` holds {self.instance.layer_count:,} layers, "
                f"but at most {MAX_LAYERS:,} are allowed"
            )
            raise self.session.note(error, self._place())
        return self.instance

    def _returned(self) -> tuple[Tensor, ...]:
        """What the forward gives: a tensor, or several."""
        value = self.run_body(self.block.forward.body)
        found = value.value if isinstance(value, Static) else (value,)
        several = found if isinstance(found, tuple) else (found,)
        tensors = tuple(one for one in several if isinstance(one, Tensor))
        self.note_joined(joined_by_return(tensors))
        if not tensors or len(tensors) != len(several):
            error = ShapeError(f"`{self.block.name}` must return a tensor")
            raise self.session.note(error, self.block.forward)
        return tensors

    # --- layers ------------------------------------------------------------------

    def declare(self, layers: Sequence[LayerUse | LayerChoice]) -> None:
        """Find the layers that exist, given the conditions around them."""
        for layer in layers:
            if isinstance(layer, LayerUse):
                self.uses[layer.name] = layer
            else:
                chosen = self.decide(layer, layer.condition)
                self.declare(layer.then if chosen else layer.otherwise)

    def call_layer(self, use: LayerUse, call: tree.Call) -> Value:
        """Call a layer, as often in a row as it is repeated."""
        if not call_parameters(use):
            self._check_source(use, call)
        results = self._called(use, self._inputs(use, call), call)
        return results[0] if len(results) == 1 else Several(results)

    def scan(self, call: tree.Call) -> Value:
        """Call a layer at each step: what it gives, and the states after the last."""
        step = step_call(call)
        assert step is not None
        use = self.uses.get(step.function.text)
        if use is None or use.repeat is not None:
            error = ShapeError(f"`{step.function.text}` is not a single layer here")
            raise self.session.note(error, call)
        inputs = self._inputs(use, step)
        mask = scan_mask(call)
        seen = Static(None) if mask is None else self.evaluate(mask)
        self.session.scans += 1
        try:
            x = one_step(use, inputs)
            self.session.trail.append(f"scan from {inputs[1]}")
            check_steps_mask(use.name, cast(Tensor, inputs[0]), seen)
            if isinstance(seen, Tensor):
                self.facts.masked_scans.add(id(call))
            presumed = [of_batch(given, x) for given in inputs[1:]]
            results = self._called(use, (x, *presumed), step)
            states = starting_states(use, x, inputs, results)
            given = (*states, *inputs[1 + len(states) :])
            if any(a is not b for a, b in zip(given, presumed, strict=True)):
                self.instance.calls[use.name].pop()  # to be called anew
                results = self._called(use, (x, *given), step)
            self.session.trail.pop()
            one_map_each(use, self.instance.children[use.name])
            self.facts.states[id(call)] = len(states), len(results) > 1
            return over_time(use, inputs, states, results)
        except ShapeError as error:
            raise self.session.note(error, call) from None
        finally:
            self.session.scans -= 1

    def _inputs(self, use: LayerUse, call: tree.Call) -> tuple[Value | None, ...]:
        """What a call gives to each of a layer's inputs."""
        names = call_parameters(use)
        matched = match(f"`{use.name}`", names, call.arguments, Problems())
        return tuple(
            self.evaluate(matched[name]) if name in matched else None for name in names
        )

    def _called(
        self, use: LayerUse, inputs: tuple[Value | None, ...], call: tree.Call
    ) -> tuple[Tensor, ...]:
        """Everything that a layer gives for these inputs."""
        self.facts.live.add(use.name)
        parts = self._parts(use, inputs, call)
        self._check_shared(use, parts, call)
        self.instance.children[use.name] = parts
        self.instance.calls.setdefault(use.name, []).append(parts)
        self.instance.uses[use.name] = use
        outputs = parts[-1].outputs
        if use.repeat is not None:
            first = of_repeat(outputs[0], inputs[0], parts, use, use.repeat)
            outputs = (first, *outputs[1:])
        given = (tensor for value in inputs for tensor in tensors_in(value))
        roots = frozenset().union(*(tensor.roots for tensor in given))
        results = tuple(_result(use, output, roots) for output in outputs)
        if isinstance(use.target, NativeLayer) and use.target.states:
            states = (last_state(state, inputs[0]) for state in results[1:])
            results = (results[0], *states)
        self.note_joined(
            joined_by_layer(use, parts[0].values, inputs[0] if inputs else None)
        )
        for result in results:
            self.note_step("layer", use.name, inputs, result, call.span.text)
        return results

    def _check_source(self, use: LayerUse, call: tree.Call) -> None:
        """Refuse a layer that takes nothing where something must go through it."""
        what = f"`{use.target.name}` takes no input"
        if call.arguments:
            error = ShapeError(
                f"{what}, so it cannot stand in a chain",
                "declare it in a define with equations, which may add it: "
                f"`w = {use.target.name}(…)`",
            )
            raise self.session.note(error, call, of_shapes=False)
        if use.repeat is not None:
            error = ShapeError(f"{what}, so none of its repeats is the next one's")
            raise self.session.note(error, use.repeat, of_shapes=False)

    def _parts(
        self, use: LayerUse, inputs: tuple[Value | None, ...], call: tree.Call
    ) -> list[Instance]:
        count = self._repeat(use)
        trail = self.session.trail
        parts: list[Instance] = []
        for i in range(count):
            first = inputs[0] if inputs else None
            arrives = f" {first}" if isinstance(first, Tensor) else ""
            trail.append(f"{use.part_name(i)}{arrives}")
            self.part = 0 if use.is_shared else i
            if i > 1 and parts[-1] is parts[-2] and not use.is_counted:
                parts.append(parts[-1])
            else:
                part = self._instance(use, inputs, call)
                same = parts and alike(parts[-1], part)
                parts.append(parts[-1] if same else part)
            trail.pop()
            if count > 1 and len(parts[-1].outputs) > 1:
                error = ShapeError(
                    f"`{use.name}` gives {len(parts[-1].outputs)} values, "
                    "but its next repeat takes one"
                )
                raise self.session.note(error, call)
            output = parts[-1].output
            if use.is_counted and output is not None:
                output = of_copy(output, tree.Literal(use.span, i))
            inputs = (output, *inputs[1:])
        if self.caller is None:
            trail.append(f"{use.part_name(count - 1)} {inputs[0]}")
        return parts

    def _check_shared(
        self, use: LayerUse, parts: list[Instance], call: tree.Call
    ) -> None:
        """A layer is made once: each call of it must come to the same sizes."""
        before = self.instance.children.get(use.name, parts)
        pairs = [(*both, TWO_CALLS) for both in zip(before, parts, strict=True)]
        if use.is_shared:
            pairs += [(*both, APART) for both in pairwise(parts)]
        for one, other, hint in pairs:
            if not is_same_layer(one, other):
                error = ShapeError(
                    f"`{use.name}` gets {other.inputs[0]} here but {one.inputs[0]} "
                    "before: its sizes fit only one of the two",
                    hint,
                )
                raise self.session.note(error, call)

    def _repeat(self, use: LayerUse) -> int:
        if use.repeat is None:
            return 1
        count = self.constant(use.repeat)
        if not check_repeat(self.session.problems, count, use.repeat.span):
            raise Stop
        assert isinstance(count, int)
        return count

    def _instance(
        self, use: LayerUse, inputs: tuple[Value | None, ...], call: tree.Call
    ) -> Instance:
        seen = set(self.static.seen)
        index = self.part if use.is_counted else None
        given = {
            name: Static(self.constant(expr, index), expr)
            for name, expr in use.arguments.items()
        }
        if isinstance(use.target, Block):
            self.static.seen = seen  # what is only passed on may matter to nobody
            return self._block_instance(use, use.target, given, inputs, call)
        return self._native_instance(use, use.target, given, inputs, call)

    def _block_instance(
        self,
        use: LayerUse,
        block: Block,
        given: Mapping[str, Static],
        inputs: tuple[Value | None, ...],
        call: tree.Call,
    ) -> Instance:
        key = call_key(block, given, inputs)
        if key not in self.session.known:
            part = Instance(use.name, block, {})
            run = _Run(self.session, block, part, given, use.arguments, call)
            self.session.calls.append(call)
            run.forward(inputs)
            self.session.calls.pop()
            self.session.known[key] = run
        run = cast(_Run, self.session.known[key])
        matter = run.matter()
        self.session.vain.note(use, matter)
        for name in matter & use.arguments.keys():
            self.static.seen |= tree.names_in(use.arguments[name])
        made = (self, use, run, self.part)
        self.session.made[(id(self), use.name, id(run), self.part)] = made
        return self._placed(use, run, inputs)

    def _placed(
        self, use: LayerUse, run: _Run, inputs: tuple[Value | None, ...]
    ) -> Instance:
        """A run of a block as a layer of this one: what it takes and gives here."""
        given = zip(run.block.inputs, inputs, strict=False)
        along = {n: v.along for n, v in given if isinstance(v, Tensor)}
        axes = {
            inner: value.dims[axis]
            for inner, (position, axis) in run.axes.items()
            if isinstance(value := inputs[position], Tensor)
        }
        output, *rest = (seen_outside(o, run.outer, axes) for o in run.instance.outputs)
        return replace(
            run.instance,
            name=use.name,
            output=output.at(along.get(run.instance.along)),
            further_outputs=tuple(rest),
            sources={n: self.input_names.get(uid, "") for n, uid in along.items()},
        )

    def _native_instance(
        self,
        use: LayerUse,
        native: NativeLayer,
        given: Mapping[str, Static],
        inputs: tuple[Value | None, ...],
        call: tree.Call,
    ) -> Instance:
        tensors = [value for value in inputs if isinstance(value, Tensor)]
        needed = [n for n in native.inputs if not n.endswith("?")]
        arguments = self._native_arguments(native, given)
        start = given.get("start")
        if native is WEIGHT and start and isinstance(start.value, str):
            if not isinstance(start.expr, tree.Literal):  # code is made for one word
                error = ShapeError("what a Weight starts from is a number or a word")
                error.hint = f'write `"{start.value}"` itself, or give a number'
                raise self.session.note(error, start.expr or call, of_shapes=False)
        if len(tensors) < len(needed):
            raise self.session.note(_missing(use, needed, inputs), call)
        try:
            seen = tensors if native.merges else tensors[: len(needed)]
            output = native.shape(arguments, seen)
            weights = native.weights(arguments, tensors)
            states = states_behind(use, native, given, inputs)
            if MASK in (names := call_parameters(use)):
                mask = inputs[names.index(MASK)]
                check_steps_mask(use.name, tensors[0], mask)
        except ShapeError as error:
            raise self.session.note(error, call) from None
        note_features(self, use, native, tensors, call)
        output = with_spelling(output, given, tensors)
        made = Instance(use.name, native, arguments, tensors, output, weights)
        made.has_weights = bool(weights)
        made.further_outputs = states if arguments.get("return_state") else ()
        return made

    def _native_arguments(
        self, native: NativeLayer, given: Mapping[str, Static]
    ) -> dict[str, object]:
        arguments: dict[str, object] = {}
        for parameter in native.parameters:
            value = given.get(parameter.name)
            arguments[parameter.name] = value.value if value else parameter.default
            if value and value.expr:
                name, problems = parameter.name, self.session.problems
                span, hint = value.expr.span, partial(self.here, value.expr)
                if not check_value(problems, native, name, value.value, span, hint):
                    raise Stop
        return arguments


def _missing(
    use: LayerUse, needed: Sequence[str], inputs: Sequence[Value | None]
) -> ShapeError:
    """What a native layer lacks that needs a tensor for each of some inputs."""
    name, value = next(
        (name, value)
        for name, value in zip_longest(needed, inputs[: len(needed)])
        if not isinstance(value, Tensor)
    )
    hint = ""
    if len(needed) > 1:
        hint = (
            "a chain merges the branches before it: `a: { … } b: { … } "
            f"{use.target.name}()`"
        )
    size = use.arguments.get(_WIDTHS.get(use.target.name, ""))
    if isinstance(value, Static) and size is not None:
        hint = (
            "a learned array that is used by its name is "
            f'`{use.name} = Weight({size.span.text}, "ones")`'
        )
    return ShapeError(f"`{use.name}` needs a tensor for `{name}`", hint)


# how wide an array is that authors make by a layer on a number
_WIDTHS = {"Dense": "units", "Embedding": "output_dim"}


def _note_made(session: Session) -> None:
    """Note how each block is made, once all widths that classes need are known.

    To say a width in the terms of a block may need one more width of that block.
    """
    known = -1
    while (count := sum(len(f.hidden) for f in session.facts.values())) != known:
        known = count
        for entry, use, inner, part in session.made.values():
            note_arguments(entry, use, inner, part)


__all__ = ["Attention", "Checked", "Facts", "Instance", "Shapes"]
