"""A value on its way through a chain, and what a layer says of its own wiring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neural_attn.catalogue.base import INITIAL_STATE, NativeLayer
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import MASK, Block, LayerUse
from neural_attn.record import record

MEMORY, MEMORY_MASK = "memory", "memory_mask"
RESIDUAL = ("add", "residual")
RESIDUAL_BLOCK = "residualconnection"


@record
class Branch(tree.Node):
    """`name: { layers }`: layers that work on the input or branch of that name."""

    name: tree.Name
    layers: tuple[tree.LayerNode, ...]


@dataclass
class Flow:
    """A value on its way through a chain.

    `value` is the variable that holds it now, `variable` the one that the next layer
    assigns, `mask` the variable of its padding mask, "" while it has none. `is_encoded`
    says that it went through attention of an encoder: it can be a decoder's memory.
    `lost_at` is the layer after which the mask no longer fits; `states` are the
    variables of the states that the last recurrent layer of it gave.
    """

    value: str
    variable: str = "x"
    mask: str = ""
    is_encoded: bool = False
    started: bool = False
    lost_at: LayerUse | None = None
    states: tuple[str, ...] = ()


def function_call(function: str, *values: tree.Expr) -> tree.Call:
    """The call of a function on values, at the place of the first."""
    span = values[0].span
    arguments = tuple(tree.Argument(span, None, value) for value in values)
    return tree.Call(span, tree.Name(span, function), arguments)


def is_encoder(block: Block) -> bool:
    """Whether a block computes attention, itself or in a part, and is not a decoder.

    What a decoder gives is nobody's memory: a stack of them is a language model.
    """
    return MEMORY not in block.inputs and has_attention(block)


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


def is_on(use: LayerUse, native: NativeLayer, flag: str) -> bool:
    """Whether a flag of a layer is true, or may be."""
    decides = use.arguments.get(flag)
    if decides is None:
        parameter = native.parameter(flag)
        return parameter is not None and bool(parameter.default)
    # what a parameter of the define decides may be true
    return not isinstance(decides, tree.Literal) or bool(decides.value)


def keeps_steps(use: LayerUse, native: NativeLayer) -> bool:
    """Whether a padding mask still fits what a native layer gives."""
    rule = native.keeps_time
    if isinstance(rule, bool):
        return rule
    if isinstance(rule, str):
        return is_on(use, native, rule) and not turns_round(use)
    known = {p.name: p.default for p in native.parameters}
    for name, expr in use.arguments.items():
        known[name] = expr.value if isinstance(expr, tree.Literal) else ...
    return rule(known)


def turns_round(use: LayerUse) -> bool:
    """Whether a recurrent layer gives the steps from the last to the first."""
    turns = use.arguments.get("go_backwards")
    return isinstance(turns, tree.Literal) and bool(turns.value)


def keeps_time(block: Block) -> bool:
    """Whether a padding mask still fits after a block: each layer in it keeps time."""
    seen, waiting = {block}, [block]
    if any(map(_has_other_steps, _returned(block.forward.body))):
        return False
    while waiting:
        for use in waiting.pop().uses():
            target = use.target
            if isinstance(target, Block):
                if target not in seen:
                    waiting.append(target)
                    seen.add(target)
            elif not keeps_steps(use, target):
                return False
    return True


# functions that give axis 1 another length
_OTHER_LENGTH = frozenset("concatenate max mean min repeat slice sum".split())


def _has_other_steps(value: tree.Expr) -> bool:
    """Whether a call puts steps together, or picks some, along axis 1."""
    if not isinstance(value, tree.Call) or value.function.text not in _OTHER_LENGTH:
        return False
    axes = [a.value for a in value.arguments if a.name == "axis"]
    return any(isinstance(axis, tree.Literal) and axis.value == 1 for axis in axes)


def _returned(body: tuple[tree.Statement, ...]) -> list[tree.Expr]:
    found: list[tree.Expr] = []
    for statement in body:
        if isinstance(statement, tree.If):
            found += _returned(statement.then) + _returned(statement.otherwise)
        elif isinstance(statement, tree.Return):
            found.append(statement.value)
    return found


def takes_mask(target: NativeLayer | Block) -> bool:
    """Whether a layer asks which steps are padding.

    A window that slides along time does not: it uses what is known.
    """
    asks = any(name.rstrip("?") == MASK for name in target.inputs[1:])
    return asks and not is_window(target)


def is_window(target: NativeLayer | Block) -> bool:
    """Whether a layer slides a window along time."""
    return isinstance(target, NativeLayer) and callable(target.keeps_time)


def fits_mask(use: LayerUse) -> bool:
    """Whether a layer can be given the mask of what reaches it.

    Padding is 0 to a window, as what is beyond a text, where steps stay in place.
    """
    native = use.target if isinstance(use.target, NativeLayer) else None
    return native is None or not is_window(native) or keeps_steps(use, native)


def take_wiring(
    node: tree.LayerNode, target: NativeLayer | Block | None, problems: Problems
) -> tuple[bool, tree.Name | None, tree.LayerNode]:
    """Split off `mode=…` and `memory=NAME`, which are not parameters.

    Only of blocks that have an input for the memory; to others they are unknown.
    Gives whether the keys come from the memory, its name, and the rest.
    """
    if not isinstance(target, Block):
        return False, None, node
    memory, crosses = None, False
    decodes, has_keys = MEMORY in target.inputs, "key" in target.inputs
    if has_keys and not target.parameter("mode"):
        crosses, node = take_mode(node, problems)
    if (decodes or has_keys) and not target.parameter(MEMORY):
        memory, node = take_memory(node)
    return crosses or (memory is not None and not decodes), memory, node


def take_memory(node: tree.LayerNode) -> tuple[tree.Name | None, tree.LayerNode]:
    """Split off `memory=NAME`."""
    for argument in node.arguments:
        if argument.name == MEMORY and isinstance(argument.value, tree.Name):
            rest = tuple(a for a in node.arguments if a is not argument)
            return argument.value, replace(node, arguments=rest)
    return None, node


def take_start(
    node: tree.LayerNode, target: NativeLayer | Block | None
) -> tuple[tree.Expr | None, tree.LayerNode]:
    """Split off `initial_state=…` of a recurrent layer; None where nothing is given."""
    given = [a for a in node.arguments if a.name == INITIAL_STATE]
    if not given or not is_recurrent(node, target):
        return None, node
    rest = tuple(a for a in node.arguments if a not in given[:1])
    start = given[0].value
    nothing = isinstance(start, tree.Literal) and start.value is None
    return None if nothing else start, replace(node, arguments=rest)


def is_recurrent(node: tree.LayerNode, target: NativeLayer | Block | None) -> bool:
    """Whether a layer as it is written has states: LSTM(…), or Bidirectional(…)."""
    if target is None:
        return tree.is_named(node, "Bidirectional")
    return isinstance(target, NativeLayer) and bool(target.states)


def take_mode(node: tree.LayerNode, problems: Problems) -> tuple[bool, tree.LayerNode]:
    """Split off `mode="cross"` or `mode="self"` of an attention layer."""
    for argument in node.arguments:
        if argument.name != "mode" or not isinstance(argument.value, tree.Literal):
            continue
        mode = argument.value.value
        if mode not in ("self", "cross"):
            problems.add("E0217.mode", argument.span, mode=mode)
        if mode == "self" and any(a.name == MEMORY for a in node.arguments):
            problems.add("E0217.memory", argument.span)
        rest = tuple(a for a in node.arguments if a is not argument)
        return mode == "cross", replace(node, arguments=rest)
    return False, node


def residual_starts(layers: Sequence[tree.LayerNode]) -> dict[int, int]:
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


def takes_ids(
    target: NativeLayer | Block,
    name: str = "",
    seen: set[tuple[Block, str]] | None = None,
) -> bool:
    """Whether a layer's input (its first, or the one named) is token ids.

    `seen` holds what was asked already, in vain: blocks may share their parts.
    """
    if isinstance(target, NativeLayer):
        return target.name == "Embedding"
    name = name or (target.inputs[0] if target.inputs else "")
    seen = set() if seen is None else seen
    if (target, name) in seen:
        return False
    seen.add((target, name))
    layers = {use.name: use for use in target.uses()}
    return any(
        _passes_ids(call, name, layers, seen)
        for statement in _statements(target.forward.body)
        for call in tree.walk(statement)
        if isinstance(call, tree.Call)
    )


def _passes_ids(
    call: tree.Call,
    name: str,
    layers: dict[str, LayerUse],
    seen: set[tuple[Block, str]],
) -> bool:
    use = layers.get(call.function.text)
    for position, argument in enumerate(call.arguments):
        value = argument.value
        if not isinstance(value, tree.Name) or value.text != name:
            continue
        if use is None:
            continue
        if isinstance(use.target, NativeLayer):
            return use.target.name == "Embedding"
        inputs = use.target.inputs
        inner = argument.name or (inputs[position] if position < len(inputs) else "")
        if inner and takes_ids(use.target, inner, seen):
            return True
    return False


def _statements(body: tuple[tree.Statement, ...]) -> list[tree.Expr]:
    found: list[tree.Expr] = []
    for statement in body:
        if isinstance(statement, tree.If):
            found += _statements(statement.then) + _statements(statement.otherwise)
        else:
            found.append(statement.value)
    return found
