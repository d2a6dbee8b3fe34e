"""One layer as it is written: what it names, with its arguments matched."""

from __future__ import annotations

from dataclasses import replace

from neural_attn.catalogue.arguments import REPEAT_ALIASES, match
from neural_attn.catalogue.base import NativeLayer
from neural_attn.grammar import tree
from neural_attn.ir import INDEX, SHARED, Block, LayerUse
from neural_attn.resolve.names import trouble_with_attribute
from neural_attn.resolve.scope import Scope
from neural_attn.resolve.values import (
    as_function,
    as_meant,
    check_repeat,
    check_static,
    check_value,
    note_device,
    with_activation,
)
from neural_attn.resolve.wrappers import (
    both_directions,
    each_step,
    is_stepwise,
)

# parameters that say what holds anyway: accepted, with a warning that says why
_NEEDLESS = {
    "use_attention_mask": "a padding mask reaches every attention on its own",
    "batch_first": "the batch is always the first axis",
}


def use_layer(
    scope: Scope,
    node: tree.LayerNode,
    name: str,
    label: str = "",
    index: int | None = None,
) -> LayerUse | None:
    """A layer with its arguments matched to the parameters of its target."""
    if node.label is not None and (why := trouble_with_attribute(node.label.text)):
        scope.problems.add(
            "E0213.label", node.label.span, why=why, layer=node.label.text
        )
    unwrapped = _unwrapped(scope, node)
    target = scope.target(unwrapped) if unwrapped else None
    if unwrapped is None or target is None:
        return None
    node = unwrapped
    if node.block is not None:
        scope.problems.add("E0214", node.span, layer=target.name)
    note_device(scope.problems, node)
    shared, node = _split_shared(scope, node, target)
    given, repeat = _arguments(scope, node, target)
    use = LayerUse(name, target, given, node.span, repeat, label, index, node.trivia)
    if repeat is not None and INDEX not in scope.parameters:
        use.is_counted = any(INDEX in tree.names_in(expr) for expr in given.values())
    if shared is not None:
        _check_shared(scope, use, shared)
    return use


def _unwrapped(scope: Scope, node: tree.LayerNode) -> tree.LayerNode | None:
    """What a wrapper around a layer comes to; other layers as they are."""
    if scope.find(node.name.text) is not None:
        return node
    node = as_function(node)
    if tree.is_named(node, "Bidirectional"):
        return both_directions(node, scope.problems)
    if not tree.is_named(node, "TimeDistributed"):
        return node
    inner = each_step(node, scope.problems)
    if inner is None or is_stepwise(inner):
        return inner
    name = node.label.text if node.label else "layer"
    scope.problems.add("E0233", node.span, name=name, layer=inner.name.text)
    return None


def _arguments(
    scope: Scope, node: tree.LayerNode, target: NativeLayer | Block
) -> tuple[dict[str, tree.Expr], tree.Expr | None]:
    """The arguments by parameter, and how often the layer is repeated."""
    repeat, arguments = node.repeat, list(node.arguments)
    names = [p.name for p in target.parameters]
    if isinstance(target, Block):
        required = [p.name for p in target.parameters if p.default is None]
        aliases: dict[str, str] = {}
        repeat, arguments = _split_repeat(scope, node, target)
    else:
        required = [p.name for p in target.parameters if p.required]
        aliases = {a: p.name for p in target.parameters for a in p.aliases}
    arguments = with_activation(target, arguments, scope.parameters)
    given = match(f"`{target.name}`", names, arguments, scope.problems, aliases)
    missing = [name for name in required if name not in given]
    if missing and not any(a.name not in names for a in arguments if a.name):
        scope.problems.add(
            "E0215",
            node.name.span,
            name=target.name,
            parameters=" and ".join(f"`{m}`" for m in missing),
            values=", ".join(f"{m}=…" for m in missing),
        )
    for name, expr in given.items():
        if not isinstance(expr, tree.Name) or expr.text not in scope.parameters:
            expr = given[name] = _as_meant(scope, target, name, expr)
        _check_argument(scope, target, name, expr, repeat is not None)
    if repeat is not None:
        _check_repeat(scope, repeat)
    return given, repeat


def _as_meant(
    scope: Scope, target: NativeLayer | Block, name: str, expr: tree.Expr
) -> tree.Expr:
    searched = any(space.span == expr.span for space in scope.spaces)
    return expr if searched else as_meant(target, name, expr, scope.problems)


def _split_repeat(
    scope: Scope, node: tree.LayerNode, target: Block
) -> tuple[tree.Expr | None, list[tree.Argument]]:
    """`num_layers=6` of a block says what `* 6` says; other arguments stay."""
    repeat, kept = node.repeat, []
    for argument in node.arguments:
        if target.parameter(argument.name or ""):
            kept.append(argument)
        elif argument.name in REPEAT_ALIASES:
            if repeat is not None:
                scope.problems.add("E0206.repeat", argument.span, layer=target.name)
            repeat = argument.value
        elif argument.name in _NEEDLESS:
            why = _NEEDLESS[argument.name]
            scope.problems.add("W0105", argument.span, name=argument.name, why=why)
        else:
            kept.append(argument)
    return repeat, kept


def _split_shared(
    scope: Scope, node: tree.LayerNode, target: NativeLayer | Block
) -> tuple[tree.Argument | None, tree.LayerNode]:
    """Split off `shared=true`, which is not a parameter; none where it says nothing."""
    if target.parameter(SHARED):
        return None, node
    given = [a for a in node.arguments if a.name == SHARED]
    rest = tuple(a for a in node.arguments if a.name != SHARED)
    for argument in given[1:]:
        scope.problems.add("E0206", argument.span, what=f"`{target.name}`", name=SHARED)
    for argument in given:
        value = argument.value
        if not isinstance(value, tree.Literal) or not isinstance(value.value, bool):
            scope.problems.add("E0239", value.span, value=value.span.text)
        elif value.value:
            return argument, replace(node, arguments=rest)
    return None, replace(node, arguments=rest)


def _check_shared(scope: Scope, use: LayerUse, shared: tree.Argument) -> None:
    """Note a shared layer that is not repeated, or whose repeats would differ."""
    use.is_shared = use.repeat is not None and not use.is_counted
    if use.repeat is None:
        scope.problems.add("E0239.once", shared.span, layer=use.target.name)
    elif use.is_counted:
        scope.problems.add("E0239.index", shared.span, layer=use.target.name)


def _check_argument(
    scope: Scope,
    target: NativeLayer | Block,
    name: str,
    expr: tree.Expr,
    is_repeated: bool,
) -> None:
    """Note a value that the parameter cannot have, or one that changes nothing."""
    if not isinstance(expr, tree.Literal):
        known = {*scope.parameters, INDEX} if is_repeated else scope.parameters
        check_static(scope.problems, expr, known)
        return
    for value, span in scope.spaces.values(expr):
        check_value(scope.problems, target, name, value, span)
    declared = target.parameter(name) if isinstance(target, NativeLayer) else None
    if declared and declared.needless and expr.value != declared.default:
        scope.problems.add("W0105", expr.span, name=name, why=declared.needless)


def _check_repeat(scope: Scope, repeat: tree.Expr) -> None:
    if not isinstance(repeat, tree.Literal):
        check_static(scope.problems, repeat, scope.parameters)
        return
    for count, span in scope.spaces.values(repeat):
        check_repeat(scope.problems, count, span)
