"""NumPy runtime: recurrent layers, with PyTorch's weights and order of gates."""

import numpy as np
from neural_attn.backends.emit.runtime.application import remember
from neural_attn.backends.numpy.runtime.core import Layer, layers_in, sigmoid, tanh


class Recurrence(Layer):
    """Reads x step by step; with `merge_mode`, a second time from its end.

    Weights are weight_ih_l0 [gates * units, in_features], weight_hh_l0
    [gates * units, units] and two biases [gates * units]; those of the way back end
    in _reverse. The dropouts are those of training, which NumPy models have not.
    """

    gates, states = 1, 1

    def __init__(
        self,
        in_features,
        units,
        activation=None,
        recurrent_activation=None,
        use_bias=True,
        return_sequences=False,
        return_state=False,
        dropout=0.0,
        recurrent_dropout=0.0,
        go_backwards=False,
        merge_mode=None,
    ):
        self.activation = activation or tanh
        self.recurrent_activation = recurrent_activation or sigmoid
        self.return_sequences, self.go_backwards = return_sequences, go_backwards
        self.return_state = return_state
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.units, self.merge_mode = units, merge_mode
        rows = self.gates * units
        for way in [""] if merge_mode is None else ["", "_reverse"]:
            for name, width in [("ih", in_features), ("hh", units)]:
                weight = np.zeros((rows, width), np.float32)
                setattr(self, f"weight_{name}_l0{way}", weight)
                bias = np.zeros(rows, np.float32) if use_bias else None
                setattr(self, f"bias_{name}_l0{way}", bias)

    def forward(self, x, mask=None, initial_state=None):
        """Turn x [batch, time, in_features] into [batch, time, units], or its last.

        mask: boolean [batch, 1, 1, time]; hidden steps keep the state, and give 0.
        initial_state: the state before the first step [batch, 1, units], or several:
        hidden and cell, then those of the way back. With return_state, the states
        after the last step follow the output.
        """
        if not x.shape[1]:
            raise ValueError("there is no step to read")
        mask = None if mask is None else mask[:, 0, 0, :, None]
        start = starting(initial_state, x)
        output, last = self.run(x, mask, "", self.go_backwards, start[: self.states])
        if self.merge_mode is not None:
            start = start[self.states :]
            back, last_back = self.run(x, mask, "_reverse", True, start)
            back = back[:, ::-1] if self.return_sequences else back
            output = merge_ways(output, back, self.merge_mode)
            last = (*last, *last_back)
        if not self.return_state:
            return output
        return (output, *(state[:, None] for state in last))

    def run(self, x, mask, way, backwards, start):
        """Run one way over x [batch, time, in_features]; mask [batch, time, 1].

        start: states [batch, units], or (). Returns the output and the last states.
        """
        weight, bias = self.weights_of("ih", way)
        x = x @ weight.T + bias
        if backwards:
            x = x[:, ::-1]
            mask = None if mask is None else mask[:, ::-1]
        states = start or (np.zeros((len(x), self.units), x.dtype),) * self.states
        steps = []
        for time in range(x.shape[1]):
            new = self.step(x[:, time], *self.weights_of("hh", way), *states)
            if mask is not None:
                pairs = zip(new, states, strict=True)
                new = tuple(np.where(mask[:, time], a, b) for a, b in pairs)
            states = new
            steps.append(states[0])
        if not self.return_sequences:
            return states[0], states
        output = np.stack(steps, axis=1)
        return output if mask is None else np.where(mask, output, 0), states

    def weights_of(self, name, way):
        """Return the matrix of the input ("ih") or the state ("hh"), and its bias."""
        bias = getattr(self, f"bias_{name}_l0{way}")
        return getattr(self, f"weight_{name}_l0{way}"), 0 if bias is None else bias

    def step(self, x, weight, bias, *states):
        """Return the next states [batch, units]: hidden, and the cell of an LSTM.

        x: what the input gives each gate, [batch, gates * units].
        """
        raise NotImplementedError


class SimpleRNN(Recurrence):
    """Recurrent network whose output is its state (Elman, 1990)."""

    def step(self, x, weight, bias, hidden):
        """Return the next hidden state [batch, units]."""
        return (self.activation(x + hidden @ weight.T + bias),)


class LSTM(Recurrence):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    gates, states = 4, 2

    def step(self, x, weight, bias, hidden, cell):
        """Return the next hidden and cell state [batch, units]."""
        gates = np.split(x + hidden @ weight.T + bias, 4, axis=-1)
        enter, forget, leave = (self.recurrent_activation(gates[i]) for i in (0, 1, 3))
        cell = forget * cell + enter * self.activation(gates[2])
        return leave * self.activation(cell), cell


