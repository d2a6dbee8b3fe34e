"""Training settings as PyTorch code: create_loss, create_optimizer, train."""

from __future__ import annotations

from neural_attn.backends.emit.layout import docstring
from neural_attn.backends.emit.training import (
    CROSSENTROPIES,
    arguments,
    described,
    gives_probabilities,
    has_logits,
    loop,
    optimizer,
    padded_input,
    schedule,
)
from neural_attn.backends.pytorch.layers import LAYERS

from neural_attn.ir import Named
from neural_attn.shapes.instance import Checked

_OPTIMIZERS = {"Nadam": "NAdam"}  # others are called as in Keras
_SUM = 'reduction="sum"'
# The targets that are not padding: one at least, for a batch without any.
_REAL = "        real = (targets != -100).sum().clamp(min=1)"
_NAMES = {"learning_rate": "lr", "epsilon": "eps", "rho": "alpha"}
# What PyTorch does anyway.
_DEFAULTS: dict[str, object] = {
    "betas": (0.9, 0.999),
    "momentum": 0.0,
    "nesterov": False,
    "centered": False,
}
# Factors of the first learning rate, by the number of batches so far.
_FACTORS = {
    "ExponentialDecay": "{decay_rate} ** {share}",
    "InverseTimeDecay": "1 / (1 + {decay_rate} * {share})",
    "PolynomialDecay": "{end} + (1 - {end}) * (1 - min({share}, 1)) ** {power}",
    "CosineDecay": (
        "{alpha} + (1 - {alpha}) * (1 + math.cos(math.pi * min({share}, 1))) / 2"
    ),
}


def write_training(checked: Checked) -> tuple[list[str], dict[str, str]]:
    """The functions that the runtime's `train` calls, as lines, and its settings."""
    network = checked.network
    if network.loss is None:
        return ([] if network.optimizer is None else _optimizer(checked)), {}
    parts = [_loss(checked, network.loss), _optimizer(checked)]
    decay = schedule(checked)
    if decay is not None:
        parts.append(_schedule(decay))
    if network.metrics:
        parts.append(_metrics(checked, network.loss))
    lines = list(parts[0])
    for part in parts[1:]:
        lines += ["", "", *part]
    values = loop(checked, "batch")
    if decay is not None:
        values["SCHEDULE"] = ""
    if has_logits(checked, LAYERS):
        values["LOGITS"] = ""
    values["ORDER"] = "torch.arange" if "IN_ORDER" in values else "torch.randperm"
    return lines, values


# --- loss and metrics ----------------------------------------------------------------


def _takes_logits(checked: Checked) -> bool:
    """Whether the loss is of logits: what the network gives, or `forward_logits`."""
    return has_logits(checked, LAYERS) or not gives_probabilities(checked)


def _loss(checked: Checked, loss: Named) -> list[str]:
    outputs, targets = described(checked, logits=_takes_logits(checked))
    targets += ", -100 for padding" if padded_input(checked) else ""
    lines = [
        "def create_loss():",
        *docstring(f"Return the mean loss of ({outputs}, {targets}).", "    "),
    ]
    value = _loss_value(checked, loss)
    plain = "(outputs, targets)"
    if value.endswith(plain) and value.count("(") == 1:
        return [*lines, f"    return {value.removesuffix(plain)}"]
    inner = [f"        return {value}"]
    if _SUM in value:
        inner = [f"        total = {value}", _REAL, "        return total / real"]
    return [
        *lines,
        "",
        "    def loss(outputs, targets):",
        *inner,
        "",
        "    return loss",
    ]


def _loss_value(checked: Checked, loss: Named) -> str:
    if loss.name not in CROSSENTROPIES:
        function = {"mean_squared_error": "mse_loss", "mean_absolute_error": "l1_loss"}
        delta = loss.arguments.get("delta", 1.0)
        more = f", delta={delta!r}" if delta != 1.0 else ""
        name = function.get(loss.name, "huber_loss")
        return f"F.{name}(outputs, targets.view_as(outputs){more})"
    logits = _takes_logits(checked)
    likely = "outputs.clamp(1e-7, 1 - 1e-7)"  # what a float32 can tell from 0 and 1
    if loss.name == "binary_crossentropy":
        name = "binary_cross_entropy" + ("_with_logits" if logits else "")
        return f"F.{name}({'outputs' if logits else likely}, targets.view_as(outputs))"
    given, targets = "outputs" if logits else f"{likely}.log()", "targets"
    if checked.root.output is not None and checked.root.output.rank > 2:
        ids = loss.name == "sparse_categorical_crossentropy"
        given += ".flatten(0, -2)"
        targets += f".flatten({'' if ids else '0, -2'})"
    options = arguments(loss.arguments, {"label_smoothing": 0.0})
    if padded_input(checked):
        options = f"{options}, {_SUM}" if options else _SUM
    options = f"{targets}, {options}" if options else targets
    return f"F.cross_entropy({given}, {options})"


