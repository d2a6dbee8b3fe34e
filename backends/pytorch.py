"""The PyTorch backend: idiomatic nn.Module classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from neural_attn.backends.base import Backend, Row, sloped
from neural_attn.backends.rows.pytorch import ROWS
from neural_attn.backends.training import doubts
from neural_attn.backends.training_pytorch import write_training
from neural_attn.backends.usage import network_class
from numpy.typing import NDArray

from neural_attn.shapes.instance import Checked

_ACTIVATIONS = {
    "linear": "nn.Identity()",
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "exponential": "torch.exp",
    "swish": "F.silu",
    "gelu_tanh": "gelu_tanh",
    "leaky_relu": "leaky_relu",
    "softmax": "softmax",
}


def _create(checked: Checked) -> list[str]:
    name = network_class(checked, "pytorch")
    return [
        'def create_model(dtype="float32"):',
        '    """Return the network with random weights, in evaluation mode."""',
        f"    return {name}().to(getattr(torch, dtype)).eval()",
    ]


def _activation(name: str) -> str:
    return _ACTIVATIONS.get(name, f"F.{name}")


def _tensor(array: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def _inference() -> Any:
    import torch

    return torch.inference_mode()


_LINEAR = Row(
    "nn.Linear({in_features}, {units}, bias={use_bias})",
    activates=True,
    omit=(", bias=True",),
)

BACKEND = Backend(
    name="pytorch",
    requires=("torch",),
    install="pip install torch",
    runtime="pytorch",
    layer_base="nn.Module",
    forward="forward",
    list_of_layers="nn.ModuleList({made})",
    layers={
        "Dense": _LINEAR,
        "Output": _LINEAR,
        "Activation": sloped(
            Row("", "{function}({x})"),
            leaky_relu=Row("", "F.leaky_relu({x}, {alpha})"),
            elu=Row("", "F.elu({x}, {alpha})"),
        ),
        "Dropout": Row("nn.Dropout({rate})"),
        "Embedding": Row("nn.Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
        "LayerNormalization": Row("nn.LayerNorm({in_features}, eps={epsilon})"),
        "GlobalAveragePooling1D": Row(
            "", "masked_mean({x}, {attention_mask})", unmasked="{x}.mean(dim=1)"
        ),
        "GlobalMaxPooling1D": Row(
            "", "masked_max({x}, {attention_mask})", unmasked="{x}.amax(dim=1)"
        ),
        "Flatten": Row("", "torch.flatten({x}, 1)"),
        "Reshape": Row("", "{x}.flatten(1).unflatten(1, {target_shape})"),
        "Add": Row("", "{x} + {residual}"),
        **ROWS,
    },
    functions={
        "sqrt": "torch.sqrt({0})",
        "exp": "torch.exp({0})",
        "log": "torch.log({0})",
        "sin": "torch.sin({0})",
        "cos": "torch.cos({0})",
        "tanh": "torch.tanh({0})",
        "abs": "torch.abs({0})",
        "sum": "{0}.sum(dim=-1, keepdim=True)",
        "mean": "{0}.mean(dim=-1, keepdim=True)",
        "transpose": "{0}.transpose(-2, -1)",
        "reshape": "{0}.reshape{1}",
        "arange": "torch.arange({0}, dtype={1}.dtype, device={1}.device)",
        "position_ids": "torch.arange({0}.size(1), device={0}.device)",
        "length": "{0}.size(1)",
        "merge_heads": "{0}.transpose(1, 2).flatten(2)",
        "width": "{0}.shape[-1]",
        "padding_mask": "({0} != 0)[:, None, None, :]",
        "stack": "torch.stack({0}, dim=-1)",
        "concatenate": "torch.cat({0}, dim=-1)",
    },
    activation=_activation,
    applied={
        "softmax": "F.softmax({x}, dim=-1)",
        "gelu_tanh": 'F.gelu({x}, approximate="tanh")',
        "leaky_relu": "F.leaky_relu({x}, 0.2)",
    },
    create=_create,
    tensor=_tensor,
    array=lambda tensor: tensor.detach().cpu().numpy(),
    inference=_inference,
    training=write_training,
    cannot=doubts,
)
