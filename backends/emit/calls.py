"""Makes calls in a forward: of layers, of functions of the language, of attention."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from neural_attn.backends.emit.base import Row
from neural_attn.backends.emit.expressions import (
    constant,
    dotted,
    fill,
    of_numbers,
    python,
    slots,
    text,
    without,
)  # fmt: skip
from neural_attn.backends.emit.runtime_source import OPTIONS
from neural_attn.backends.emit.scope import PAST_MASK, Scope, native_fields
from neural_attn.backends.emit.usage import SIZES, assigned
from neural_attn.grammar import tree

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import INITIAL_STATE, NativeLayer
from neural_attn.catalogue.functions import OBSERVE, PRIMITIVES, Primitive
from neural_attn.catalogue.types import Static
from neural_attn.diagnostics.errors import Problems
from neural_attn.ir import (
    MASK,
    SCAN,
    SEEN,
    Block,
    LayerUse,
    call_parameters,
    is_mask,
    scan_mask,
    step_call,
    width_of,
)
from neural_attn.promises import ROWS, SHARES

_DROPOUT = 4  # the place of `dropout` among the arguments of `attend`
_NONE = ast.Constant(None)
_NO_SCALE = Static(None)
_THREE = ("query", "key", "value")

Given = dict[str, tree.Expr]
Fields = dict[str, ast.expr]


def in_forward(scope: Scope, expr: tree.Expr) -> ast.expr:
    """An expression of the forward; notes what the class needs for it."""
    return python(expr, partial(special, scope))


def whole(scope: Scope, expr: tree.Expr) -> ast.expr:
    """A size in the forward: its divisions have no rest."""
    return python(expr, partial(special, scope), whole=True)


def special(scope: Scope, expr: tree.Expr) -> ast.expr | None:
    """How names and calls are spelled in the forward; None for anything else."""
    if isinstance(expr, tree.Call):
        return _call(scope, expr)
    if isinstance(expr, tree.Unary | tree.Binary):
        return _of_masks(scope, expr) or _of_ids(scope, expr)
    if not isinstance(expr, tree.Name):
        return None
    if expr.text in scope.stand_ins:
        return in_forward(scope, scope.stand_ins[expr.text])
    if expr.text in scope.nothing:
        return constant(None)
    if expr.text in scope.locals:
        return dotted(scope.spell(expr.text))
    if expr.text in scope.layers:
        return dotted(f"self.{expr.text}")
    if not scope.is_parameter(expr.text) and expr.text in scope.static:
        return constant(scope.known_value(expr))
    if source := _measured(scope, expr.text):
        return fill(scope.backend.functions["width"], {"0": dotted(source)})
    scope.stored.add(expr.text)
    return dotted(f"self.{expr.text}")


def _of_masks(scope: Scope, expr: tree.Unary | tree.Binary) -> ast.expr | None:
    """`and`, `or` and `not` of masks, element by element; None for anything else."""
    if id(expr) not in scope.checked.facts[scope.block].tensors:
        return None
    if expr.operator not in ("and", "or", "not"):
        return None
    if isinstance(expr, tree.Unary):
        return ast.UnaryOp(ast.Invert(), in_forward(scope, expr.operand))
    left, right = in_forward(scope, expr.left), in_forward(scope, expr.right)
    sign = ast.BitAnd() if expr.operator == "and" else ast.BitOr()
    made: ast.expr = ast.BinOp(left, sign, right)
    sides = ((expr.left, left, right), (expr.right, right, left))
    maybe = [
        (one, other) for node, one, other in sides if id(node) in scope.facts.absent
    ]
    if len(maybe) == 1 and scope.facts.decisions[id(expr)] == {False}:
        return maybe[0][1]  # no use of the block has this mask
    for one, other in maybe:
        made = ast.IfExp(ast.Compare(one, [ast.Is()], [_NONE]), other, made)
    return made


def _of_ids(scope: Scope, expr: tree.Unary | tree.Binary) -> ast.expr | None:
    """An operator between ids, where the backend has its own way; else None."""
    sides = tree.children(expr)
    template = scope.backend.of_ids.get(expr.operator)
    if (
        template is None
        or len(sides) < 2
        or not scope.facts.ids.issuperset(map(id, sides))
    ):
        return None
    left, right = (in_forward(scope, side) for side in sides)
    return fill(template, {"0": left, "1": right})


def _measured(scope: Scope, name: str) -> str:
    """The input of the forward whose last axis is this parameter, or ""."""
    parameter = scope.static.get(name)
    source = width_of(parameter) if parameter else ""
    if name in scope.set_somewhere or source in assigned(scope.block.forward.body):
        return ""
    return source


def is_given(scope: Scope, expr: tree.Expr) -> bool:
    """Whether a value is known to be no None when the code runs."""
    return isinstance(expr, tree.Name) and expr.text in scope.never_none


def makes_mask(scope: Scope, value: tree.Expr) -> bool:
    """Whether a value is a mask that is there whenever the code runs."""
    if not isinstance(value, tree.Call) or value.function.text != "padding_mask":
        return False
    return is_given(scope, value.arguments[0].value)


# --- layers -------------------------------------------------------------------------


def _call(scope: Scope, call: tree.Call) -> ast.expr:
    use = scope.layers.get(call.function.text)
    if use is None:
        return _call_primitive(scope, call)
    given = match("", call_parameters(use), call.arguments, Problems())
    if use.repeat is not None:
        return _call_each(scope, use, use.repeat, call, given)
    return _call_layer(scope, use, dotted(f"self.{use.name}"), call, given)


def _call_each(
    scope: Scope, use: LayerUse, repeat: tree.Expr, call: tree.Call, given: Given
) -> ast.expr:
    """Apply repeated layers one after the other, before the statement at hand.

    A layer that all of them share is applied again and again. What is handed on goes
    by the name that is assigned to, unless the other arguments read that.
    """
    call, given = _held(scope, call, given)
    first_name = next(iter(given))
    target = scope.target
    if not target or any(target in tree.names_in(a.value) for a in call.arguments[1:]):
        target = _new_name(scope, f"{use.name}_output")
    spelled = scope.spell(target)
    if (first := text(in_forward(scope, given[first_name]))) != spelled:
        scope.before.append(f"{spelled} = {first}")
    variable = "layer" if "layer" not in scope.locals else "layer_"
    carried = tree.Name(call.span, target)
    arguments = (tree.Argument(call.span, None, carried), *call.arguments[1:])
    renamed = tree.Call(call.span, call.function, arguments)
    is_new = target not in scope.locals and target != scope.target
    scope.locals.add(target)
    layers = dotted(f"self.{use.name}")
    layer = layers if use.is_shared else dotted(variable)
    applied = _call_layer(scope, use, layer, renamed, {**given, first_name: carried})
    if is_new:
        scope.locals.discard(target)
    if use.is_shared:
        count = text(python(repeat, partial(special, scope), whole=True))
        scope.before.append(f"for _ in range({count}):")
    else:
        scope.before.append(f"for {variable} in {text(layers)}:")
    scope.before.append(f"    {spelled} = {text(applied)}")
    return dotted(spelled)


def _held(scope: Scope, call: tree.Call, given: Given) -> tuple[tree.Call, Given]:
    """The call with names for what is reckoned once, before its layers are applied."""
    named: dict[int, tree.Expr] = {}
    for name, value in list(given.items())[1:]:
        if isinstance(value, tree.Name | tree.Literal):
            continue
        held = _new_name(scope, name)
        scope.before.append(f"{scope.spell(held)} = {text(in_forward(scope, value))}")
        scope.locals.add(held)
        if makes_mask(scope, value):
            scope.never_none.add(held)
        named[id(value)] = tree.Name(value.span, held)
    arguments = tuple(
        tree.Argument(a.span, a.name, named.get(id(a.value), a.value))
        for a in call.arguments
    )
    renamed = tree.Call(call.span, call.function, arguments)
    return renamed, {name: named.get(id(e), e) for name, e in given.items()}


def _new_name(scope: Scope, name: str) -> str:
    """A name for a variable that the forward does not have."""
    taken = scope.locals | assigned(scope.block.forward.body) | scope.static.keys()
    while name in taken:
        name += "_"
    return name


def _call_layer(
    scope: Scope, use: LayerUse, layer: ast.expr, call: tree.Call, given: Given
) -> ast.expr:
    if isinstance(use.target, Block):
        return _call_block(scope, layer, call, use.target.inputs)
    if use.target.name == "Embedding" and scope.embedded:
        value = next(iter(given.values()))
        if isinstance(value, tree.Name) and value.text == scope.embedded:
            fields = {"x": dotted(value.text), "layer": layer}
            return fill("embedded({x}, {layer})", fields)
    return _call_native(scope, use, use.target, layer, given)


def _call_block(
    scope: Scope, layer: ast.expr, call: tree.Call, names: tuple[str, ...]
) -> ast.expr:
    """The arguments as the author wrote them, but masks by name.

    Keras fills a mask in that it does not find by name.
    """
    made = ast.Call(layer, [], [])
    for position, argument in enumerate(call.arguments):
        value = in_forward(scope, argument.value)
        name = argument.name or names[position]
        if argument.name or made.keywords or is_mask(name):
            made.keywords.append(ast.keyword(scope.spell(name), value))
        else:
            made.args.append(value)
    return made


def _call_native(
    scope: Scope, use: LayerUse, native: NativeLayer, layer: ast.expr, given: Given
) -> ast.expr:
    row = scope.row(use, native)
    templates = row.call + row.unmasked
    rule = partial(special, scope)
    fields = native_fields(scope, use, native, templates, rule, {})
    for name in (written.rstrip("?") for written in native.inputs):
        fields[name] = in_forward(scope, given[name]) if name in given else _NONE
    if scope.is_idle(use):
        idle = fields["x"]
        assert isinstance(idle, ast.expr)
        return idle
    fields["layer"] = layer
    if native.states and _has_states(scope, use, fields[INITIAL_STATE]):
        made = fill(row.stateful, fields)
        return without(made, ("mask=None", "initial_state=None"))
    if native.merges:
        operands: list[Any] = [fields[name.rstrip("?")] for name in native.inputs]
        made = _merged(row, native, fields, operands[: len(given)])
    else:
        made = _masked(scope, row, fields, given.get("attention_mask"))
    return _activated(scope, use, made) if row.activates else made


def _has_states(scope: Scope, use: LayerUse, start: ast.expr | list[ast.expr]) -> bool:
    """Whether a call starts from states, or gives them."""
    returns = use.arguments.get("return_state")
    if returns is not None and scope.known_or_varies(returns) is not False:
        return True
    return isinstance(start, list) or not _is_nothing(start)


def _masked(
    scope: Scope, row: Row, fields: dict[str, Any], mask: tree.Expr | None
) -> ast.expr:
    """The call with its mask, the one without, or a choice when the code runs."""
    if mask is None and row.unmasked:
        return fill(row.unmasked, fields)
    made = fill(row.call, fields)
    if not row.unmasked or row.takes_none or (mask and is_given(scope, mask)):
        return made
    test = ast.Compare(fields["attention_mask"], [ast.Is()], [_NONE])
    return ast.IfExp(test, fill(row.unmasked, fields), made)


def _merged(
    row: Row,
    native: NativeLayer,
    fields: dict[str, Any],
    operands: list[ast.expr],
) -> ast.expr:
    """A merge of all its operands.

    A row may name them all; one for two of them is applied again and again.
    """
    if slots(row.call) & {"operands", "total"}:
        total = operands[0]
        for operand in operands[1:]:
            total = ast.BinOp(total, ast.Add(), operand)
        several = {"total": total, "count": constant(len(operands))}
        return fill(row.call, {**fields, **several, "operands": operands})
    first, second = native.inputs[:2]
    made = operands[0]
    for operand in operands[1:]:
        made = fill(row.call, {**fields, first: made, second: operand})
    return made


def _activated(scope: Scope, use: LayerUse, made: ast.expr) -> ast.expr:
    expr = use.arguments.get("activation")
    parameters = {p.name: p for p in use.target.parameters}
    known = scope.known_value(expr) if expr else parameters["activation"].default
    if known == "linear":
        return made
    if known is None and isinstance(expr, tree.Name):
        scope.stored.add(expr.text)
        return ast.Call(dotted(f"self.{expr.text}"), [made], [])
    template = scope.backend.applied.get(str(known), "{function}({x})")
    function = fill(scope.backend.activation(str(known)), {})
    return fill(template, {"function": function, "x": made})


# --- functions ----------------------------------------------------------------------


def _call_primitive(scope: Scope, call: tree.Call) -> ast.expr:
    name = call.function.text
    primitive = PRIMITIVES[name]
    if name == OBSERVE:
        return _observed(scope, call, primitive)
    if primitive.is_attention:
        return _call_attention(scope, call, primitive)
    if name in _OF_LAYERS:
        return _OF_LAYERS[name](scope, call)
    if id(call) in scope.facts.floored:
        quotient = tree.children(call)[0]
        left, right = (in_forward(scope, side) for side in tree.children(quotient))
        return ast.BinOp(left, ast.FloorDiv(), right)
    values = _values(scope, call, primitive)
    if id(call) not in scope.facts.tensors:
        return of_numbers(name, list(values.values()))
    if name in _OWN_WAYS and (made := _OWN_WAYS[name](scope, call, values)):
        return made
    return _filled(scope, primitive, values)


def _filled(scope: Scope, primitive: Primitive, values: Fields) -> ast.expr:
    """A call as the backend writes it: by a template, or of the runtime's function."""
    template = scope.backend.functions.get(primitive.name, "")
    if not template:
        return ast.Call(dotted(primitive.name), list(values.values()), [])
    return fill(template, _in_order(primitive, values))