def _metrics(checked: Checked, loss: Named) -> list[str]:
    lines = [
        "def create_metrics():",
        '    """Return {name: function of (outputs, targets)}, the mean of a batch."""',
    ]
    names = [metric.name for metric in checked.network.metrics]
    bodies = {
        "accuracy": _accuracy(checked, loss),
        "mean_squared_error": "F.mse_loss(outputs, targets.view_as(outputs))",
        "mean_absolute_error": "F.l1_loss(outputs, targets.view_as(outputs))",
    }
    for name in names:
        lines += ["", f"    def {name}(outputs, targets):"]
        lines += [_REAL] if bodies[name].endswith("/ real") else []
        lines += [f"        return {bodies[name]}"]
    listed = ", ".join(f'"{name}": {name}' for name in names)
    return [*lines, "", f"    return {{{listed}}}"]


def _accuracy(checked: Checked, loss: Named) -> str:
    if loss.name == "binary_crossentropy":
        least = "0" if _takes_logits(checked) else "0.5"
        right = f"(outputs > {least}) == (targets.view_as(outputs) > 0.5)"
        return f"({right}).float().mean()"
    classes = "targets"
    if loss.name == "categorical_crossentropy":
        classes = "targets.argmax(dim=-1)"
    right = f"(outputs.argmax(dim=-1) == {classes})"
    if padded_input(checked):
        return f"{right}.sum() / real"
    return f"{right}.float().mean()"


# --- optimizer -----------------------------------------------------------------------


def _optimizer(checked: Checked) -> list[str]:
    chosen, decay = optimizer(checked), schedule(checked)
    values = dict(chosen.arguments)
    if decay is not None:
        values["learning_rate"] = _first_rate(decay)
    given: dict[str, object] = {}
    for name, value in values.items():
        if name == "beta_1":
            given["betas"] = (value, values["beta_2"])
        elif name == "rho" and chosen.name == "Adadelta":
            given["rho"] = value
        elif name != "beta_2":
            given[_NAMES.get(name, name)] = value
    text = arguments(given, _DEFAULTS)
    name = _OPTIMIZERS.get(chosen.name, chosen.name)
    return [
        "def create_optimizer(model):",
        '    """Return a new optimizer for the weights of the model."""',
        f"    return torch.optim.{name}(model.parameters(), {text})",
    ]


def _first_rate(decay: Named) -> object:
    if decay.name == "PiecewiseConstantDecay":
        values = decay.arguments["values"]
        assert isinstance(values, tuple)
        return values[0]
    if decay.name == "Noam":
        return decay.arguments["scale"]
    return decay.arguments["initial_learning_rate"]


def _schedule(decay: Named) -> list[str]:
    lines = [
        "def create_schedule(optimizer):",
        '    """Return the schedule of the learning rate, a step for each batch."""',
        "",
        "    def factor(step):",
    ]
    values = dict(decay.arguments)
    first, warmup = _first_rate(decay), values.get("warmup_steps")
    if decay.name == "PiecewiseConstantDecay":
        rates, ends = values["values"], values["boundaries"]
        assert isinstance(rates, tuple)
        assert isinstance(ends, tuple)
        lines += [
            f"        passed = sum(step > end for end in {list(ends)!r})",
            f"        return {list(rates)!r}[passed] / {first!r}",
        ]
    elif decay.name == "Noam":
        lines += [
            "        step += 1  # of the batch that comes",
            f"        slope = min(step**-0.5, step * {warmup}**-1.5)",
            f"        return {values['d_model']}**-0.5 * slope",
        ]
    else:
        share = f"step / {values['decay_steps']}"
        if values.get("staircase"):
            share = f"step // {values['decay_steps']}"
        end = values.get("end_learning_rate", 0.0)
        values["end"] = f"{end!r} / {first!r}"
        name = "ExponentialDecay" if decay.name == "StepDecay" else decay.name
        if warmup:
            share = f"(step - {warmup}) / {values['decay_steps']}"
            lines += [
                f"        if step < {warmup}:",
                f"            return step / {warmup}",
            ]
        lines += [
            f"        share = {share}",
            f"        return {_FACTORS[name].format(share='share', **values)}",
        ]
    return [
        *lines,
        "",
        "    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)",
    ]
