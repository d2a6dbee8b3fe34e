"""Keras runtime: Keras' recurrent layers, their weights in files as PyTorch's."""

import numpy as np
from keras import layers, ops
from neural_attn.backends.emit.runtime.application import remember


class Recurrence(layers.RNN):
    """Makes a recurrent layer of Keras take a mask [batch, 1, 1, time].

    Hidden steps keep the state, and give 0. `order` says which of PyTorch's gates
    each gate of Keras is.
    """

    def __init__(self, units, return_sequences=False, return_state=False, **options):
        super().__init__(
            units,
            return_sequences=return_sequences,
            return_state=True,
            zero_output_for_mask=return_sequences,
            **options,
        )
        self.gives_states = return_state
        options.update(return_sequences=return_sequences, return_state=return_state)
        self.options = {"units": units, **options}

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Turn [batch, time, width] into [batch, time, units], or its last step.

        initial_state: the state before the first step [batch, 1, units], or several:
        hidden and cell. With return_state, the last ones follow the output.
        """
        mask = None if mask is None else mask[:, 0, 0, :]
        initial_state = starting(initial_state, sequences)
        output, *states = super().call(sequences, initial_state, mask, training)
        output = output if self.return_sequences else states[0]
        if not self.gives_states:
            return output
        return (output, *(state[:, None] for state in states))

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        """Return what `call` gives, as Keras asks before it has numbers."""
        output, *states = super().compute_output_shape(sequences_shape)
        if not self.gives_states:
            return output
        return (output, *((batch, 1, units) for batch, units in states))

    def compute_mask(self, inputs, previous_mask):
        """Return None: masks are handed on in the open, by the network's `call`."""

    def backwards(self):
        """Return a layer like this one that reads from the last step to the first."""
        return type(self)(**self.options, go_backwards=True)

    def named_weights(self, prefix, way=""):
        """Yield (name in PyTorch, variable, no axes to move) of all weights."""
        cell = self.cell
        pairs = [("weight_ih", cell.kernel, 0), ("weight_hh", cell.recurrent_kernel, 0)]
        if cell.use_bias:
            pairs += [("bias_ih", cell.bias, 0), ("bias_hh", cell.bias, 1)]
        for name, variable, row in pairs:
            gates = PyTorchGates(variable, self.order, row)
            yield f"{prefix}{name}_l0{way}", gates, ((), ())


class SimpleRNN(Recurrence, layers.SimpleRNN):
    """Recurrent network whose output is its state (Elman, 1990)."""

    order = (0,)


class LSTM(Recurrence, layers.LSTM):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    order = (0, 1, 2, 3)


class GRU(Recurrence, layers.GRU):
    """Gated recurrent unit (Cho et al., 2014)."""

    order = (1, 0, 2)


def starting(states, x):
    """Return states [1 or batch, 1, units] as [batch, units] for x, None as it is."""
    if states is None:
        return None
    states = states if isinstance(states, (list, tuple)) else [states]
    return [for_each(x, state)[:, 0] for state in states]


class Bidirectional(layers.Layer):
    """A recurrent layer, and one like it that reads from the last step to the first.

    merge_mode: "concat", "sum", "mul" or "ave".
    """

    def __init__(self, layer, merge_mode="concat", **options):
        super().__init__(**options)
        self.ahead, self.back = layer, layer.backwards()
        self.merge_mode = merge_mode
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask):
        """Return None: masks are handed on in the open, by the network's `call`."""

    def call(self, x, mask=None, initial_state=None):
        """Turn x [batch, time, width] into [batch, time, units], or its last step.

        initial_state: states [batch, 1, units], those of the way ahead and of the way
        back. With return_state, the last ones follow the output.
        """
        first, last = halves(initial_state)
        ahead = self.ahead(x, initial_state=first, mask=mask)
        back = self.back(x, initial_state=last, mask=mask)
        if not self.ahead.gives_states:
            return self.merged(ahead, back)
        (ahead, *states), (back, *states_back) = ahead, back
        return (self.merged(ahead, back), *states, *states_back)

    def merged(self, ahead, back):
        """Return the outputs of both ways as one, each step in its place."""
        if self.ahead.return_sequences:
            back = ops.flip(back, axis=1)
        if self.merge_mode == "concat":
            return ops.concatenate([ahead, back], axis=-1)
        if self.merge_mode == "mul":
            return ahead * back
        return (ahead + back) / (2 if self.merge_mode == "ave" else 1)

    def named_weights(self, prefix):
        """Yield (name in PyTorch, variable, no axes to move) of all weights."""
        yield from self.ahead.named_weights(prefix)
        yield from self.back.named_weights(prefix, "_reverse")


def halves(states):
    """Return the states of the way ahead, and those of the way back, each or None."""
    if states is None:
        return None, None
    count = len(states) // 2
    return states[:count], states[count:]


