"""What training code needs to know of a network, whatever the framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neural_attn.backends.expressions import literal

from neural_attn.catalogue.base import NativeLayer
from neural_attn.diagnostics.errors import Diagnostic, Span
from neural_attn.ir import Block, Named, Training
from neural_attn.shapes.instance import Checked, Instance
from neural_attn.training.catalogue import OPTIMIZERS, TRAIN, find

CROSSENTROPIES = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
)
_SHAPE_ONLY = ("Dropout", "Flatten", "Reshape")


def optimizer(checked: Checked) -> Named:
    """The author's optimizer, or Adam."""
    network = checked.network
    if network.optimizer is not None:
        return network.optimizer
    adam = find(OPTIMIZERS, "Adam")
    assert adam is not None
    values = {p.name: p.default for p in adam.parameters}
    return Named(adam.name, values, network.block.span)


def settings(checked: Checked) -> Training:
    """The author's train settings, or their defaults."""
    if checked.network.train is not None:
        return checked.network.train
    values = {p.name: p.default for p in TRAIN}
    return Training(checked.network.block.span, **values)


def schedule(checked: Checked) -> Named | None:
    """The schedule of the learning rate, where it is not constant."""
    rate = optimizer(checked).arguments["learning_rate"]
    return rate if isinstance(rate, Named) else None


def gives_probabilities(checked: Checked) -> bool:
    """Whether the network ends in a softmax or sigmoid; else it gives logits."""
    return output_activation(checked.root) in ("softmax", "sigmoid")


def output_activation(part: Instance) -> str:
    """The function that is applied last; "linear" where there is none."""
    for step in reversed(part.steps):
        if step.kind == "function" and step.name in ("softmax", "sigmoid"):
            return step.name
        if step.kind == "input":
            continue
        inner = part.children.get(step.name, [None])[-1]
        if step.kind != "layer" or inner is None:
            return "linear"
        if isinstance(inner.target, Block):
            return output_activation(inner)
        if inner.target.name in _SHAPE_ONLY:
            continue
        values = inner.values
        return str(values.get("activation", values.get("function", "linear")))
    return "linear"


def described(checked: Checked) -> tuple[str, str]:
    """What the loss takes, in words: the outputs and the targets, with shapes."""
    root, loss = checked.root, checked.network.loss
    shape = str(root.output).replace("(", "[").replace(")", "]")
    name = loss.name if loss else ""
    is_crossentropy = name in CROSSENTROPIES
    what = "probabilities" if gives_probabilities(checked) else "logits"
    outputs = f"{what if is_crossentropy else 'outputs'} {shape}"
    if name == "sparse_categorical_crossentropy":
        return outputs, f"class ids {shape.rpartition(', ')[0]}]"
    return outputs, f"targets {shape}"


def arguments(values: Mapping[str, object], omitted: Mapping[str, object]) -> str:
    """Keyword arguments as text, without those that equal `omitted`."""
    kept = {n: v for n, v in values.items() if omitted.get(n, _NEVER) != v}
    return ", ".join(f"{name}={literal(value)}" for name, value in kept.items())


_NEVER = object()


def doubts(checked: Checked) -> list[Diagnostic]:
    """A warning where the loss expects other outputs than the network gives."""
    loss, last = checked.network.loss, output_activation(checked.root)
    expected = last in ("softmax", "sigmoid", "linear")
    if loss is None or loss.name not in CROSSENTROPIES or expected:
        return []
    return [
        Diagnostic(
            "W0115",
            f"{loss.name} takes the outputs as logits, and the last layer is {last}",
            loss.span,
            'end with activation="softmax", or with "linear" for logits',
        )
    ]


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
        Diagnostic(
            "W0114",
            "the numpy backend runs networks and does not train them: "
            f"{left_out} left out",
            min(given.values(), key=lambda span: span.start),
            "choose --backend pytorch or tensorflow to train",
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
