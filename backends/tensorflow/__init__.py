"""The TensorFlow backend: idiomatic Keras 3, so it also runs on JAX."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neural_attn.backends.emit.base import Backend, Learner
from neural_attn.backends.emit.layout import string
from neural_attn.backends.emit.training import doubts
from neural_attn.backends.emit.usage import network_name
from neural_attn.backends.tensorflow.layers import LAYERS
from neural_attn.backends.tensorflow.training import write_training

from neural_attn.shapes.instance import Checked

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _create(checked: Checked) -> list[str]:
    name, inputs = network_name(checked, BACKEND.runtime), checked.network.inputs
    shapes = {given.name: (None, *given.shape) for given in inputs}
    listed = ", ".join(f"{string(key)}: {shape}" for key, shape in shapes.items())
    shape = str(*shapes.values()) if len(shapes) == 1 else f"{{{listed}}}"
    return [
        'def create_model(dtype="float32"):',
        '    """Return the network with random weights."""',
        f"    model = {name}(dtype=dtype)",
        f"    model.build({shape})",
        "    return model",
    ]


def _start() -> None:
    """Import TensorFlow without its start-up chatter.

    Its C++ code writes to stderr past Python; what it wrote is shown only where the
    import fails.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import_module("keras")
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def _make(module: ModuleType, dtype: str) -> Any:
    """The network, its weights made by a call on zeros, three times as fast as symbols.

    Sizes that are free are 2. Where that is too few, for a pooling or an author's
    reshape, the network is built as its file says.
    """
    from keras import Layer, ops, tree
    from tensorflow.errors import OpError

    def zeros(shape: tuple[int | None, ...]) -> Any:
        return ops.zeros((1, *(size or 2 for size in shape[1:])))

    def build(self: Any, input_shape: Any) -> None:
        for layer in self._flatten_layers(include_self=False):
            layer.built |= type(layer).build is Layer.build
        self.call(tree.map_shape_structure(zeros, input_shape))

    network = module.Network
    by_symbols, network.build = network.build, build
    try:
        return module.create_model(dtype=dtype)
    except (ValueError, OpError):
        pass
    finally:
        network.build = by_symbols
    return module.create_model(dtype=dtype)


def _array(tensor: Any) -> NDArray[Any]:
    from keras import ops

    array: NDArray[Any] = ops.convert_to_numpy(tensor)
    return array


def _activation(name: str) -> str:
    # Those that the runtime has itself: Keras' own are off by 5e-9 in float64.
    own = ("gelu", "gelu_tanh", "gelu_sigmoid", "leaky_relu")
    return name if name in own else string(name)


def _learner(
    checked: Checked, module: ModuleType, model: Any, seed: int, device: str
) -> Learner:
    from neural_attn.backends.tensorflow.learner import Learner

    return Learner(checked, module, model, seed, device)


BACKEND = Backend(
    name="tensorflow",
    requires=("keras", "tensorflow"),
    install="pip install tensorflow",
    aliases=("tf", "keras"),
    rank=1,
    runtime="neural_attn.backends.tensorflow.runtime",
    layer_base="layers.Layer",
    forward="call",
    list_of_layers="[{made}]",
    layers=LAYERS,
    functions={
        "sqrt": "ops.sqrt({0})",
        "exp": "ops.exp({0})",
        "log": "ops.log({0})",
        "sin": "ops.sin({0})",
        "cos": "ops.cos({0})",
        "tanh": "ops.tanh({0})",
        "abs": "ops.abs({0})",
        "floor": "ops.floor({0})",
        "relu": "ops.relu({0})",
        "silu": "ops.silu({0})",
        "sigmoid": "ops.sigmoid({0})",
        "softplus": "ops.softplus({0})",
        "softmax": "ops.softmax({0})",
        "sum": "ops.sum({0}, axis={1}, keepdims=True)",
        "mean": "ops.mean({0}, axis={1}, keepdims=True)",
        "max": "ops.max({0}, axis={1}, keepdims=True)",
        "min": "ops.min({0}, axis={1}, keepdims=True)",
        "cumsum": "ops.cumsum({0}, axis={1})",
        "minimum": "ops.minimum({0}, {1})",
        "maximum": "ops.maximum({0}, {1})",
        "cast": "ops.cast({0}, {1}.dtype)",
        "single": 'ops.cast({0}, keras.backend.result_type({0}.dtype, "float32"))',
        "where": "ops.where({0}, {1}, {2})",
        "transpose": "ops.swapaxes({0}, -2, -1)",
        "reshape": "ops.reshape({0}, {1})",
        "arange": "ops.cast(ops.arange({0}), {1}.dtype)",
        "position_ids": "ops.arange(ops.shape({0})[1])",
        "length": "ops.shape({0})[1]",
        "merge_heads": "ops.concatenate(ops.unstack({0}, axis=1), -1)",
        "width": "{0}.shape[-1]",
        "padding_mask": "ops.not_equal({0}, 0)[:, None, None, :]",
        "stack": "ops.stack({0}, axis=-1)",
        "concatenate": "ops.concatenate({0}, axis={1})",
        "repeat": "ops.repeat({0}, ops.shape({1})[{2}], axis={2})",
        "positions": 'ops.arange(ops.shape({0})[1], dtype="int64")[None]',
        "zeros": "ops.zeros({0}, dtype={1}.dtype)",
        "split": "ops.split({0}, {1}, axis={2})",
        # of a section, Keras would not know that it is one step
        "end of an axis": "ops.take({0}, [{1}], axis={2})",
    },
    of_ids={
        "+": "ops.add({0}, {1})",
        "-": "ops.subtract({0}, {1})",
        "*": "ops.multiply({0}, {1})",
        "==": "ops.equal({0}, {1})",
        "!=": "ops.not_equal({0}, {1})",
        "<": "ops.less({0}, {1})",
        "<=": "ops.less_equal({0}, {1})",
        ">": "ops.greater({0}, {1})",
        ">=": "ops.greater_equal({0}, {1})",
    },
    activation=_activation,
    create=_create,
    start=_start,
    make=_make,
    array=_array,
    passes_training=True,
    decorator="@keras.saving.register_keras_serializable({name})",
    options="**options",
    shared="dtype",
    training=write_training,
    cannot=doubts,
    learner=_learner,
)
