"""PyTorch runtime: the training loop.

A generated file has its own `create_…`, and its own code where a constant stands. The
constants that are True only say which statements it has.
"""

import torch
import torch.nn.functional as F
from torch import nn

EPOCHS, BATCH_SIZE, VALIDATION_SPLIT = 10, 32, 0.0
ORDER = torch.randperm  # of the examples
MAX_NORM = 1.0  # of all gradients together
PATIENCE = 3  # epochs without a better loss
PADDED = torch.ones(())  # ids of the steps that the targets are about
METRICS = True  # beside the loss
SCHEDULE = True  # of the learning rate
LOGITS = True  # the loss is of `forward_logits`
SEVERAL_INPUTS = True


def create_loss():
    """Return the mean loss of (outputs, targets)."""
    return F.mse_loss


def create_metrics():
    """Return {name: function of (outputs, targets)}, the mean of a batch."""
    return {}


def create_optimizer(model):
    """Return a new optimizer for the weights of the model."""
    return torch.optim.Adam(model.parameters())


def create_schedule(optimizer):
    """Return the schedule of the learning rate, a step for each batch."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer)


def rows_of(inputs, rows, device):
    """Return some rows of a tensor, or of each in a mapping, on a device."""
    if isinstance(inputs, dict):
        return {name: x[rows].to(device) for name, x in inputs.items()}
    return inputs[rows].to(device)


def train(
    model,
    inputs,
    targets,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    validation_split=VALIDATION_SPLIT,
):
    """Train, printing each epoch; return {name: [value of each epoch]}."""
    # only without METRICS:
    measures = {"loss": create_loss()}
    # only with METRICS:
    measures = {"loss": create_loss(), **create_metrics()}
    optimizer, history = create_optimizer(model), {}
    # only with SCHEDULE:
    schedule = create_schedule(optimizer)
    device = next(model.parameters()).device
    size = int(len(targets) * (1 - validation_split))
    for epoch in range(1, epochs + 1):
        splits = {"": ORDER(size), "val_": torch.arange(size, len(targets))}
        for prefix in ("", "val_") if size < len(targets) else ("",):
            examples = splits[prefix]
            model.train(prefix == "")
            totals = dict.fromkeys(measures, 0.0)
            for rows in examples.split(batch_size):
                # only with SEVERAL_INPUTS:
                batch = rows_of(inputs, rows, device)
                # only without SEVERAL_INPUTS:
                batch = inputs[rows].to(device)
                expected = targets[rows].to(device)
                # only with PADDED:
                padding = PADDED == 0
                # only with PADDED:
                expected = expected.masked_fill(padding, -100)
                with torch.set_grad_enabled(model.training):
                    # only with LOGITS:
                    outputs = model.forward_logits(batch)
                    # only without LOGITS:
                    outputs = model(batch)
                values = {name: f(outputs, expected) for name, f in measures.items()}
                if model.training:
                    optimizer.zero_grad()
                    values["loss"].backward()
                    # only with MAX_NORM:
                    nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                    optimizer.step()
                    # only with SCHEDULE:
                    schedule.step()
                for name, value in values.items():
                    totals[name] += value.item() * len(rows) / len(examples)
            for name, total in totals.items():
                history.setdefault(prefix + name, []).append(total)
        report = ", ".join(f"{name} {v[-1]:.4f}" for name, v in history.items())
        print(f"epoch {epoch}/{epochs}: {report}")
        # only with PATIENCE:
        losses = history["val_loss" if validation_split else "loss"]
        # only with PATIENCE:
        if len(losses) - 1 - losses.index(min(losses)) >= PATIENCE:
            break
    model.eval()
    return history
