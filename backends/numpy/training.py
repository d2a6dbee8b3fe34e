"""NumPy networks are run and not trained: what that leaves out is said."""

from __future__ import annotations

from collections.abc import Iterator

from neural_attn.catalogue.base import NativeLayer
from neural_attn.diagnostics.errors import Diagnostic, Span
from neural_attn.shapes.instance import Checked


def cannot_train(checked: Checked) -> list[Diagnostic]:
    """One warning of what a backend without training code leaves out, if anything."""
    network = checked.network
    given: dict[str, Span] = {
        name: setting.span
        for name, setting in (
            ("loss", network.loss),
            ("optimizer", network.optimizer),
            ("metrics", next(iter(network.metrics), None)),
            ("train", network.train),
        )
        if setting is not None
    }
    for layer, parameter, span in _only_learned(checked):
        given.setdefault(f"{parameter} of {layer}", span)
    if not given:
        return []
    *others, last = given
    left_out = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return [
        Diagnostic.of(
            "W0114", min(given.values(), key=lambda span: span.start), left_out=left_out
        )
    ]


def _only_learned(checked: Checked) -> Iterator[tuple[str, str, Span]]:
    """What authors gave that matters only while a network learns."""
    for block, facts in checked.facts.items():
        for use in block.uses():
            momentum = use.arguments.get("momentum")
            if momentum is None or not isinstance(use.target, NativeLayer):
                continue
            if use.name in facts.live:
                yield use.target.name, "momentum", momentum.span