class PyTorchGates:
    """A variable of a recurrent layer, as PyTorch lays it out: gate by gate.

    Where Keras has one bias, PyTorch has two that are added: row 0 and row 1.
    """

    def __init__(self, variable, order, row):
        self.variable, self.order, self.row = variable, order, row

    def assign(self, value):
        """Set it from an array [gates * units, ...] of PyTorch."""
        blocks = np.split(np.asarray(value), len(self.order))
        value = np.concatenate([blocks[i] for i in self.order]).T
        before = ops.convert_to_numpy(self.variable)
        if value.ndim < before.ndim:  # two biases here as well
            value = np.stack([value if i == self.row else before[i] for i in (0, 1)])
        elif self.row == 1:
            value = before + value
        self.variable.assign(value)

    def __array__(self, dtype=None, copy=None):
        """Return it as an array [gates * units, ...] of PyTorch."""
        value = ops.convert_to_numpy(self.variable)
        if self.variable.path.endswith("bias"):
            value = np.stack([value, 0 * value]) if value.ndim == 1 else value
            value = value[self.row]
        blocks = np.split(value.T, len(self.order))
        value = np.concatenate(
            [blocks[self.order.index(i)] for i in range(len(blocks))]
        )
        return value.astype(dtype or value.dtype)


def scan(step, x, states, *others, **masks):
    """Call step(now, *states, *others) for each step [batch, 1, ...] of x in turn.

    It returns its output [batch, 1, ...], then the next states, or one tensor that is
    both. Returns all outputs [batch, time, ...], then the last states; attention that
    is kept becomes one map of all steps. Raises ValueError where there is no step.
    # only with masked_scan:
    mask=[batch, 1, 1, time]: hidden steps keep the states, and give 0.
    """
    if x.shape[1] == 0:
        raise ValueError("there is no step to scan")
    keepers = [
        m for m in step._flatten_layers() if getattr(m, "store_attention", False)
    ]
    count = len(states)
    # only with masked_scan:
    real = real_steps(step, x, masks.pop("mask", None))
    # only with Application:
    before = {layer: layer.applications for layer in keepers}

    def one(now, states):
        # only with masked_scan:
        *states, time = states
        found = step(now, *states, *others, **masks)
        found = found if isinstance(found, (tuple, list)) else (found, found)
        # only with masked_scan:
        is_real = ops.take_along_axis(real, time, axis=1)
        # only with masked_scan:
        found = (*where_real(is_real, found[0], found[1:], states), time + 1)
        maps = [m.attention_weights for m in keepers]
        return (*found, *maps, *(m.attention_mask for m in masked(keepers)))

    def body(carry, now):
        carry = one(ops.expand_dims(now, 1), carry[1 : 1 + count])
        return carry, carry  # TensorFlow wants outputs like what is carried along

    # only with KEEPS:
    states = getattr(step, "past", None) or states
    # only with masked_scan:
    states, count = (*states, ops.zeros((1, 1), "int32")), count + 1  # counts steps
    # The first step makes all weights, and shows the shapes of what is carried.
    first = one(x[:, :1], [for_each(x, state) for state in states])
    last, others_then = ops.scan(body, first, ops.swapaxes(x[:, 1:], 0, 1))
    whole = [
        ops.concatenate([a[None], b], axis=0)
        for a, b in zip(first, others_then, strict=True)
    ]
    maps = [ops.moveaxis(rows[..., 0, :], 0, -2) for rows in whole[1 + count :]]
    for layer, weights in zip(keepers, maps[: len(keepers)], strict=True):
        layer.attention_weights = weights
    for layer, seen in zip(masked(keepers), maps[len(keepers) :], strict=True):
        layer.attention_mask = seen
    # only with Application:
    for layer in keepers:
        layer.applications = before[layer]
        remember(layer)
    # only with masked_scan:
    count -= 1
    # only with KEEPS:
    if getattr(step, "keeps", False):
        step.past = tuple(last[1 : 1 + count])
    return (ops.swapaxes(whole[0][:, :, 0], 0, 1), *last[1 : 1 + count])


def masked(attentions):
    """Return the layers whose attention was under a mask."""
    return [m for m in attentions if m.attention_mask is not None]


def for_each(x, state):
    """Return a state [1 or batch, ...] for each example of x [batch, ...]."""
    blank = ops.sum(ops.zeros_like(x), axis=tuple(range(1, len(x.shape))))
    blank = ops.reshape(blank, (-1, *(1,) * len(state.shape[1:])))
    return state + ops.cast(blank, state.dtype)


def real_steps(step, x, mask):
    """Return which steps of x [batch, time, ...] a mask shows: all without one."""
    if mask is None:
        return ops.ones(ops.shape(x)[:2], "bool")
    # only with KEEPS:
    if getattr(step, "keeps", False):
        mask = mask[..., -ops.shape(x)[1] :]  # the steps before had their turn
    return ops.broadcast_to(mask[:, 0, 0], ops.shape(x)[:2])


def where_real(real, output, states, before):
    """Return what a step gave where it is real [batch]; else 0, and states before."""
    pairs = zip((output, *states), (ops.zeros_like(output), *before), strict=True)
    return [
        ops.where(ops.reshape(real, (-1, *(1,) * (len(a.shape) - 1))), a, b)
        for a, b in pairs
    ]


def fold_time(x):
    """Turn x [batch, time, ...] into [batch * time, ...]: each step alone."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def unfold_time(steps, like):
    """Turn steps [batch * time, ...] into [batch, time, ...], as `like` has them."""
    return ops.reshape(steps, (*ops.shape(like)[:2], *ops.shape(steps)[1:]))