def _in_order(primitive: Primitive, values: Fields) -> Fields:
    """All arguments by their number, defaults included."""
    return {
        str(i): values[name] if name in values else constant(default and default.value)
        for i, (name, default) in enumerate(primitive.parameters.items())
    }


def _values(scope: Scope, call: tree.Call, primitive: Primitive) -> Fields:
    """What is given, in the order of the parameters; sizes divide exactly."""
    given = match("", tuple(primitive.parameters), call.arguments, Problems())
    return {
        name: (whole if name in SIZES else in_forward)(scope, given[name])
        for name in primitive.parameters
        if name in given
    }


def _scan(scope: Scope, call: tree.Call) -> ast.expr:
    """`scan(self.step, x, (state, …), …)`: masks by name, as in any other call."""
    step = step_call(call)
    assert step is not None
    use = scope.layers[step.function.text]
    names = call_parameters(use)
    given = match("", names, step.arguments, Problems())
    count, gives_states = scope.facts.states[id(call)]
    first, *states = (in_forward(scope, given[name]) for name in names[: 1 + count])
    made = ast.Call(dotted(SCAN), [dotted(f"self.{use.name}"), first], [])
    made.args.append(ast.Tuple(states, ast.Load()))
    for name in names[1 + count :]:
        if name not in given:
            continue
        value = in_forward(scope, given[name])
        is_next = name == names[count + len(made.args) - 2] and not made.keywords
        if is_mask(name) or not is_next:
            made.keywords.append(ast.keyword(scope.spell(name), value))
        else:
            made.args.append(value)
    mask = scan_mask(call)
    if mask is not None and id(call) in scope.facts.masked_scans:
        made.keywords.append(ast.keyword(SEEN, in_forward(scope, mask)))
    elif isinstance(mask, tree.Name):
        scope.idle_masks.add(mask.text)
    return made if gives_states else ast.Subscript(made, constant(0), ast.Load())


