"""One network in training on PyTorch: a step, a measurement, and its whole state."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from neural_attn.backends.emit.training import settings
from torch import nn

from neural_attn.shapes.instance import Checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IGNORED = -100  # the target of a step that does not count, as PyTorch has it


class Learner:
    """What a generated module can train: see `backends.emit.base.Learner`."""

    def __init__(
        self, checked: Checked, module: ModuleType, model: Any, seed: int, device: str
    ) -> None:
        """Take a model with its weights; `device` is "auto" or one of PyTorch's."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(seed)
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self._names = [given.name for given in checked.network.inputs]
        self._forward = getattr(model, "forward_logits", model)
        self._clip = settings(checked).gradient_clip
        self._loss = module.create_loss()
        self._metrics: dict[str, Any] = getattr(module, "create_metrics", dict)()
        self._optimizer = module.create_optimizer(model)
        create = getattr(module, "create_schedule", None)
        self._schedule = create(self._optimizer) if create else None

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]) -> Any:
        """Learn from a batch; the loss before, which `float` reads."""
        self.model.train()
        loss = self._loss(self._outputs(inputs), self._tensor(targets))
        self._optimizer.zero_grad()
        loss.backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        self._optimizer.step()
        if self._schedule is not None:
            self._schedule.step()
        return loss.detach()

    def measure(
        self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]
    ) -> dict[str, float]:
        """The loss and the metrics of a batch, each the mean of what counts."""
        self.model.eval()
        with torch.no_grad():
            outputs, answers = self._outputs(inputs), self._tensor(targets)
            values = {"loss": float(self._loss(outputs, answers))}
            if not answers.is_floating_point():
                real = answers != _IGNORED
                outputs, answers = outputs[real], answers[real]
            for name, function in self._metrics.items():
                values[name] = float(function(outputs, answers))
        return values

    def _outputs(self, inputs: Mapping[str, NDArray[Any]]) -> Any:
        given = {name: self._tensor(array) for name, array in inputs.items()}
        return self._forward(given if len(self._names) > 1 else given[self._names[0]])

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on, by name."""
        found = {f"weights.{n}": x for n, x in self.model.state_dict().items()}
        for number, values in self._optimizer.state_dict()["state"].items():
            for name, value in values.items():
                if torch.is_tensor(value):
                    found[f"optimizer.{number}.{name}"] = value
        found["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            found["random.cuda"] = torch.cuda.get_rng_state(self.device)
        arrays = {name: x.detach().cpu().numpy().copy() for name, x in found.items()}
        done = 0 if self._schedule is None else self._schedule.last_epoch
        return {**arrays, "schedule": np.array(done, np.int64)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to what `state` gave. Raises KeyError or RuntimeError elsewhere."""
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        own = [n for n in tensors if n.startswith("weights.")]
        self.model.load_state_dict(
            {n.removeprefix("weights."): tensors[n] for n in own}
        )
        kept: dict[int, dict[str, torch.Tensor]] = {}
        for name in tensors:
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                kept.setdefault(int(number), {})[key] = tensors[name]
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": kept, "param_groups": groups})
        if self._schedule is not None:
            self._schedule.last_epoch = int(state["schedule"])
            rates = zip(
                self._optimizer.param_groups,
                self._schedule.base_lrs,
                self._schedule.lr_lambdas,
                strict=True,
            )
            for group, rate, factor in rates:
                group["lr"] = rate * factor(self._schedule.last_epoch)
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
