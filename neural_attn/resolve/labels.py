"""Names that authors give to layers: each of them to one layer."""

from __future__ import annotations

from collections.abc import Iterable

from neural_attn.errors import Problems
from neural_attn.grammar import tree
from neural_attn.resolve.flow import RESIDUAL_BLOCK


def check_labels(
    problems: Problems, items: Iterable[tree.Item], taken: Iterable[str] = ()
) -> set[str]:
    """Note names that two layers share; gives all names, with those `taken` before.

    Layers on the two sides of an `if` may share one: only one side exists.
    """
    names = set(taken)
    for item in items:
        if isinstance(item, tree.LayerChoice):
            sides = (item.then, item.otherwise)
            names |= set().union(*(check_labels(problems, s, names) for s in sides))
        elif isinstance(item, tree.LayerNode):
            _check_label(problems, item, names)
            if item.name.text.lower() == RESIDUAL_BLOCK:
                names |= check_labels(problems, item.block or (), names)
        elif isinstance(item, tree.Setting):
            names |= check_labels(problems, item.block or (), names)
    return names


def _check_label(problems: Problems, node: tree.LayerNode, names: set[str]) -> None:
    if node.block and node.repeat is not None:
        for inner in node.block:
            if isinstance(inner, tree.LayerNode) and inner.label is not None:
                problems.add(
                    "E0207",
                    f"`{inner.label.text}` would name several layers, as "
                    f"`{node.name.text}` is repeated",
                    inner.label.span,
                    "leave the name out: layers without one are numbered",
                )
    if node.label is None:
        return
    if node.label.text in names:
        problems.add(
            "E0207",
            f"there is a layer `{node.label.text}` already",
            node.label.span,
            "give one of the two another name",
        )
    names.add(node.label.text)