def _matrix(scope: Scope, call: tree.Call) -> ast.expr:
    """`weight(layer)`: the matrix where the framework keeps it."""
    name = call.arguments[0].value.span.text
    target = scope.layers[name].target
    assert isinstance(target, NativeLayer)
    row = scope.row(scope.layers[name], target)
    return fill(row.matrix, {"layer": dotted(f"self.{name}")})


def _running(sizes: list[ast.expr]) -> list[ast.expr]:
    """Where each part but the first begins: a, then a + b, and so on."""
    return [
        reduce(lambda left, right: ast.BinOp(left, ast.Add(), right), sizes[:count])
        for count in range(1, len(sizes))
    ]


def _padding_mask(scope: Scope, call: tree.Call, values: Fields) -> ast.expr | None:
    """A mask; of ids that may be None, by the runtime; with those before, if kept."""
    ids = call.arguments[0].value
    made: ast.expr | None = None
    if not is_given(scope, ids):
        made = ast.Call(dotted(call.function.text), list(values.values()), [])
    if not scope.keeps_mask(ids):
        return made
    scope.keeps_masks = True
    plain = scope.backend.functions[call.function.text]
    made = made or fill(plain, {"0": values["values"]})
    return ast.Call(dotted(f"self.{PAST_MASK}"), [made], [])


