"""Which parameters of a block were looked at: one given in vain is warned of."""

from __future__ import annotations

from collections.abc import Iterable

from neural_attn.catalogue.types import Constant
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.grammar.parser import prelude
from neural_attn.ir import Block, LayerUse, width_of


class Consulted(dict[str, Constant]):
    """The values of a block's parameters by name; `seen` are those looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Constant:
        self.seen.add(name)
        return super().__getitem__(name)


def closure(block: Block, seen: set[str], given: Iterable[str]) -> set[str]:
    """The parameters that matter: looked at, or part of the default of such a one.

    A width that is given is compared with the one that arrives.
    """
    matter = seen | {p.name for p in block.parameters if width_of(p)}
    waiting = [name for name in matter if name not in given]
    while waiting:
        parameter = block.parameter(waiting.pop())
        if parameter is None or parameter.default is None:
            continue
        more = tree.names_in(parameter.default) - matter
        matter |= more
        waiting += [name for name in more if name not in given]
    return matter


class Vain:
    """The arguments of all calls of blocks, and whether any call looked at them."""

    def __init__(self) -> None:
        self._uses: dict[tuple[int, str], tuple[LayerUse, bool]] = {}

    def note(self, use: LayerUse, matter: set[str]) -> None:
        """Note one call of a layer, and which of its parameters mattered."""
        for name in use.arguments:
            _, before = self._uses.get((id(use), name), (use, False))
            self._uses[(id(use), name)] = use, before or name in matter

    def warn(self, problems: Problems) -> None:
        """Warn of what no call looked at, where an author wrote it.

        What a define only passes on is warned of where the define is used.
        """
        unused = {
            (d.span.start, d.span.end) for d in problems.diagnostics
            if d.code == "W0106" and d.span
        }  # fmt: skip
        for (_, name), (use, mattered) in self._uses.items():
            expr, target = use.arguments[name], use.target
            if mattered or tree.names_in(expr) or not isinstance(target, Block):
                continue
            declared = target.parameter(name)
            if declared and (declared.span.start, declared.span.end) in unused:
                continue
            if expr.span.source is prelude().span.source:
                continue
            problems.add(
                "W0116",
                expr.span,
                hint=_hint(target, name),
                name=name,
                layer=target.name,
            )


def _hint(target: Block, name: str) -> str:
    declared = target.parameter(name)
    if declared is not None and declared.default is None:
        return "it must be given, but its value changes nothing"
    if target.span.source is prelude().span.source:
        return f"leave it out, or see `neural layers {target.name}`"
    return "leave it out"
