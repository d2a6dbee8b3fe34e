"""The NumPy backend: the reference that every other backend is compared with."""

from __future__ import annotations

from neural_attn.backends.base import Backend, Row, sloped
from neural_attn.backends.rows.numpy import ROWS
from neural_attn.backends.training import cannot_train
from neural_attn.backends.usage import network_class

from neural_attn.shapes.instance import Checked


def _create(checked: Checked) -> list[str]:
    name = network_class(checked, "numpy")
    return [
        'def create_model(dtype="float32", seed=0):',
        '    """Return the network with random weights."""',
        f"    return {name}().initialize(seed).astype(dtype)",
    ]


_DENSE = Row(
    "Dense({in_features}, {units}, use_bias={use_bias})",
    activates=True,
    omit=(", use_bias=True",),
)

BACKEND = Backend(
    name="numpy",
    requires=("numpy",),
    install="pip install numpy",
    runtime="numpy",
    layer_base="Layer",
    forward="forward",
    list_of_layers="[{made}]",
    layers={
        "Dense": _DENSE,
        "Output": _DENSE,
        "Activation": sloped(
            Row("", "{function}({x})"),
            leaky_relu=Row("", "leaky_relu({x}, {alpha})"),
            elu=Row("", "elu({x}, {alpha})"),
        ),
        "Dropout": Row("Dropout({rate})"),
        "Embedding": Row("Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
        "LayerNormalization": Row("LayerNormalization({in_features}, {epsilon})"),
        "GlobalAveragePooling1D": Row(
            "", "masked_mean({x}, {attention_mask})", unmasked="{x}.mean(axis=1)"
        ),
        "GlobalMaxPooling1D": Row(
            "", "masked_max({x}, {attention_mask})", unmasked="{x}.max(axis=1)"
        ),
        "Flatten": Row("", "flatten({x})"),
        "Reshape": Row("", "reshape({x}, {target_shape})"),
        "Add": Row("", "{x} + {residual}"),
        **ROWS,
    },
    functions={
        "sqrt": "np.sqrt({0})",
        "exp": "np.exp({0})",
        "log": "np.log({0})",
        "sin": "np.sin({0})",
        "cos": "np.cos({0})",
        "tanh": "np.tanh({0})",
        "abs": "np.abs({0})",
        "sum": "{0}.sum(axis=-1, keepdims=True)",
        "mean": "{0}.mean(axis=-1, keepdims=True)",
        "transpose": "{0}.swapaxes(-2, -1)",
        "reshape": "{0}.reshape{1}",
        "arange": "np.arange({0}, dtype={1}.dtype)",
        "position_ids": "np.arange({0}.shape[1])",
        "length": "{0}.shape[1]",
        "width": "{0}.shape[-1]",
        "padding_mask": "({0} != 0)[:, None, None, :]",
        "stack": "np.stack({0}, axis=-1)",
        "concatenate": "np.concatenate({0}, axis=-1)",
    },
    activation=lambda name: name,
    create=_create,
    cannot=cannot_train,
)