def _positions(scope: Scope, call: tree.Call, values: Fields) -> ast.expr:
    """A layer that counts, where steps are kept; by the mask, which has all of them."""
    outcomes = scope.facts.decisions[id(call)]
    if True in outcomes:
        by_mask = ast.Call(dotted("shown_positions"), list(values.values()), [])
        if outcomes == {True}:
            return by_mask
        test = ast.Compare(values["mask"], [ast.Is()], [_NONE])
        return ast.IfExp(test, _counted(scope, values), by_mask)
    if len(call.arguments) > 1 and isinstance(call.arguments[1].value, tree.Name):
        scope.idle_masks.add(call.arguments[1].value.text)
    return _counted(scope, values)


def _counted(scope: Scope, values: Fields) -> ast.expr:
    if not scope.keeps_steps:
        return fill(scope.backend.functions["positions"], {"0": values["x"]})
    scope.counter = "positions" if "positions" not in scope.layers else "counter"
    return ast.Call(dotted(f"self.{scope.counter}"), [values["x"]], [])


def _cast(scope: Scope, call: tree.Call, values: Fields) -> ast.expr | None:
    """Positions as numbers are counted as such, where no layer counts them."""
    given = call.arguments[0].value
    if scope.keeps_steps or not isinstance(given, tree.Call):
        return None
    if given.function.text != "positions" or given.function.text in scope.layers:
        return None
    if True in scope.facts.decisions[id(given)]:
        return None
    x = in_forward(scope, given.arguments[0].value)
    functions = scope.backend.functions
    count = fill(functions["length"], {"0": x})
    if "arange" not in functions:
        return None
    return fill(functions["arange"] + "[None]", {"0": count, "1": values["like"]})


