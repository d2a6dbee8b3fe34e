"""The NumPy backend: the reference that every other backend is compared with."""

from __future__ import annotations

from neural_attn.backends.emit.base import Backend
from neural_attn.backends.emit.usage import network_name
from neural_attn.backends.numpy.layers import LAYERS
from neural_attn.backends.numpy.training import cannot_train

from neural_attn.shapes.instance import Checked


def _create(checked: Checked) -> list[str]:
    name = network_name(checked, BACKEND.runtime)
    return [
        'def create_model(dtype="float32", seed=0):',
        '    """Return the network with random weights."""',
        f"    return {name}().initialize(seed).astype(dtype)",
    ]


BACKEND = Backend(
    name="numpy",
    requires=("numpy",),
    install="pip install numpy",
    aliases=("np",),
    rank=3,
    runtime="neural_attn.backends.numpy.runtime",
    layer_base="Layer",
    forward="forward",
    list_of_layers="[{made}]",
    layers=LAYERS,
    functions={
        "sqrt": "np.sqrt({0})",
        "exp": "np.exp({0})",
        "log": "np.log({0})",
        "sin": "np.sin({0})",
        "cos": "np.cos({0})",
        "tanh": "np.tanh({0})",
        "abs": "np.abs({0})",
        "floor": "np.floor({0})",
        "sum": "{0}.sum(axis={1}, keepdims=True)",
        "mean": "{0}.mean(axis={1}, keepdims=True)",
        "max": "{0}.max(axis={1}, keepdims=True)",
        "min": "{0}.min(axis={1}, keepdims=True)",
        "cumsum": "np.cumsum({0}, axis={1})",
        "minimum": "np.minimum({0}, {1})",
        "maximum": "np.maximum({0}, {1})",
        "cast": "{0}.astype({1}.dtype)",
        "single": "np.asarray({0}, np.result_type({0}, np.float32))",
        "where": "np.where({0}, {1}, {2})",
        "transpose": "{0}.swapaxes(-2, -1)",
        "reshape": "{0}.reshape(*{1})",
        "reshape with lengths": "reshape_steps({0}, *{1})",
        "arange": "np.arange({0}, dtype={1}.dtype)",
        "position_ids": "np.arange({0}.shape[1])",
        "length": "{0}.shape[1]",
        "width": "{0}.shape[-1]",
        "padding_mask": "({0} != 0)[:, None, None, :]",
        "stack": "np.stack({0}, axis=-1)",
        "concatenate": "np.concatenate({0}, axis={1})",
        "repeat": "np.repeat({0}, {1}.shape[{2}], axis={2})",
        "positions": "np.arange({0}.shape[1])[None]",
        "zeros": "np.zeros({0}, {1}.dtype)",
        "split": "np.split({0}, {1}, axis={2})",
    },
    activation=lambda name: name,
    create=_create,
    cannot=cannot_train,
)
