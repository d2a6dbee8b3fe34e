"""Keras runtime: the code that generated Keras 3 models share."""

import contextlib
import math
import os

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file


class AttentionLayer(keras.layers.Layer):
    """Base of the attention layers: attends, and keeps its weights when asked to.

    With `store_attention` set, each call leaves `attention_weights`
    [batch, heads, queries, keys] and `attention_mask` (True: visible) behind.
    """

    def __init__(self):
        super().__init__()
        self.store_attention = False
        self.attention_weights = None
        self.attention_mask = None

    def set_store_attention(self, flag):
        """Keep the weights of each later call, or drop them."""
        self.store_attention = flag
        if not flag:
            self.attention_weights = self.attention_mask = None

    def attend(
        self,
        query,
        key,
        value,
        mask=None,
        *,
        causal=False,
        dropout=None,
        training=None,
    ):
        """Return softmax(query key^T / sqrt(size)) value, in the shape of `query`.

        query, key, value: [batch, heads, time, size]. mask: boolean, broadcastable
        to [batch, heads, queries, keys], True where a key may be attended.
        """
        # The fused operation has no dropout.
        dropping = training and dropout is not None and dropout.rate > 0
        if not self.store_attention and not dropping:
            return fused_attention(query, key, value, mask, causal)
        logits = ops.matmul(query, ops.swapaxes(key, -2, -1))
        logits = logits / math.sqrt(query.shape[-1])
        weights = self.attention_softmax(logits, mask, causal=causal)
        if dropout is not None:
            weights = dropout(weights, training=training)
        return ops.matmul(ops.cast(weights, value.dtype), value)

    def attention_softmax(self, logits, mask=None, *, causal=False):
        """Return the weights of `logits`, both [batch, heads, queries, keys].

        Rows sum to 1 over their visible keys; hidden keys have weight 0.
        """
        queries, keys = ops.shape(logits)[-2:]
        mask = visible_keys(queries, keys, mask, causal)
        weights = masked_softmax(logits, mask)
        if self.store_attention:
            self.attention_weights = weights
            self.attention_mask = mask
        return weights


def fused_attention(query, key, value, mask=None, causal=False):
    """Attend with the fused operation of Keras; never holds queries x keys weights."""
    queries, keys = ops.shape(query)[2], ops.shape(key)[2]
    if keras.backend.backend() == "tensorflow" and isinstance(queries, int):
        # TensorFlow has no fused kernel: some queries at a time keep the weights few.
        blocks = []
        for first in range(0, queries, 256):
            rows = slice(first, first + 256)
            visible = visible_keys(queries, keys, mask, causal, rows)
            blocks.append(dot_product_attention(query[:, :, rows], key, value, visible))
        return ops.concatenate(blocks, axis=2)
    # The operation's own causal mask fits only equal lengths and no other mask; in
    # the remaining causal cases one boolean mask says both.
    equal = query.shape[2] is not None and query.shape[2] == key.shape[2]
    fused_causal = causal and mask is None and equal
    mask = visible_keys(queries, keys, mask, causal and not fused_causal)
    return dot_product_attention(query, key, value, mask, fused_causal)


def dot_product_attention(query, key, value, mask=None, is_causal=False):
    """Call Keras' own, which wants [batch, time, heads, size], and mend two things."""
    context = ops.dot_product_attention(
        # TensorFlow rounds the `scale` argument to float32: scale here instead.
        ops.swapaxes(query, 1, 2) / math.sqrt(query.shape[-1]),
        ops.swapaxes(key, 1, 2),
        ops.swapaxes(value, 1, 2),
        mask=mask,
        scale=1.0,
        is_causal=is_causal,
    )
    context = ops.swapaxes(context, 1, 2)
    if mask is None:
        return context
    # It averages all values where no key is visible.
    return ops.where(ops.any(mask, axis=-1, keepdims=True), context, 0.0)


def visible_keys(queries, keys, mask=None, causal=False, rows=slice(None)):
    """Return `mask` for these rows; with `causal` also hide each query's future keys.

    The last query sees the last key: query i sees keys 0 to keys - queries + i.
    """
    if mask is not None and mask.shape[-2] != 1:
        mask = mask[..., rows, :]
    if not causal:
        return mask
    past = ops.arange(keys) <= ops.arange(queries)[rows, None] + (keys - queries)
    return past if mask is None else ops.logical_and(past, mask)


def masked_softmax(logits, mask=None):
    """Softmax over the last axis; 0 where `mask` is False, and in all-False rows.

    At least in float32, whatever the dtype of `logits`.
    """
    logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
    if mask is None:
        return ops.softmax(logits, axis=-1)
    # A finite stand-in for -inf keeps all-False rows, and their gradients, from NaN.
    weights = ops.softmax(ops.where(mask, logits, -1e30), axis=-1)
    return ops.where(mask, weights, 0.0)