def _reshape(scope: Scope, call: tree.Call, values: Fields) -> ast.expr | None:
    """What -1 stands for cannot be found by division where a length is 0."""
    template = scope.backend.functions.get("reshape with lengths", "")
    sizes = values["shape"]
    if not template or not isinstance(sizes, ast.Tuple) or text(sizes.elts[0]) != "-1":
        return None
    inside = (node for node in tree.walk(call) if isinstance(node, tree.Call))
    if not any(node.function.text == "length" for node in inside):
        return None
    return fill(template, _in_order(PRIMITIVES["reshape"], values))


def _split(scope: Scope, call: tree.Call, values: Fields) -> ast.expr | None:
    """Parts of given sizes, where a backend wants the places between them."""
    parts = values["parts"]
    if not isinstance(parts, ast.Tuple | ast.List):
        return None
    by_sizes = scope.backend.functions.get("split by sizes", "")
    if not by_sizes:
        values = {**values, "parts": ast.Tuple(_running(parts.elts), ast.Load())}
    template = by_sizes or scope.backend.functions["split"]
    return fill(template, _in_order(PRIMITIVES["split"], values))


def _section(scope: Scope, call: tree.Call, values: Fields) -> ast.expr:
    """`slice(x, start, stop, axis)` as `x[:, start:stop]` or `x[..., start:stop]`."""
    # the shape rule wants an axis that is written as a number
    axis = int(ast.literal_eval(text(values["axis"]))) if "axis" in values else -1
    ends = (values.get("start"), values.get("stop"))
    first, stop = (None if _is_nothing(end) else end for end in ends)
    one_step = scope.backend.functions.get("end of an axis", "")
    if one_step and id(call) in scope.facts.ends and _is_written(first, stop):
        at = first if first is not None and stop is None else constant(0)
        return fill(one_step, {"0": values["x"], "1": at, "2": constant(axis)})
    whole_axis = ast.Slice(None, None)
    part = ast.Slice(None if _is_zero(first) else first, stop)
    if axis < 0:
        axes = [constant(...), part, *(whole_axis for _ in range(-axis - 1))]
    else:
        axes = [*(whole_axis for _ in range(axis)), part]
    return ast.Subscript(values["x"], ast.Tuple(axes, ast.Load()), ast.Load())


