"""Keras runtime: training.

A generated file has its own `create_…`, and its own code where a constant stands. The
constants that are True only say which statements it has.
"""

import keras
import numpy as np
from keras import ops

EPOCHS, BATCH_SIZE, VALIDATION_SPLIT = 10, 32, 0.0
PATIENCE = 3  # epochs without a better loss
PADDED = np.ones(())  # ids of the steps that the targets are about
METRICS = True  # beside the loss
IN_ORDER = True  # examples are not shuffled


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with class ids, of which all others get a share as well.

    Szegedy et al. (2016), section 7: the id itself 1 - label_smoothing, all ids alike
    the rest.
    """

    def __init__(self, label_smoothing=0.1, from_logits=False, **options):
        super().__init__(**options)
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        """Return the loss of each target [...], for outputs [..., classes]."""
        if self.from_logits:
            log_shares = ops.log_softmax(y_pred)
        else:
            log_shares = ops.log(ops.clip(y_pred, 1e-7, 1 - 1e-7))
        ids = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        right = ops.squeeze(ops.take_along_axis(log_shares, ids, axis=-1), -1)
        rest = self.label_smoothing * ops.mean(log_shares, axis=-1)
        return -(1 - self.label_smoothing) * right - rest


class Noam(keras.optimizers.schedules.LearningRateSchedule):
    """Grows for `warmup_steps`, then falls as 1 / sqrt(step).

    Vaswani et al. (2017), section 5.3.
    """

    def __init__(self, d_model, warmup_steps=4000, scale=1.0):
        super().__init__()
        self.options = {"d_model": d_model, "warmup_steps": warmup_steps}
        self.options["scale"] = scale

    def __call__(self, step):
        """Return the rate of the batch after `step` others."""
        step = ops.cast(step, "float32") + 1
        slope = ops.minimum(step**-0.5, step * self.options["warmup_steps"] ** -1.5)
        return self.options["scale"] * self.options["d_model"] ** -0.5 * slope

    def get_config(self):
        """Return what makes another of the same."""
        return self.options


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
