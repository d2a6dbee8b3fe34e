"""One layer as it is written: what it names, with its arguments matched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from neural_attn.catalogue import NativeLayer
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import Block, LayerUse
from neural_attn.resolve.arguments import REPEAT_ALIASES, match
from neural_attn.resolve.corrections import as_function, as_meant, with_activation
from neural_attn.resolve.names import trouble_with_attribute
from neural_attn.resolve.values import (
    check_repeat,
    check_static,
    check_value,
    note_device,
)
from neural_attn.resolve.wrappers import (
    both_directions,
    each_step,
    is_stepwise,
    is_wrapper,
)
from neural_attn.training.hyperparameter_search import Spaces

# parameters that say what holds anyway: accepted, with a warning that says why
_NEEDLESS = {
    "use_attention_mask": "a padding mask reaches every attention by itself",
    "batch_first": "the batch is always the first axis",
}


class Uses(ABC):
    """Resolves layers; what their names mean is up to the subclass."""

    def __init__(self, problems: Problems, spaces: Spaces) -> None:
        self.problems = problems
        self.spaces = spaces

    @property
    @abstractmethod
    def scope(self) -> Collection[str]:
        """The parameters that arguments may name here."""

    @abstractmethod
    def find(self, name: str) -> NativeLayer | Block | None:
        """The block or native layer of this name."""

    @abstractmethod
    def target(self, node: tree.LayerNode) -> NativeLayer | Block | None:
        """What a layer names; notes a problem where it names nothing."""

    def use(
        self, node: tree.LayerNode, name: str, label: str = "", index: int | None = None
    ) -> LayerUse | None:
        """A layer with its arguments matched to the parameters of its target."""
        if node.label is not None and (why := trouble_with_attribute(node.label.text)):
            self.problems.add(
                "E0213", why, node.label.span, f"call it `my_{node.label.text}`"
            )
        unwrapped = self._unwrapped(node)
        target = self.target(unwrapped) if unwrapped else None
        if unwrapped is None or target is None:
            return None
        node = unwrapped
        if node.block is not None:
            self.problems.add(
                "E0214",
                f"`{target.name}` takes no layers of its own in braces",
                node.span,
                "write a `define` with the layers that you want inside",
            )
        note_device(self.problems, node)
        given, repeat = self._arguments(node, target)
        return LayerUse(
            name, target, given, node.span, repeat, label, index, node.trivia
        )

    def _unwrapped(self, node: tree.LayerNode) -> tree.LayerNode | None:
        """What a wrapper around a layer comes to; other layers as they are."""
        if self.find(node.name.text) is not None:
            return node
        node = as_function(node)
        if is_wrapper(node, "Bidirectional"):
            return both_directions(node, self.problems)
        if not is_wrapper(node, "TimeDistributed"):
            return node
        inner = each_step(node, self.problems)
        if inner is None or is_stepwise(inner):
            return inner
        name = node.label.text if node.label else "layer"
        self.problems.add(
            "E0233",
            "TimeDistributed stands in chains; equations say it themselves",
            node.span,
            f"write `{name} = {inner.name.text}(…)`, and call "
            f"`unfold_time({name}(fold_time(x)), x)`",
        )
        return None

    def _arguments(
        self, node: tree.LayerNode, target: NativeLayer | Block
    ) -> tuple[dict[str, tree.Expr], tree.Expr | None]:
        """The arguments by parameter, and how often the layer is repeated."""
        repeat, arguments = node.repeat, list(node.arguments)
        names = [p.name for p in target.parameters]
        if isinstance(target, Block):
            required = [p.name for p in target.parameters if p.default is None]
            aliases: dict[str, str] = {}
            repeat, arguments = self._split_repeat(node, target)
        else:
            required = [p.name for p in target.parameters if p.required]
            aliases = {a: p.name for p in target.parameters for a in p.aliases}
        arguments = with_activation(target, arguments, self.scope)
        given = match(f"`{target.name}`", names, arguments, self.problems, aliases)
        missing = [name for name in required if name not in given]
        if missing and not any(a.name not in names for a in arguments if a.name):
            self.problems.add(
                "E0215",
                f"`{target.name}` needs {' and '.join(f'`{m}`' for m in missing)}",
                node.name.span,
                f"write `{target.name}({', '.join(f'{m}=…' for m in missing)})`",
            )
        for name, expr in given.items():
            if not isinstance(expr, tree.Name) or expr.text not in self.scope:
                expr = given[name] = self._as_meant(target, name, expr)
            self._check_argument(target, name, expr)
        if repeat is not None:
            self._check_repeat(repeat)
        return given, repeat

    def _as_meant(
        self, target: NativeLayer | Block, name: str, expr: tree.Expr
    ) -> tree.Expr:
        searched = any(space.span == expr.span for space in self.spaces)
        return expr if searched else as_meant(target, name, expr, self.problems)

    def _split_repeat(
        self, node: tree.LayerNode, target: Block
    ) -> tuple[tree.Expr | None, list[tree.Argument]]:
        """`num_layers=6` of a block says what `* 6` says; other arguments stay."""
        repeat, kept = node.repeat, []
        for argument in node.arguments:
            if target.parameter(argument.name or ""):
                kept.append(argument)
            elif argument.name in REPEAT_ALIASES:
                if repeat is not None:
                    self.problems.add(
                        "E0206",
                        f"`{target.name}` is told twice how often it is repeated",
                        argument.span,
                        "keep one of them",
                    )
                repeat = argument.value
            elif argument.name in _NEEDLESS:
                why = _NEEDLESS[argument.name]
                self.problems.add(
                    "W0105", f"`{argument.name}` changes nothing: {why}", argument.span
                )
            else:
                kept.append(argument)
        return repeat, kept

    def _check_argument(
        self, target: NativeLayer | Block, name: str, expr: tree.Expr
    ) -> None:
        """Note a value that the parameter cannot have, or one that changes nothing."""
        if not isinstance(expr, tree.Literal):
            check_static(self.problems, expr, self.scope)
            return
        for value, span in self.spaces.values(expr):
            check_value(self.problems, target, name, value, span)
        declared = target.parameter(name) if isinstance(target, NativeLayer) else None
        if declared and declared.needless and expr.value != declared.default:
            self.problems.add(
                "W0105", f"`{name}` changes nothing: {declared.needless}", expr.span
            )

    def _check_repeat(self, repeat: tree.Expr) -> None:
        if not isinstance(repeat, tree.Literal):
            check_static(self.problems, repeat, self.scope)
            return
        for count, span in self.spaces.values(repeat):
            check_repeat(self.problems, count, span)
