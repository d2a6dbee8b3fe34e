"""One epoch of a generated network on random data of the shapes that it declares."""

import importlib

import numpy as np

from tests.corpus import module_of, samples


def losses_of_an_epoch(checked, backend, batch=4, length=5):
    """The losses that the generated `train` returns for two batches."""
    module = module_of(checked, backend)
    inputs = samples(checked, "float32", batch, length)
    targets = targets_for(checked, batch, length)
    if backend == "pytorch":
        as_tensor = importlib.import_module("torch").as_tensor
        targets = as_tensor(targets)
        several = isinstance(inputs, dict)
        inputs = (
            {name: as_tensor(x) for name, x in inputs.items()}
            if several
            else as_tensor(inputs)
        )
    model = module.create_model()
    history = module.train(
        model, inputs, targets, epochs=1, batch_size=2, validation_split=0.0
    )
    return history["loss"]


def targets_for(checked, batch, length):
    """Random targets of the shape and kind that the loss of the network compares."""
    random = np.random.default_rng(4)
    output, loss = checked.root.output, checked.network.loss.name
    free = [length if dim.value is None else dim.value for dim in output.dims[1:]]
    shape = (batch, *free)
    ids = random.integers(0, shape[-1], shape[:-1])
    if loss == "sparse_categorical_crossentropy":
        return ids
    if loss == "categorical_crossentropy":
        return np.eye(shape[-1], dtype="float32")[ids]
    if "crossentropy" in loss:
        return random.integers(0, 2, shape).astype("float32")
    return random.random(shape, "float32")