def _is_nothing(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _is_written(*ends: ast.expr | None) -> bool:
    """Whether ends of a section are numbers, the same wherever the class is used."""
    parts = (part for end in ends if end is not None for part in ast.walk(end))
    return not any(isinstance(part, ast.Name | ast.Attribute) for part in parts)


def _is_zero(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def _observed(scope: Scope, call: tree.Call, primitive: Primitive) -> ast.expr:
    """The weights handed through the object that may keep them."""
    given = match("", tuple(primitive.parameters), call.arguments, Problems())
    rows = given.get("rows")
    known = rows.value if isinstance(rows, tree.Literal) else SHARES
    scope.observed = next(promise for promise in ROWS if promise == known)
    made = ast.Call(dotted(f"self.{scope.observer}"), [], [])
    made.args.append(in_forward(scope, given["weights"]))
    mask = given.get("mask")
    if mask is not None and not (isinstance(mask, tree.Literal) and mask.value is None):
        made.keywords.append(ast.keyword(MASK, in_forward(scope, mask)))
    return made


def _tensor_first(scope: Scope, call: tree.Call, values: Fields) -> ast.expr | None:
    """`maximum(0, x)` as `maximum(x, 0)`: frameworks take the tensor first."""
    primitive = PRIMITIVES[call.function.text]
    given = match("", tuple(primitive.parameters), call.arguments, Problems())
    if id(given["x"]) in scope.facts.tensors:
        return None
    return _filled(scope, primitive, {"x": values["y"], "y": values["x"]})


# functions that are given a layer, not its output; those that are written in a way
# of their own, where that is not None
_OF_LAYERS = {"weight": _matrix, SCAN: _scan}
_OWN_WAYS: dict[str, Callable[[Scope, tree.Call, Fields], ast.expr | None]] = {
    "cast": _cast,
    "maximum": _tensor_first,
    "minimum": _tensor_first,
    "padding_mask": _padding_mask,
    "positions": _positions,
    "reshape": _reshape,
    "slice": _section,
    "split": _split,
}


def _call_attention(scope: Scope, call: tree.Call, primitive: Primitive) -> ast.expr:
    """A call of the runtime's method; arguments equal to their default go."""
    scope.calls_attention = True
    made = ast.Call(dotted(f"self.{primitive.name}"), [], [])
    three = _shared(scope, call, primitive)
    if three:
        made.args.append(three)
    parameters = list(primitive.parameters)
    for position, argument in enumerate(call.arguments):
        value, name = argument.value, argument.name or parameters[position]
        if (three and name in _THREE) or name == "scale":
            continue
        if _goes_without_saying(scope, value, primitive.parameters[name]):
            continue
        scope.hides_future |= name == "causal"
        scope.has_options |= name in OPTIONS
        scope.has_sink |= name == "sink"
        # dropout and training follow the mask, unless `causal` is between them
        given = len(made.args) + len(made.keywords) + (2 if three else 0)
        follows = given == _DROPOUT and not (scope.hides_future or made.keywords)
        by_place = argument.name is None and name in (*_THREE, "logits", "mask")
        if by_place or (name == "dropout" and follows):
            made.args.append(_argument(scope, call, name, value))
        else:
            made.keywords.append(ast.keyword(name, _argument(scope, call, name, value)))
    if primitive.name == "attend" and scope.backend.passes_training:
        training = dotted("training")
        if len(made.args) + (2 if three else 0) > _DROPOUT and not made.keywords:
            made.args.append(training)
        else:
            made.keywords.append(ast.keyword("training", training))
    return made


def _argument(scope: Scope, call: tree.Call, name: str, value: tree.Expr) -> ast.expr:
    """An argument of attention; the query of one with a scale is scaled before."""
    made = (whole if name in SIZES else in_forward)(scope, value)
    if name != "query":
        return made
    parameters = tuple(PRIMITIVES[call.function.text].parameters)
    given = match("", parameters, call.arguments, Problems())
    scale = given.get("scale")
    if scale is None or _goes_without_saying(scope, scale, _NO_SCALE):
        return made
    return ast.Call(dotted("scale_queries"), [made, in_forward(scope, scale)], [])


def _shared(scope: Scope, call: tree.Call, primitive: Primitive) -> ast.expr | None:
    """The three of an attend whose heads of keys serve several of the queries."""
    if id(call) not in scope.facts.shared:
        return None
    given = match("", tuple(primitive.parameters), call.arguments, Problems())
    three = [_argument(scope, call, name, given[name]) for name in _THREE]
    return ast.Starred(ast.Call(dotted("share_heads"), three, []), ast.Load())


def _goes_without_saying(
    scope: Scope, value: tree.Expr, default: Static | None
) -> bool:
    """Whether an argument is that of its parameter anyway, or a dropout of nothing."""
    if isinstance(value, tree.Name) and value.text in scope.layers:
        return scope.is_idle(scope.layers[value.text])
    if isinstance(value, tree.Name) and value.text in scope.nothing:
        return default is not None and default.value is None
    known = isinstance(value, tree.Literal) or (
        isinstance(value, tree.Name)
        and value.text in scope.static
        and not scope.is_parameter(value.text)
    )
    return default is not None and known and scope.known_value(value) == default.value
