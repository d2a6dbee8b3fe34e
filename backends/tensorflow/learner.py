"""One network in training on TensorFlow: a step, a measurement, and its whole state."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from keras import ops

from neural_attn.shapes.instance import Checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IGNORED = -100  # the target of a step that does not count


class Learner:
    """What a generated module can train: see `backends.emit.base.Learner`."""

    def __init__(
        self, checked: Checked, module: ModuleType, model: Any, seed: int, device: str
    ) -> None:
        """Take a model with its weights; `device` is "auto" or one of TensorFlow's."""
        self.model = model
        self._device = None if device == "auto" else device
        self._shapes = {given.name: given.shape for given in checked.network.inputs}
        self._loss = module.create_loss()
        self._metrics: list[Any] = getattr(module, "create_metrics", list)()
        self._optimizer = module.create_optimizer()
        self._optimizer.build(model.trainable_variables)
        weights = {id(variable) for variable in model.weights}
        self._random = [v for v in model.variables if id(v) not in weights]
        for number, variable in enumerate(self._random):  # of dropout
            variable.assign(np.array([seed, number], variable.dtype))
        self._compiled: dict[str, Any] = {}

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(ops.convert_to_numpy(self._optimizer.learning_rate))

    def step(self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]) -> Any:
        """Learn from a batch; the loss before, which `float` reads."""
        return self._run(self._step, inputs, targets)

    def measure(
        self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]
    ) -> dict[str, float]:
        """The loss and the metrics of a batch, each the mean of what counts."""
        for metric in self._metrics:
            metric.reset_state()
        loss = self._run(self._measure, inputs, targets)
        values = {metric.name: float(metric.result()) for metric in self._metrics}
        return {"loss": float(loss), **values}

    def _step(self, inputs: Any, targets: Any, weights: Any) -> Any:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            loss = self._loss(targets, outputs, sample_weight=weights)
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _measure(self, inputs: Any, targets: Any, weights: Any) -> Any:
        outputs = self.model(inputs, training=False)
        for metric in self._metrics:
            metric.update_state(targets, outputs, sample_weight=weights)
        return self._loss(targets, outputs, sample_weight=weights)

    def _run(
        self, work: Any, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]
    ) -> Any:
        weights = None
        if targets.dtype.kind == "i":
            real = targets != _IGNORED
            # of mean 1, so that it does not matter what a loss divides by
            weights = (real * (real.size / max(real.sum(), 1))).astype(np.float32)
            targets = np.where(real, targets, 0)
        given = dict(inputs) if len(self._shapes) > 1 else next(iter(inputs.values()))
        name = work.__name__
        with tf.device(self._device):
            if name not in self._compiled:
                # lengths stay free, so that no batch is traced anew
                free = None if weights is None else [None] * weights.ndim
                specs = (
                    {n: self._spec(n, x) for n, x in inputs.items()},
                    tf.TensorSpec(free or [None, *targets.shape[1:]], targets.dtype),
                    None if free is None else tf.TensorSpec(free, tf.float32),
                )
                first = (
                    specs[0] if len(self._shapes) > 1 else next(iter(specs[0].values()))
                )
                self._compiled[name] = tf.function(
                    work, input_signature=[first, *specs[1:]]
                )
            return self._compiled[name](given, targets, weights)

    def _spec(self, name: str, array: NDArray[Any]) -> Any:
        return tf.TensorSpec([None, *self._shapes[name]], array.dtype)

    def _variables(self) -> dict[str, Any]:
        groups = {
            "weights": self.model.weights,
            "optimizer": self._optimizer.variables,
            "random": self._random,
        }
        return {
            f"{n}.{i}": v for n, group in groups.items() for i, v in enumerate(group)
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on, by name."""
        found = self._variables().items()
        return {name: np.array(ops.convert_to_numpy(v)) for name, v in found}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to what `state` gave. Raises KeyError or ValueError elsewhere."""
        for name, variable in self._variables().items():
            variable.assign(state[name])
