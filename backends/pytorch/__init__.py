"""The PyTorch backend: idiomatic nn.Module classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neural_attn.backends.emit.base import Backend, Learner
from neural_attn.backends.emit.training import doubts
from neural_attn.backends.emit.usage import network_name
from neural_attn.backends.pytorch.layers import LAYERS
from neural_attn.backends.pytorch.training import write_training

from neural_attn.shapes.instance import Checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACTIVATIONS = {
    "linear": "nn.Identity()",
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "exponential": "torch.exp",
    "swish": "F.silu",
    "gelu_tanh": "gelu_tanh",
    "gelu_sigmoid": "gelu_sigmoid",
    "leaky_relu": "leaky_relu",
    "softmax": "softmax",
}


def _create(checked: Checked) -> list[str]:
    name = network_name(checked, BACKEND.runtime)
    return [
        'def create_model(dtype="float32"):',
        '    """Return the network with random weights, in evaluation mode."""',
        f"    return {name}().to(getattr(torch, dtype)).eval()",
    ]


def _activation(name: str) -> str:
    return _ACTIVATIONS.get(name, f"F.{name}")


def _tensor(array: NDArray[Any]) -> Any:
    import numpy as np
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def _inference() -> Any:
    import torch

    return torch.inference_mode()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _learner(
    checked: Checked, module: ModuleType, model: Any, seed: int, device: str
) -> Learner:
    from neural_attn.backends.pytorch.learner import Learner

    return Learner(checked, module, model, seed, device)


BACKEND = Backend(
    name="pytorch",
    requires=("torch",),
    install="pip install torch",
    aliases=("torch",),
    rank=2,
    runtime="neural_attn.backends.pytorch.runtime",
    layer_base="nn.Module",
    forward="forward",
    list_of_layers="nn.ModuleList({made})",
    layers=LAYERS,
    functions={
        "sqrt": "torch.sqrt({0})",
        "exp": "torch.exp({0})",
        "log": "torch.log({0})",
        "sin": "torch.sin({0})",
        "cos": "torch.cos({0})",
        "tanh": "torch.tanh({0})",
        "abs": "torch.abs({0})",
        "floor": "torch.floor({0})",
        "relu": "F.relu({0})",
        "silu": "F.silu({0})",
        "sigmoid": "torch.sigmoid({0})",
        "softplus": "F.softplus({0})",
        "gelu": "F.gelu({0})",
        "gelu_tanh": 'F.gelu({0}, approximate="tanh")',
        "softmax": "F.softmax({0}, dim=-1)",
        "sum": "{0}.sum(dim={1}, keepdim=True)",
        "mean": "{0}.mean(dim={1}, keepdim=True)",
        "max": "{0}.amax(dim={1}, keepdim=True)",
        "min": "{0}.amin(dim={1}, keepdim=True)",
        "cumsum": "{0}.cumsum(dim={1})",
        "minimum": "{0}.clamp(max={1})",
        "maximum": "{0}.clamp(min={1})",
        "cast": "{0}.to({1}.dtype)",
        "single": "{0}.to(torch.promote_types({0}.dtype, torch.float32))",
        "where": "torch.where({0}, {1}, {2})",
        "transpose": "{0}.transpose(-2, -1)",
        "reshape": "{0}.reshape(*{1})",
        "reshape with lengths": "reshape_steps({0}, *{1})",
        "arange": "torch.arange({0}, dtype={1}.dtype, device={1}.device)",
        "position_ids": "torch.arange({0}.size(1), device={0}.device)",
        "length": "{0}.size(1)",
        "merge_heads": "{0}.transpose(1, 2).flatten(2)",
        "width": "{0}.shape[-1]",
        "padding_mask": "({0} != 0)[:, None, None, :]",
        "stack": "torch.stack({0}, dim=-1)",
        "concatenate": "torch.cat({0}, dim={1})",
        "repeat": "torch.repeat_interleave({0}, {1}.size({2}), dim={2})",
        "positions": "torch.arange({0}.size(1), device={0}.device)[None]",
        "zeros": "torch.zeros({0}, dtype={1}.dtype, device={1}.device)",
        "split": "{0}.chunk({1}, dim={2})",
        "split by sizes": "{0}.split({1}, dim={2})",
    },
    activation=_activation,
    applied={
        "softmax": "F.softmax({x}, dim=-1)",
        "gelu_tanh": 'F.gelu({x}, approximate="tanh")',
        "leaky_relu": "F.leaky_relu({x}, 0.2)",
    },
    create=_create,
    trains_on_logits=True,
    tensor=_tensor,
    array=lambda tensor: tensor.detach().cpu().numpy(),
    inference=_inference,
    seeded=_seeded,
    training=write_training,
    cannot=doubts,
    learner=_learner,
)
