"""Entering a block: its parameters and inputs get their values for one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from neural_attn.catalogue import constants
from neural_attn.catalogue.types import (
    Constant,
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    substitute,
    written,
)
from neural_attn.grammar import tree
from neural_attn.ir import Block, width_of
from neural_attn.resolve.values import check_value
from neural_attn.shapes.evaluation import Evaluation, Session, Stop
from neural_attn.shapes.instance import LONGEST, Instance
from neural_attn.shapes.unused_parameters import closure


class Entry(Evaluation):
    """A block that is entered with given parameters, from a call or as the network."""

    def __init__(
        self,
        session: Session,
        block: Block,
        instance: Instance,
        given: Mapping[str, Static],
        expressions: Mapping[str, tree.Expr | None],
        caller: tree.Node | None,
    ) -> None:
        super().__init__(session, block, instance)
        self.given = given
        self.outer = dict(expressions)  # parameters, spelled in the caller's terms
        self.caller = caller  # None for the network itself
        self.widths: dict[str, object] = {}  # of the inputs, by hidden name
        self.part = 0  # which of the repeats of a layer is called
        # axes of the inputs but for the last, which has a name: by identity, the
        # place of the input and that of the axis
        self.axes: dict[int, tuple[int, int]] = {}
        self.features: dict[tuple[str, str], Dim] = {}  # told to layers so far

    def bind_parameters(self, inputs: Sequence[Value | None]) -> None:
        """Give each parameter its value: as given, from a width, or by default."""
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
                raise self.session.note(error, node)
            pending = [p for p in pending if p not in ready]
        for parameter in self.block.parameters:
            self._check(parameter)
        self.static.seen.clear()  # what only sets a default matters to nobody yet

    def matter(self) -> set[str]:
        """The parameters that this run looked at, and those they depend on."""
        return closure(self.block, self.static.seen, self.given)

    def _bind_width(self, parameter: tree.Parameter, value: Value | None) -> None:
        name = parameter.name
        width = (
            value.width if isinstance(value, Tensor) and value.rank > 1 else Dim(None)
        )
        given = self.given.get(name)
        if width.value is None and given is None:
            error = ShapeError(
                f"`{self.block.name}` needs numbers with a known width "
                f"[batch, time, {name}], but gets {value}"
            )
            raise self.session.note(error, self._place())
        if given is not None and width.value not in (None, given.value):
            error = ShapeError(
                f"`{name}={written(given)}` does not fit: {value} arrives, "
                f"of width {width.value}",
                f"leave `{name}` out, or make the layer before it {given.value} wide",
            )
            raise self.session.note(error, self._place())
        self.static[name] = width.value if width.value is not None else given.value  # type: ignore[union-attr]
        self.outer[name] = width.expr

    def _bind_default(self, parameter: tree.Parameter) -> bool:
        default = parameter.default
        if default is None:  # required; resolve has told the author already
            self.static[parameter.name] = None
            return True
        names = tree.names_in(default)
        if not names <= self.static.keys():
            return False
        self.static[parameter.name] = self._default(parameter.name, default)
        self.outer[parameter.name] = substitute(default, self.outer)
        return True

    def _default(self, name: str, expr: tree.Expr) -> Constant:
        try:
            value: Constant = constants.evaluate(expr, self.static)
        except constants.ConstantError as error:
            rule = f"`{name}` of `{self.block.name}` is `{expr.span.text}`"
            used = tree.names_in(expr)
            given = ", ".join(f"{n} = {written(self.static[n])}" for n in sorted(used))
            broken = ShapeError(f"{rule}, and {error}", f"here {given}")
            raise self.session.note(broken, expr) from None
        return value

    def _check(self, parameter: tree.Parameter) -> None:
        name = parameter.name
        value = self.static[name]
        given = self.given.get(name)
        span = given.expr.span if given and given.expr else self._place().span
        if not check_value(self.session.problems, self.block, name, value, span):
            raise Stop

    def _place(self) -> tree.Node:
        return self.caller or self.block.forward

    def bind_inputs(self, inputs: Sequence[Value | None]) -> None:
        """Give each input of the forward its tensor, or its default where None."""
        widths = {width_of(p): p.name for p in self.block.parameters if width_of(p)}
        seen: dict[int, str] = {}
        hidden_of: dict[str, str] = {}
        defaulted: set[str] = set()
        for position, parameter in enumerate(self.block.forward.parameters):
            value = inputs[position] if position < len(inputs) else None
            name = parameter.name
            if value is None:
                value = self._default_input(parameter)
                defaulted.add(name)
            elif parameter.default is not None:
                self.facts.passed.add(name)
            if isinstance(value, Tensor) and self.caller is not None:
                hidden = widths.get(name, f"{name}_width")
                if self.block not in self.session.general:
                    hidden = seen.setdefault(value.uid, hidden)
                if hidden not in self.static:
                    if name in defaulted and isinstance(parameter.default, tree.Name):
                        source = hidden_of[parameter.default.text]
                        self.outer[hidden] = self.outer.get(source)
                    else:
                        self.outer[hidden] = value.width.expr if value.dims else None
                hidden_of[name] = hidden
                # the same width under the name it has where the inputs differ
                self.outer.setdefault(f"{name}_width", self.outer.get(hidden))
                value = _entered(value, hidden, parameter)
                if name not in defaulted:
                    places = ((position, axis) for axis in range(value.rank - 1))
                    self.axes |= zip(map(id, value.dims), places, strict=False)
            self.values[name] = value
            if isinstance(value, Tensor):
                self.input_names.setdefault(value.uid, name)
            self.note_step("input", name, (), value)
        tensors = {n: v for n, v in self.values.items() if isinstance(v, Tensor)}
        self.instance.inputs = list(tensors.values())
        self.widths = {
            f"{name}_width": tensor.width.value
            for name, tensor in tensors.items()
            if tensor.dims
        }

    def check_length(self) -> None:
        """Refuse a sequence longer than `max_len`, if it is given or a layer has it."""
        value = next(iter(self.values.values()), None)
        if self.block.parameter(LONGEST) is None or not _is_sequence(value):
            return
        arguments = (e for use in self.uses.values() for e in use.arguments.values())
        if LONGEST not in self.given and not any(
            LONGEST in tree.names_in(expr) for expr in arguments
        ):
            return
        self.facts.is_bounded = True
        longest, length = self.static[LONGEST], value.dims[1].value
        if length and isinstance(longest, int) and length > longest:
            error = ShapeError(
                f"`{self.block.name}` takes at most {longest:,} steps (`{LONGEST}`), "
                f"but gets {value}",
                f"give it {LONGEST}={length}",
            )
            raise self.session.note(error, self._place())

    def _default_input(self, parameter: tree.Parameter) -> Value:
        default = parameter.default
        if isinstance(default, tree.Name) and default.text in self.values:
            return self.values[default.text]
        if isinstance(default, tree.Literal):
            return Static(default.value, default)
        error = ShapeError(
            f"`{self.block.name}` is called without `{parameter.name}`",
            f"in a chain, an input or branch called `{parameter.name}` would be taken",
        )
        raise self.session.note(error, self._place())


def _is_sequence(value: Value | None) -> TypeGuard[Tensor]:
    """Whether axis 1 is time: of ids [batch, time], of vectors [batch, time, width]."""
    return isinstance(value, Tensor) and value.rank > (1 if value.dtype == "int" else 2)


def _entered(value: Tensor, width: str, parameter: tree.Parameter) -> Tensor:
    """A tensor as a block sees it: its width has the block's name for it."""
    dims = [Dim(d.value, None, d.label) for d in value.dims]
    if dims:
        last = dims[-1]
        spelling = tree.Name(parameter.span, width)
        dims[-1] = Dim(last.value, spelling, last.label)
    roots = frozenset({value.uid})
    return Tensor(tuple(dims), value.dtype, roots, value.uid, along=value.uid)
