"""Keras runtime: training.

A generated file has its own `create_…`, and its own code where a constant stands. The
constants that are True only say which statements it has.
"""

import keras
import numpy as np

EPOCHS, BATCH_SIZE, VALIDATION_SPLIT = 10, 32, 0.0
PATIENCE = 3  # epochs without a better loss
PADDED = np.ones(())  # ids of the steps that the targets are about
METRICS = True  # beside the loss
IN_ORDER = True  # examples are not shuffled


def create_loss():
    """Return the mean loss of (targets, outputs)."""
    return keras.losses.MeanSquaredError()


def create_metrics():
    """Return new metrics."""
    return []


def create_optimizer():
    """Return a new optimizer."""
    return keras.optimizers.Adam()


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
    model.compile(create_optimizer(), create_loss())
    # only with METRICS:
    model.compile(create_optimizer(), create_loss(), weighted_metrics=create_metrics())
    options = {"batch_size": batch_size, "validation_split": validation_split}
    # only with IN_ORDER:
    options["shuffle"] = False
    # only with PADDED:
    options["sample_weight"] = np.not_equal(PADDED, 0)
    # only with PATIENCE:
    watched = "val_loss" if validation_split else "loss"
    # only with PATIENCE:
    options["callbacks"] = [keras.callbacks.EarlyStopping(watched, patience=PATIENCE)]
    return model.fit(inputs, targets, epochs=epochs, verbose=2, **options).history
