"""Training settings as PyTorch code: create_loss, create_optimizer, train."""

from __future__ import annotations

from neural_attn.backends.layout import docstring
from neural_attn.backends.training import (
    CROSSENTROPIES,
    arguments,
    described,
    gives_probabilities,
    optimizer,
    schedule,
    settings,
)

from neural_attn.ir import Named
from neural_attn.shapes.instance import Checked

_OPTIMIZERS = {"Nadam": "NAdam"}  # others are called as in Keras
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


def write_training(checked: Checked) -> list[str]:
    """The functions that train the network, as lines."""
    network = checked.network
    if network.loss is None:
        return [] if network.optimizer is None else _optimizer(checked)
    parts = [_loss(checked, network.loss), _optimizer(checked)]
    decay = schedule(checked)
    if decay is not None:
        parts.append(_schedule(decay))
    if network.metrics:
        parts.append(_metrics(checked, network.loss))
    parts.append(_train(checked))
    lines = list(parts[0])
    for part in parts[1:]:
        lines += ["", "", *part]
    return lines


# --- loss and metrics ----------------------------------------------------------------


def _loss(checked: Checked, loss: Named) -> list[str]:
    outputs, targets = described(checked)
    return [
        "def create_loss():",
        *docstring(f"Return the mean loss of ({outputs}, {targets}).", "    "),
        "",
        "    def loss(outputs, targets):",
        *(f"        {line}" for line in _loss_body(checked, loss)),
        "",
        "    return loss",
    ]


def _loss_body(checked: Checked, loss: Named) -> list[str]:
    if loss.name not in CROSSENTROPIES:
        function = {"mean_squared_error": "mse_loss", "mean_absolute_error": "l1_loss"}
        delta = loss.arguments.get("delta", 1.0)
        more = f", delta={delta!r}" if delta != 1.0 else ""
        name = function.get(loss.name, "huber_loss")
        return [f"return F.{name}(outputs, targets.view_as(outputs){more})"]
    likely = gives_probabilities(checked)
    if loss.name == "binary_crossentropy":
        name = "binary_cross_entropy" + ("" if likely else "_with_logits")
        given = "outputs.clamp(1e-7, 1 - 1e-7)" if likely else "outputs"
        return [f"return F.{name}({given}, targets.view_as(outputs))"]
    lines = []
    if likely:
        lines.append("outputs = outputs.clamp(1e-7, 1 - 1e-7).log()")
    given = "outputs, targets"
    if checked.root.output is not None and checked.root.output.rank > 2:
        ids = loss.name == "sparse_categorical_crossentropy"
        given = f"outputs.flatten(0, -2), targets.flatten({'' if ids else '0, -2'})"
    smoothing = arguments(loss.arguments, {"label_smoothing": 0.0})
    given += f", {smoothing}" if smoothing else ""
    return [*lines, f"return F.cross_entropy({given})"]


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
        lines += [f"        return {bodies[name]}"]
    listed = ", ".join(f'"{name}": {name}' for name in names)
    return [*lines, "", f"    return {{{listed}}}"]


def _accuracy(checked: Checked, loss: Named) -> str:
    if loss.name == "binary_crossentropy":
        least = "0.5" if gives_probabilities(checked) else "0"
        right = f"(outputs > {least}) == (targets.view_as(outputs) > 0.5)"
        return f"({right}).float().mean()"
    classes = "targets"
    if loss.name == "categorical_crossentropy":
        classes = "targets.argmax(dim=-1)"
    return f"(outputs.argmax(dim=-1) == {classes}).float().mean()"


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
    return decay.arguments["initial_learning_rate"]


def _schedule(decay: Named) -> list[str]:
    lines = [
        "def create_schedule(optimizer):",
        '    """Return the schedule of the learning rate, a step for each batch."""',
        "",
        "    def factor(step):",
    ]
    values = dict(decay.arguments)
    first = _first_rate(decay)
    if decay.name == "PiecewiseConstantDecay":
        rates, ends = values["values"], values["boundaries"]
        assert isinstance(rates, tuple)
        assert isinstance(ends, tuple)
        lines += [
            f"        passed = sum(step > end for end in {list(ends)!r})",
            f"        return {list(rates)!r}[passed] / {first!r}",
        ]
    else:
        share = f"step / {values['decay_steps']}"
        if values.get("staircase"):
            share = f"step // {values['decay_steps']}"
        end = values.get("end_learning_rate", 0.0)
        values["end"] = f"{end!r} / {first!r}"
        name = "ExponentialDecay" if decay.name == "StepDecay" else decay.name
        lines += [
            f"        share = {share}",
            f"        return {_FACTORS[name].format(share='share', **values)}",
        ]
    return [
        *lines,
        "",
        "    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)",
    ]


# --- the loop ------------------------------------------------------------------------


def _train(checked: Checked) -> list[str]:
    given, metrics = settings(checked), checked.network.metrics
    measures = '{"loss": create_loss()' + (", **create_metrics()}" if metrics else "}")
    order = "torch.randperm(kept)" if given.shuffle else "torch.arange(kept)"
    batch = "inputs[rows]"
    if len(checked.network.inputs) > 1:
        batch = "{name: x[rows] for name, x in inputs.items()}"
    decay = schedule(checked) is not None
    return [
        f"def train(model, inputs, targets, epochs={given.epochs}, "
        f"batch_size={given.batch_size}, validation_split={given.validation_split!r}):",
        '    """Train, printing each epoch; return {name: [value of each epoch]}."""',
        f"    measures = {measures}",
        "    optimizer, history = create_optimizer(model), {}",
        *(["    schedule = create_schedule(optimizer)"] if decay else []),
        "    kept = int(len(targets) * (1 - validation_split))",
        "    for epoch in range(1, epochs + 1):",
        f'        parts = {{"": {order}, "val_": torch.arange(kept, len(targets))}}',
        '        for prefix in ("", "val_") if kept < len(targets) else ("",):',
        "            part = parts[prefix]",
        '            model.train(prefix == "")',
        "            totals = dict.fromkeys(measures, 0.0)",
        "            for rows in part.split(batch_size):",
        "                with torch.set_grad_enabled(model.training):",
        f"                    outputs = model({batch})",
        "                values = {k: f(outputs, targets[rows]) "
        "for k, f in measures.items()}",
        *_update(checked),
        "                for name, value in values.items():",
        "                    totals[name] += value.item() * len(rows) / len(part)",
        "            for name, total in totals.items():",
        "                history.setdefault(prefix + name, []).append(total)",
        '        shown = ", ".join(f"{k} {v[-1]:.4f}" for k, v in history.items())',
        '        print(f"epoch {epoch}/{epochs}: {shown}")',
        *_early_stopping(given.early_stopping_patience),
        "    model.eval()",
        "    return history",
    ]


def _update(checked: Checked) -> list[str]:
    indent = " " * 20
    lines = ["                if model.training:", f"{indent}optimizer.zero_grad()"]
    lines.append(f'{indent}values["loss"].backward()')
    clip = settings(checked).gradient_clip
    if clip is not None:
        lines.append(f"{indent}nn.utils.clip_grad_norm_(model.parameters(), {clip!r})")
    lines.append(f"{indent}optimizer.step()")
    if schedule(checked) is not None:
        lines.append(f"{indent}schedule.step()")
    return lines


def _early_stopping(patience: int | None) -> list[str]:
    if patience is None:
        return []
    return [
        '        losses = history["val_loss" if validation_split else "loss"]',
        "        waited = len(losses) - 1 - losses.index(min(losses))",
        f"        if waited >= {patience}:",
        "            break",
    ]
