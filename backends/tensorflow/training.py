"""Training settings as Keras code: create_loss, create_optimizer, train."""

from __future__ import annotations

from neural_attn.backends.emit.layout import docstring
from neural_attn.backends.emit.training import (
    CROSSENTROPIES,
    arguments,
    described,
    gives_probabilities,
    loop,
    optimizer,
    padded_input,
    schedule,
    settings,
)

from neural_attn.ir import Named
from neural_attn.shapes.instance import Checked

_LOSSES = {
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "huber": "Huber",
}
_ACCURACIES = {
    "sparse_categorical_crossentropy": "SparseCategoricalAccuracy",
    "categorical_crossentropy": "CategoricalAccuracy",
    "binary_crossentropy": "BinaryAccuracy",
}
# What Keras does anyway.
_DEFAULTS = {
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-7,
    "momentum": 0.0,
    "nesterov": False,
    "centered": False,
    "staircase": False,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
    "delta": 1.0,
}


def write_training(checked: Checked) -> tuple[list[str], dict[str, str]]:
    """The functions that the runtime's `train` calls, as lines, and its settings."""
    network = checked.network
    if network.loss is None:
        return ([] if network.optimizer is None else _optimizer(checked)), {}
    lines = [*_loss(checked, network.loss), "", "", *_optimizer(checked)]
    if network.metrics:
        lines += ["", "", *_metrics(checked, network.loss)]
    return lines, loop(checked, "inputs")


def _loss(checked: Checked, loss: Named) -> list[str]:
    outputs, targets = described(checked, logits=not gives_probabilities(checked))
    given = arguments(loss.arguments, _DEFAULTS)
    if padded_input(checked):
        given = 'reduction="mean_with_sample_weight"' + (f", {given}" if given else "")
    if loss.name in CROSSENTROPIES and not gives_probabilities(checked):
        given = "from_logits=True" + (f", {given}" if given else "")
    function = f"keras.losses.{_LOSSES[loss.name]}"
    if loss.name == "sparse_categorical_crossentropy" and "smoothing" in given:
        function = "SmoothedCrossentropy"  # Keras smooths one-hot targets alone
    return [
        "def create_loss():",
        *docstring(f"Return the mean loss of ({targets}, {outputs}).", "    "),
        f"    return {function}({given})",
    ]


def _optimizer(checked: Checked) -> list[str]:
    chosen, clip = optimizer(checked), settings(checked).gradient_clip
    values, decay = dict(chosen.arguments), schedule(checked)
    lines = ["def create_optimizer():", '    """Return a new optimizer."""']
    if decay is not None:
        values.pop("learning_rate")
        lines.append(f"    learning_rate = {_schedule(decay)}")
    if clip is not None:
        values["global_clipnorm"] = clip
    given = arguments(values, _DEFAULTS)
    if decay is not None:
        given = ", ".join(["learning_rate", given] if given else ["learning_rate"])
    return [*lines, f"    return keras.optimizers.{chosen.name}({given})"]


def _schedule(decay: Named) -> str:
    name, values = decay.name, dict(decay.arguments)
    if name == "StepDecay":
        name = "ExponentialDecay"
    if name == "PiecewiseConstantDecay":
        boundaries, steps = values["boundaries"], values["values"]
        given = f"{_listed(boundaries)}, {_listed(steps)}"
    elif name == "Noam":
        return f"Noam({arguments(values, {'scale': 1.0})})"
    else:
        if values.get("warmup_steps"):
            values["warmup_target"] = values["initial_learning_rate"]
            values["initial_learning_rate"] = 0.0
        given = arguments(values, _DEFAULTS)
    return f"keras.optimizers.schedules.{name}({given})"


def _listed(values: object) -> str:
    assert isinstance(values, tuple)
    return f"[{', '.join(map(repr, values))}]"


def _metrics(checked: Checked, loss: Named) -> list[str]:
    made = []
    for metric in checked.network.metrics:
        if metric.name == "accuracy":
            given = 'name="accuracy"'
            if loss.name == "binary_crossentropy" and not gives_probabilities(checked):
                given += ", threshold=0.0"
            made.append(f"keras.metrics.{_ACCURACIES[loss.name]}({given})")
        else:
            made.append(f"keras.metrics.{_LOSSES[metric.name]}()")
    return [
        "def create_metrics():",
        '    """Return new metrics."""',
        f"    return [{', '.join(made)}]",
    ]