class Network(keras.Model):
    """A whole model: names its attention layers, and loads and saves its weights."""

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {}

    def set_store_attention(self, flag):
        """Keep the weights on each attention layer from now on, or drop them."""
        for layer in self.attention_layers().values():
            layer.set_store_attention(flag)

    def run_with_attention(self, inputs):
        """Return (output, {name: weights [batch, heads, queries, keys]})."""
        layers = self.attention_layers()
        before = {name: layer.store_attention for name, layer in layers.items()}
        self.set_store_attention(True)
        try:
            output = self(inputs)
            attention = {
                name: layer.attention_weights for name, layer in layers.items()
            }
        finally:
            for name, layer in layers.items():
                layer.set_store_attention(before[name])
        return output, attention

    def load_weights(self, path):
        """Load a safetensors file; raise ValueError if a name or a shape differs."""
        tensors = load_file(path)
        weights = self.named_weights()
        expected = {name: to_torch_layout(x) for name, x in weights.items()}
        check_weights(path, tensors, expected)
        for name, variable in weights.items():
            variable.assign(from_torch_layout(variable, tensors[name]))

    def save_weights(self, path):
        """Write all weights to a safetensors file, in one step."""
        weights = self.named_weights()
        tensors = {name: to_torch_layout(x) for name, x in weights.items()}
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)

    def named_weights(self):
        """Return {name: variable}, under the names PyTorch gives to the weights."""
        if not self.built:
            raise ValueError("The model has no weights yet: call it once before.")
        return dict(named_variables(self))

    def get_config(self):
        """Return the arguments of the constructor: none."""
        return {}


# The name of a variable in Keras, and in PyTorch.
TORCH_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "embeddings": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def named_variables(layer, prefix=""):
    """Yield (name, variable) under the names that PyTorch gives to the weights."""
    layers = dict(named_sublayers(layer))
    inner = {id(weight) for each in layers.values() for weight in each.weights}
    for variable in layer.weights:
        if id(variable) not in inner:
            yield prefix + TORCH_NAMES.get(variable.name, variable.name), variable
    for name, each in layers.items():
        yield from named_variables(each, f"{prefix}{name}.")


def named_sublayers(layer):
    """Yield (name, layer) of the attributes that are layers, or lists of layers."""
    attributes = vars(layer)
    attributes = {**attributes, **attributes.get("_modules", {})}  # Keras on PyTorch
    for name, value in attributes.items():
        named = {name: value}
        if isinstance(value, list):
            named = {f"{name}.{i}": item for i, item in enumerate(value)}
        for each, item in named.items():
            if isinstance(item, keras.layers.Layer) and not each.startswith("_"):
                yield each, item


def to_torch_layout(variable):
    """Return a variable's values, a kernel [..., in, out] as [out, in, ...]."""
    values = ops.convert_to_numpy(variable)
    if variable.name == "kernel":
        values = np.moveaxis(values, (-1, -2), (0, 1))
    return np.ascontiguousarray(values)


def from_torch_layout(variable, values):
    """Return values [out, in, ...] in the layout of `variable`."""
    if variable.name == "kernel":
        values = np.moveaxis(values, (0, 1), (-1, -2))
    return values


def check_weights(path, found, expected):
    """Raise ValueError at the first tensor that differs in name or shape.

    found, expected: {name: array}, of the file and of the model.
    """
    for name in [*expected, *found]:
        given, needed = (
            tuple(arrays[name].shape) if name in arrays else "missing"
            for arrays in (found, expected)
        )
        if given != needed:
            raise ValueError(
                f"{path}: tensor {name!r} is {given} in the file, {needed} in the model"
            )


@contextlib.contextmanager
def with_dtype(dtype):
    """Make the layers built inside the `with` block compute in `dtype`.

    Keras computes in float64 on TensorFlow only.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    size = x.shape[-1] // num_heads
    x = ops.reshape(x, (-1, ops.shape(x)[1], num_heads, size))
    return ops.swapaxes(x, 1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    width = x.shape[1] * x.shape[3]
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, ops.shape(x)[2], width))


def padding_mask(values):
    """Turn ids or 0/1 [batch, keys] into a mask [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return ops.not_equal(values, 0)[:, None, None, :]


def masked_mean(x, mask=None):
    """Mean over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time].

    0 where nothing is visible.
    """
    if mask is None:
        return ops.mean(x, axis=1)
    mask = mask[:, 0, 0, :, None]
    total = ops.sum(ops.where(mask, x, 0.0), axis=1)
    return total / ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=1), 1.0)


def masked_max(x, mask=None):
    """Maximum over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time].

    0 where nothing is visible.
    """
    if mask is None:
        return ops.max(x, axis=1)
    mask = mask[:, 0, 0, :, None]
    top = ops.max(ops.where(mask, x, -math.inf), axis=1)
    return ops.where(ops.any(mask, axis=1), top, 0.0)


def position_ids(x):
    """Return [0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return ops.arange(ops.shape(x)[1], dtype="int64")


def arange(n, like):
    """Return [0, 1, ..., n - 1] in the dtype of `like`."""
    return ops.cast(ops.arange(n), like.dtype)


def length(x):
    """Return the number of time steps of x [batch, time, ...]."""
    return ops.shape(x)[1]


# TensorFlow rounds the constants of its own GELU and leaky ReLU to float32.
def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def leaky_relu(x):
    """Leaky ReLU: x where positive, 0.2 x elsewhere."""
    return ops.maximum(x, 0.2 * x)
