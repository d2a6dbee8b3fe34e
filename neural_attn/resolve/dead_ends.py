"""Values that nothing reads: what makes them has no effect on what comes out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from neural_attn.catalogue.functions import PRIMITIVES
from neural_attn.grammar import tree
from neural_attn.ir import UNUSED, Block, LayerUse
from neural_attn.resolve.flow import has_attention


def dead_ends(
    body: Sequence[tree.Statement], maps: Collection[str] = ()
) -> list[tree.Assign]:
    """The assignments whose values reach neither what is returned nor a map.

    Of several in a row, that is the last. `maps` are the layers and functions whose
    attention is seen, whoever reads what they give.
    """
    found: list[tree.Assign] = []
    _read_before(body, set(), maps, found, set())
    return found[::-1]


def _read_before(
    body: Sequence[tree.Statement],
    live: set[str],
    maps: Collection[str],
    found: list[tree.Assign],
    vain: set[str],
) -> set[str]:
    """The names that statements read of what stands before them.

    `live` are those read behind them, `vain` those that only dead ends read.
    """
    for statement in reversed(body):
        if isinstance(statement, tree.Return):
            live = tree.names_in(statement.value)
        elif isinstance(statement, tree.If):
            ways = (statement.then, statement.otherwise)
            before = (_read_before(way, live, maps, found, vain) for way in ways)
            live = tree.names_in(statement.condition).union(*before)
        else:
            targets = {name.text for name in statement.targets}
            names, called = tree.names_in(statement.value), _called(statement.value)
            # a layer may be called for its weights alone, which `weight(layer)` reads
            if (targets | called) & live or (names | called) & set(maps):
                live = (live - targets) | names
            elif targets != {UNUSED}:
                if not targets & vain:
                    found.append(statement)
                vain |= names
    return live


def _called(expr: tree.Expr) -> set[str]:
    """The functions and layers that an expression calls."""
    return {n.function.text for n in tree.walk(expr) if isinstance(n, tree.Call)}


def with_maps(layers: Collection[LayerUse]) -> set[str]:
    """The names of layers and functions whose attention is seen."""
    functions = {name for name, one in PRIMITIVES.items() if one.is_attention}
    return functions | {
        use.name
        for use in layers
        if isinstance(use.target, Block) and has_attention(use.target)
    }
