"""What names mean where a layer stands: all that the stages of resolving ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from neural_attn.catalogue.base import NativeLayer
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import Block, LayerUse, Spaces


class Scope(Protocol):
    """The names of a file, as they are seen from the define or network at hand."""

    problems: Problems
    spaces: Spaces

    @property
    def parameters(self) -> Collection[str]:
        """The parameters that arguments may name here."""

    def defines(self, name: str) -> bool:
        """Whether the file has a define of this name."""

    def find(self, name: str) -> NativeLayer | Block | None:
        """The block or native layer of this name; an author's own come first."""

    def target(self, node: tree.LayerNode) -> NativeLayer | Block | None:
        """What a layer node names; notes a problem where it names nothing."""

    def use(
        self, node: tree.LayerNode, name: str, label: str = "", index: int | None = None
    ) -> LayerUse | None:
        """A layer with its arguments matched to the parameters of its target."""
