"""Reads the `input:` of a network: sizes without the batch, token ids or numbers."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.catalogue.base import NativeLayer
from neural_attn.diagnostics.errors import Edit, Problems
from neural_attn.grammar import tree
from neural_attn.ir import Block, Input, is_mask
from neural_attn.resolve.flow import Branch, takes_ids
from neural_attn.resolve.names import trouble_with_variable
from neural_attn.resolve.scope import Scope

_MAX_SIZE = 2**31


def read_inputs(
    setting: tree.Setting | None,
    node: tree.NetworkNode,
    scope: Scope,
    layers: Sequence[tree.LayerNode | Branch],
    *,
    misspelled: bool = False,
) -> tuple[Input, ...]:
    """The network's inputs, in order. Notes problems.

    With `misspelled`, another setting is reported that was meant to be the input.
    """
    problems = scope.problems
    if setting is None and misspelled:
        return ()
    if setting is None:
        problems.add("E0224", node.name.span, layer=node.name.text)
        return ()
    shapes = _shapes(setting, problems)
    takers = _takers([name for name, _ in shapes], scope, layers)
    inputs = []
    for name, expr in shapes:
        ids, width = is_mask(name), None
        if name in takers:
            first, target, argument = takers[name]
            ids |= target is not None and takes_ids(target, argument)
            width = _embedding_width(first, target)
        sizes = _sizes(expr, problems)
        if width and len(sizes) == 2 and None not in sizes and sizes[1] != width:
            text = f"({sizes[0]},)"
            edit = Edit(expr.span.start, expr.span.end, text)
            problems.add(
                "E0226.vectors",
                expr.span,
                edit=edit,
                declared=sizes[1],
                width=width,
                text=text,
            )
        inputs.append(_input(name, sizes, ids, width, expr))
    return tuple(inputs)


_Taker = tuple[tree.LayerNode, NativeLayer | Block | None, str]


def _takers(
    names: Sequence[str], scope: Scope, items: Sequence[tree.LayerNode | Branch]
) -> dict[str, _Taker]:
    """Which layer takes each input first: by name, by branch, or in order."""
    find = scope.find
    takers: dict[str, _Taker] = {}
    flat: list[tree.LayerNode] = []
    for item in items:
        if isinstance(item, tree.LayerNode):
            flat.append(item)
        elif item.layers:
            first = item.layers[0]
            takers.setdefault(item.name.text, (first, find(first.name.text), ""))
            flat += item.layers
    found = [(node, find(node.name.text)) for node in flat]
    for node, target in found:
        for name in target.inputs if isinstance(target, Block) else ():
            if name in names:
                takers.setdefault(name, (node, target, name))
    waiting = [n for n in names if not is_mask(n) and n not in takers]
    for position, (node, target) in enumerate(found):
        if not waiting or len(flat) != len(items):
            break
        if position == 0 or (target is not None and takes_ids(target)):
            takers[waiting.pop(0)] = (node, target, "")
    return takers


def _shapes(setting: tree.Setting, problems: Problems) -> list[tuple[str, tree.Expr]]:
    if setting.block is None:
        if setting.value is None:
            return []
        value = setting.value
        several = isinstance(value, tree.Sequence) and value.is_list
        if several and any(not isinstance(s, tree.Literal) for s in value.items):  # type: ignore[union-attr]
            shapes = value.items  # type: ignore[union-attr]
            return [(f"input_{i}", shape) for i, shape in enumerate(shapes)]
        return [("inputs", setting.value)]
    found: list[tuple[str, tree.Expr]] = []
    if setting.value is not None:
        problems.add("E0225.several", setting.value.span)
    for item in setting.block:
        named = isinstance(item, tree.Setting) and item.block is None
        if isinstance(item, tree.Setting) and named and item.value is not None:
            why = trouble_with_variable(item.name.text)
            if why and item.name.text != "inputs":
                problems.add("E0213", item.name.span, why=why)
            if item.name.text in (name for name, _ in found):
                problems.add("E0208", item.name.span, name=item.name.text)
            found.append((item.name.text, item.value))
        else:
            problems.add("E0225", item.span)
    return found


def _sizes(expr: tree.Expr, problems: Problems) -> list[int | None]:
    items: Sequence[tree.Expr] = (expr,)
    if isinstance(expr, tree.Sequence):
        items = expr.items
    elif isinstance(expr, tree.Call) and expr.function.text == "shape":
        items = [argument.value for argument in expr.arguments]
    sizes: list[int | None] = []
    for item in items:
        value = item.value if isinstance(item, tree.Literal) else "?"
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is None or (whole and 1 <= value < _MAX_SIZE):  # type: ignore[operator]
            sizes.append(value)  # type: ignore[arg-type]
        else:
            is_batch = isinstance(item, tree.Name) and "batch" in item.text.lower()
            problems.add(
                "E0226",
                item.span,
                hint="leave out the batch: it is always there" if is_batch else "",
            )
            sizes.append(None)
    return sizes


def _input(
    name: str,
    sizes: list[int | None],
    ids: bool,
    width: int | None,
    expr: tree.Expr,
) -> Input:
    """Settles what a leading None and a trailing width mean (see the language page)."""
    if len(sizes) > 2 and sizes[0] is None:
        sizes = sizes[1:]
    if not ids:
        return Input(name, tuple(sizes), "float", expr.span)
    if len(sizes) == 2 and sizes[0] is None and sizes[1] != width:
        return Input(name, (sizes[1],), "int", expr.span)
    described = sizes[1] if len(sizes) == 2 else None
    return Input(name, (sizes[0],) if sizes else (), "int", expr.span, described)


def _embedding_width(
    node: tree.LayerNode, target: NativeLayer | Block | None
) -> int | None:
    """The output_dim of an Embedding, where it is written as a number."""
    if not isinstance(target, NativeLayer) or target.name != "Embedding":
        return None
    positional = 0
    for argument in node.arguments:
        parameter = target.parameter(argument.name or "")
        if argument.name is None:
            parameter = target.parameters[positional] if positional < 3 else None
            positional += 1
        value = argument.value
        if parameter and parameter.name == "output_dim":
            known = isinstance(value, tree.Literal) and isinstance(value.value, int)
            return value.value if known else None  # type: ignore[union-attr,return-value]
    return None