class GRU(Recurrence):
    """Gated recurrent unit (Cho et al., 2014).

    reset_after: the reset gate acts on what the recurrent matrix gives, rather than
    on the state.
    """

    gates = 3

    def __init__(self, in_features, units, reset_after=True, **options):
        self.reset_after = reset_after
        super().__init__(in_features, units, **options)

    def step(self, x, weight, bias, hidden):
        """Return the next hidden state [batch, units]."""
        by_input = np.split(x, 3, axis=-1)
        by_state = np.split(hidden @ weight.T + bias, 3, axis=-1)
        reset, update = (
            self.recurrent_activation(by_input[i] + by_state[i]) for i in (0, 1)
        )
        if self.reset_after:
            recalled = reset * by_state[2]
        else:
            recalled = (reset * hidden) @ weight[2 * self.units :].T
            recalled = recalled + (bias[2 * self.units :] if np.ndim(bias) else 0)
        new = self.activation(by_input[2] + recalled)
        return (update * hidden + (1 - update) * new,)


def starting(states, x):
    """Return states [1 or batch, 1, units] as [batch, units] for x [batch, ...]."""
    states = () if states is None else states
    states = states if isinstance(states, (list, tuple)) else (states,)
    return tuple(np.broadcast_to(s[:, 0], (len(x), s.shape[-1])) for s in states)


def merge_ways(ahead, back, mode):
    """Join the outputs [..., units] of both ways: "concat", "sum", "mul" or "ave"."""
    if mode == "concat":
        return np.concatenate([ahead, back], axis=-1)
    if mode == "mul":
        return ahead * back
    return (ahead + back) / (2 if mode == "ave" else 1)


def scan(step, x, states, *others, **masks):
    """Call step(now, *states, *others) for each step [batch, 1, ...] of x in turn.

    It returns its output [batch, 1, ...], then the next states, or one array that is
    both. Returns all outputs [batch, time, ...], then the last states; attention that
    is kept becomes one map of all steps. Raises ValueError where there is no step.
    # only with masked_scan:
    mask=[batch, 1, 1, time]: hidden steps keep the states, and give 0.
    """
    if x.shape[1] == 0:
        raise ValueError("there is no step to scan")
    layers = [m for m in layers_in(step) if getattr(m, "store_attention", False)]
    maps = [(layer, [], []) for layer in layers]
    # only with Application:
    before = {layer: layer.applications for layer in layers}
    # only with KEEPS:
    states = getattr(step, "past", None) or states
    states, outputs = [np.broadcast_to(s, (len(x), *s.shape[1:])) for s in states], []
    # only with masked_scan:
    real = real_steps(step, x, masks.pop("mask", None))
    for time in range(x.shape[1]):
        # only with masked_scan:
        before_it = states
        found = step(x[:, time : time + 1], *states, *others, **masks)
        output, *states = found if isinstance(found, tuple) else (found, found)
        # only with masked_scan:
        output, *states = where_real(real[:, time], output, states, before_it)
        outputs.append(output)
        for layer, weights, seen in maps:
            weights.append(layer.attention_weights)
            seen.append(layer.attention_mask)
    # only with KEEPS:
    if getattr(step, "keeps", False):
        step.past = tuple(states)
    for layer, weights, seen in maps:
        layer.attention_weights = np.concatenate(weights, axis=2)
        layer.attention_mask = None if seen[0] is None else np.concatenate(seen, -2)
        # only with Application:
        layer.applications = before[layer]
        # only with Application:
        remember(layer)
    return (np.concatenate(outputs, axis=1), *states)


def real_steps(step, x, mask):
    """Return which steps of x [batch, time, ...] a mask shows: all without one."""
    if mask is None:
        return np.ones(x.shape[:2], bool)
    # only with KEEPS:
    if getattr(step, "keeps", False):
        mask = mask[..., -x.shape[1] :]  # the steps before had their turn
    return np.broadcast_to(mask[:, 0, 0], x.shape[:2])


def where_real(real, output, states, before):
    """Return what a step gave where it is real [batch]; else 0, and states before."""
    pairs = zip((output, *states), (np.zeros_like(output), *before), strict=True)
    return [np.where(real.reshape(-1, *(1,) * (a.ndim - 1)), a, b) for a, b in pairs]


def fold_time(x):
    """Turn x [batch, time, ...] into [batch * time, ...]: each step alone."""
    return x.reshape(-1, *x.shape[2:])


def unfold_time(steps, like):
    """Turn steps [batch * time, ...] into [batch, time, ...], as `like` has them."""
    return steps.reshape(*like.shape[:2], *steps.shape[1:])
