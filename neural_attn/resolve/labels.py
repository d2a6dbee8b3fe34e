"""Names that authors give to layers: each of them to one layer."""

from __future__ import annotations

from collections.abc import Iterable

from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree


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
            if item.block and item.repeat is not None:
                _check_repeated(problems, item)
            if item.label is not None:
                _take(problems, item.label, names)
            names |= check_labels(problems, item.block or (), names)
        elif isinstance(item, tree.Setting):
            names |= check_labels(problems, item.block or (), names)
    return names


def _check_repeated(problems: Problems, node: tree.LayerNode) -> None:
    """Layers in braces are written out for each repeat, under names of their own."""
    inside = [item for item in node.block or () if isinstance(item, tree.LayerNode)]
    for layer in (node, *inside):
        if layer.label is not None:
            problems.add(
                "E0207.repeated",
                layer.label.span,
                name=layer.label.text,
                layer=node.name.text,
            )


def _take(problems: Problems, label: tree.Name, names: set[str]) -> None:
    if label.text in names:
        problems.add("E0207.label", label.span, layer=label.text)
    names.add(label.text)
