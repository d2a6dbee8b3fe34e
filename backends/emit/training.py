"""What training code needs to know of a network, whatever the framework."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.emit.base import Row, RowRule
from neural_attn.backends.emit.expressions import constant, text
from neural_attn.backends.emit.layout import string
from neural_attn.grammar import tree

from neural_attn.diagnostics.errors import Diagnostic
from neural_attn.ir import Block, Named, Training, is_mask
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


def masked_inputs(network: Block) -> set[str]:
    """The inputs of a network of which it asks which steps are padding, with id 0."""
    return {name for name, padding in padding_ids(network).items() if padding == 0}


def padding_ids(block: Block) -> dict[str, int]:
    """The id of padding by input, where a block asks which steps are padding.

    `padding_mask(source)` says 0, and `padding_mask(source - 1)` says 1.
    """
    asked = [
        argument.value
        for statement in block.forward.body
        if isinstance(statement, tree.Assign) and isinstance(statement.value, tree.Call)
        if statement.value.function.text == "padding_mask"
        for argument in statement.value.arguments
    ]
    found = {}
    for value in asked:
        match value:
            case tree.Name(text=name):
                found[name] = 0
            case tree.Binary(
                operator="-",
                left=tree.Name(text=name),
                right=tree.Literal(value=int() as padding),
            ):
                found[name] = padding
    return found


def padding_id(checked: Checked, name: str) -> int | None:
    """The id of padding of an input, of which a network or its one layer asks."""
    root = checked.root
    ids = padding_ids(checked.network.block)
    if name not in ids and len(root.children) == 1:
        ((part, *others),) = root.children.values()
        if isinstance(part.target, Block) and not others:
            inner = padding_ids(part.target)
            ids = {part.sources.get(own, ""): one for own, one in inner.items()}
    return ids.get(name)


def padded_input(checked: Checked) -> str:
    """The input of ids whose steps the class ids are about, 0 being padding, or ""."""
    network, root = checked.network, checked.root
    loss, body = network.loss, network.block.forward.body
    if loss is None or loss.name != "sparse_categorical_crossentropy":
        return ""
    masked, last = masked_inputs(network.block), body[-1]
    if len(masked) > 1 and isinstance(last, tree.Return):
        masked &= {last.value.text} if isinstance(last.value, tree.Name) else set()
    for given, tensor in zip(network.inputs, root.inputs, strict=True):
        if given.name in masked and given.dtype == "int" and not is_mask(given.name):
            same = root.output is not None and root.output.dims[:-1] == tensor.dims
            return given.name if same else ""
    return ""


def loop(checked: Checked, batch: str) -> dict[str, str]:
    """The settings of the runtime's `train`: its constants, as code.

    `batch` is what the loop calls the inputs of one step.
    """
    given = settings(checked)
    values = {
        "EPOCHS": repr(given.epochs),
        "BATCH_SIZE": repr(given.batch_size),
        "VALIDATION_SPLIT": repr(given.validation_split),
    }
    if given.gradient_clip is not None:
        values["MAX_NORM"] = repr(given.gradient_clip)
    if given.early_stopping_patience is not None:
        values["PATIENCE"] = repr(given.early_stopping_patience)
    if not given.shuffle:
        values["IN_ORDER"] = ""
    if checked.network.metrics:
        values["METRICS"] = ""
    several = len(checked.network.inputs) > 1
    if several:
        values["SEVERAL_INPUTS"] = ""
    if name := padded_input(checked):
        values["PADDED"] = f"{batch}[{string(name)}]" if several else batch
    return values


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


def has_logits(checked: Checked, layers: Mapping[str, Row | RowRule]) -> bool:
    """Whether a crossentropy is of a function that the network's last layer applies.

    What this softmax or sigmoid is of can be trained on then: its logarithm is exact.
    `layers` are the backend's rows, which say whose activation is a call of its own.
    """
    network, root = checked.network, checked.root
    if network.loss is None or network.loss.name not in CROSSENTROPIES:
        return False
    last = next(step for step in reversed(root.steps) if step.kind != "input")
    inner = root.children.get(last.name, [None])[-1]
    if last.kind != "layer" or inner is None or isinstance(inner.target, Block):
        return False
    row = layers.get(inner.target.name)
    applied = isinstance(row, Row) and row.activates
    if not applied and inner.target.name != "Activation":
        return False
    return root.uses[last.name].repeat is None and gives_probabilities(checked)


def described(checked: Checked, *, logits: bool) -> tuple[str, str]:
    """What the loss takes, in words: the outputs and the targets, with shapes."""
    root, loss = checked.root, checked.network.loss
    shape = str(root.output).replace("(", "[").replace(")", "]")
    name = loss.name if loss else ""
    is_crossentropy = name in CROSSENTROPIES
    what = "logits" if logits else "probabilities"
    outputs = f"{what if is_crossentropy else 'outputs'} {shape}"
    if name == "sparse_categorical_crossentropy":
        return outputs, f"class ids {shape.rpartition(', ')[0]}]"
    return outputs, f"targets {shape}"


def arguments(values: Mapping[str, object], omitted: Mapping[str, object]) -> str:
    """Keyword arguments as text, without those that equal `omitted`."""
    kept = {n: v for n, v in values.items() if omitted.get(n, _NEVER) != v}
    return ", ".join(f"{name}={text(constant(value))}" for name, value in kept.items())


_NEVER = object()


def doubts(checked: Checked) -> list[Diagnostic]:
    """A warning where the loss expects other outputs than the network gives."""
    loss, last = checked.network.loss, output_activation(checked.root)
    expected = last in ("softmax", "sigmoid", "linear")
    if loss is None or loss.name not in CROSSENTROPIES or expected:
        return []
    return [Diagnostic.of("W0115", loss.span, loss=loss.name, last=last)]
