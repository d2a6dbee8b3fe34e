"""PyTorch runtime: what recurrent layers do beyond PyTorch's own modules."""

import torch
import torch.nn.functional as F
from neural_attn.backends.emit.runtime.application import remember
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrence(nn.RNNBase):
    """Makes a recurrent module of PyTorch take a mask, dropout and any activation.

    PyTorch's own loop runs where it can; its weights serve both.
    """

    states = 1  # of one way

    def __init__(
        self,
        in_features,
        units,
        activation=torch.tanh,
        recurrent_activation=torch.sigmoid,
        use_bias=True,
        return_sequences=False,
        return_state=False,
        dropout=0.0,
        recurrent_dropout=0.0,
        go_backwards=False,
        merge_mode=None,
    ):
        both = merge_mode is not None
        super().__init__(
            in_features, units, bias=use_bias, batch_first=True, bidirectional=both
        )
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.return_sequences, self.go_backwards = return_sequences, go_backwards
        self.return_state = return_state
        self.input_dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.merge_mode = merge_mode

    def forward(self, x, mask=None, initial_state=None):
        """Turn x [batch, time, in_features] into [batch, time, units], or its last.

        mask: boolean [batch, 1, 1, time]; hidden steps keep the state, and give 0.
        initial_state: the state before the first step [batch, 1, units], or several:
        hidden and cell, then those of the way back. With return_state, the states
        after the last step follow the output.
        """
        output, *states = self.both_ways(x, mask, initial_state)
        return (output, *states) if self.return_state else output

    def both_ways(self, x, mask, initial_state):
        """Return the output, and the states after the last step [batch, 1, units]."""
        if self.go_backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(-1)
        # The same features are dropped at every step (Gal and Ghahramani, 2016).
        x = F.dropout1d(x.transpose(1, 2), self.input_dropout, self.training)
        x = x.transpose(1, 2)
        if self.is_usual():
            whole, mode = self.return_sequences, self.merge_mode
            loop = super().forward
            return run_with_states(loop, x, mask, initial_state, whole, mode)
        start = starting(initial_state, x)
        output, last = self.run(x, mask, "", start[: self.states])
        if self.merge_mode is not None:
            x, mask = x.flip(1), None if mask is None else mask.flip(-1)
            back, last_back = self.run(x, mask, "_reverse", start[self.states :])
            back = back.flip(1) if self.return_sequences else back
            output = merge_ways(torch.cat([output, back], dim=-1), self.merge_mode)
            last = (*last, *last_back)
        return (output, *(state[:, None] for state in last))

    def is_usual(self):
        """Return whether PyTorch's own loop computes the same."""
        usual = self.activation is torch.tanh
        usual = usual and self.recurrent_activation is torch.sigmoid
        return usual and self.recurrent_dropout == 0

    def run(self, x, mask, way, start):
        """Run one way over x [batch, time, in_features]; mask [batch, 1, 1, time].

        start: states [batch, units], or (). Returns the output and the last states.
        """
        mask = None if mask is None else mask[:, 0, 0, :, None]
        x = F.linear(x, *self.weights_of("ih", way))
        states = start or (x.new_zeros(x.size(0), self.hidden_size),) * self.states
        factors = F.dropout(
            torch.ones_like(states[0]), self.recurrent_dropout, self.training
        )
        steps = []
        for time in range(x.size(1)):
            weights = self.weights_of("hh", way)
            new = self.step(x[:, time], factors, *weights, *states)
            if mask is not None:
                pairs = zip(new, states, strict=True)
                new = tuple(torch.where(mask[:, time], a, b) for a, b in pairs)
            states = new
            steps.append(states[0])
        if not self.return_sequences:
            return states[0], states
        output = torch.stack(steps, dim=1)
        return output if mask is None else output.masked_fill(~mask, 0.0), states

    def weights_of(self, name, way):
        """Return the matrix of the input ("ih") or the state ("hh"), and its bias."""
        bias = getattr(self, f"bias_{name}_l0{way}", None)
        return getattr(self, f"weight_{name}_l0{way}"), bias

    def step(self, x, factors, weight, bias, *states):
        """Return the next states [batch, units]: hidden, and the cell of an LSTM.

        x: what the input gives each gate, [batch, gates * units]; factors: those for
        the state where it meets the recurrent matrix, 0 for what is dropped.
        """
        raise NotImplementedError


class SimpleRNN(Recurrence, nn.RNN):
    """Recurrent network whose output is its state (Elman, 1990)."""

    def step(self, x, factors, weight, bias, hidden):
        """Return the next hidden state [batch, units]."""
        return (self.activation(x + F.linear(hidden * factors, weight, bias)),)


class LSTM(Recurrence, nn.LSTM):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    states = 2

    def step(self, x, factors, weight, bias, hidden, cell):
        """Return the next hidden and cell state [batch, units]."""
        gates = (x + F.linear(hidden * factors, weight, bias)).chunk(4, dim=-1)
        enter, forget, leave = (self.recurrent_activation(gates[i]) for i in (0, 1, 3))
        cell = forget * cell + enter * self.activation(gates[2])
        return leave * self.activation(cell), cell


class GRU(Recurrence, nn.GRU):
    """Gated recurrent unit (Cho et al., 2014).

    reset_after: the reset gate acts on what the recurrent matrix gives, rather than
    on the state.
    """

    def __init__(self, in_features, units, reset_after=True, **options):
        super().__init__(in_features, units, **options)
        self.reset_after = reset_after

    def is_usual(self):
        """Return whether PyTorch's own loop computes the same."""
        return self.reset_after and super().is_usual()

    def step(self, x, factors, weight, bias, hidden):
        """Return the next hidden state [batch, units]."""
        dropped, last = hidden * factors, slice(2 * self.hidden_size, None)
        by_input = x.chunk(3, dim=-1)
        by_state = F.linear(dropped, weight, bias).chunk(3, dim=-1)
        reset, update = (
            self.recurrent_activation(by_input[i] + by_state[i]) for i in (0, 1)
        )
        if self.reset_after:
            recalled = reset * by_state[2]
        else:
            shift = None if bias is None else bias[last]
            recalled = F.linear(reset * dropped, weight[last], shift)
        new = self.activation(by_input[2] + recalled)
        return (update * hidden + (1 - update) * new,)


def run_recurrence(
    recurrence, x, mask=None, return_sequences=False, merge_mode="concat"
):
    """Run an nn.LSTM, nn.GRU or nn.RNN over x [batch, time, width].

    mask: boolean [batch, 1, 1, time]; hidden steps keep the state, and give 0.
    Returns [batch, time, units], or the last state [batch, units].
    """
    if mask is None:
        steps, state = recurrence(x)
        return merge_ways(steps if return_sequences else last_of(state), merge_mode)
    seen = mask[:, 0, 0, :].expand(x.shape[:2])
    packed, order = pack_seen(x, seen)
    steps, state = recurrence(packed)
    if not return_sequences:
        return merge_ways(last_of(state) * seen.any(dim=1)[:, None], merge_mode)
    return merge_ways(unpack_seen(steps, seen, order), merge_mode)


def run_with_states(
    recurrence,
    x,
    mask=None,
    initial_state=None,
    return_sequences=False,
    merge_mode=None,
):
    """Run an nn.LSTM, nn.GRU or nn.RNN; return its output and the last states.

    x: [batch, time, width]; mask: as in run_recurrence; merge_mode: None for one way.
    initial_state: the state before the first step [batch, 1, units], or several:
    hidden and cell, then those of the way back. The last states are like them.
    """
    start = as_hidden(starting(initial_state, x), 1 if merge_mode is None else 2)
    if mask is None:
        steps, state = recurrence(x, start)
    else:
        seen = mask[:, 0, 0, :].expand(x.shape[:2])
        packed, order = pack_seen(x, seen)
        steps, state = recurrence(packed, start)
        steps = unpack_seen(steps, seen, order) if return_sequences else steps
    last = state if isinstance(state, tuple) else (state,)
    if mask is not None:  # where no step is seen, the state stays what it was
        first = start if isinstance(start, tuple) else (start,)
        first = (0.0,) * len(last) if start is None else first
        some = seen.any(dim=1)[:, None]
        both = zip(last, first, strict=True)
        last = tuple(torch.where(some, *pair) for pair in both)
    output = steps if return_sequences else last_of(last[0])
    ways = zip(*last, strict=True)
    return merge_ways(output, merge_mode), *(s[:, None] for way in ways for s in way)


def starting(states, x):
    """Return states [1 or batch, 1, units] as [batch, units] for x [batch, ...]."""
    states = () if states is None else states
    states = states if isinstance(states, (list, tuple)) else (states,)
    return tuple(state[:, 0].expand(x.size(0), -1) for state in states)


def as_hidden(states, ways):
    """Return states [batch, units] as PyTorch's modules take them, None without any."""
    kinds = len(states) // ways
    hidden = tuple(torch.stack(states[kind::kinds]) for kind in range(kinds))
    return hidden if kinds > 1 else hidden[0] if hidden else None


def pack_seen(x, seen):
    """Pack x [batch, time, width] without the steps that are not seen [batch, time].

    Returns the order of the steps too: those that are seen go first.
    """
    order = (~seen).byte().argsort(dim=1, stable=True)
    lengths = seen.sum(dim=1).clamp(min=1).cpu()
    x = x.gather(1, order[..., None].expand_as(x))
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return packed, order


def unpack_seen(steps, seen, order):
    """Return packed steps as [batch, time, units], 0 where they are not seen."""
    time = seen.size(1)
    steps, _ = pad_packed_sequence(steps, batch_first=True, total_length=time)
    steps = steps.gather(1, order.argsort(dim=1)[..., None].expand_as(steps))
    return steps.masked_fill(~seen[..., None], 0.0)


def last_of(state):
    """Return the last hidden state of a recurrence, both directions side by side."""
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat(tuple(hidden), dim=-1)


def merge_ways(x, mode):
    """Join both halves of x [..., 2 * units] by "sum", "mul" or "ave", or leave it."""
    if mode not in ("sum", "mul", "ave"):
        return x
    ahead, back = x.chunk(2, dim=-1)
    if mode == "mul":
        return ahead * back
    return (ahead + back) / (2 if mode == "ave" else 1)


def scan(step, x, states, *others, **masks):
    """Call step(now, *states, *others) for each step [batch, 1, ...] of x in turn.

    It returns its output [batch, 1, ...], then the next states, or one tensor that is
    both. Returns all outputs [batch, time, ...], then the last states; attention that
    is kept becomes one map of all steps. Raises ValueError where there is no step.
    # only with masked_scan:
    mask=[batch, 1, 1, time]: hidden steps keep the states, and give 0.
    """
    if x.size(1) == 0:
        raise ValueError("there is no step to scan")
    layers = [m for m in step.modules() if getattr(m, "store_attention", False)]
    maps = [(layer, [], []) for layer in layers]
    # only with Application:
    before = {layer: layer.applications for layer in layers}
    # only with KEEPS:
    states = getattr(step, "past", None) or states
    states, outputs = [s.expand(x.size(0), *s.shape[1:]) for s in states], []
    # only with masked_scan:
    real = real_steps(step, x, masks.pop("mask", None))
    for now in x.split(1, dim=1):
        # only with masked_scan:
        before_it = states
        found = step(now, *states, *others, **masks)
        output, *states = found if isinstance(found, tuple) else (found, found)
        # only with masked_scan:
        output, *states = where_real(real[:, len(outputs)], output, states, before_it)
        outputs.append(output)
        for layer, weights, seen in maps:
            weights.append(layer.attention_weights)
            seen.append(layer.attention_mask)
    # only with KEEPS:
    if getattr(step, "keeps", False):
        step.past = tuple(states)
    for layer, weights, seen in maps:
        layer.attention_weights = torch.cat(weights, dim=2)
        layer.attention_mask = None if seen[0] is None else torch.cat(seen, dim=-2)
        # only with Application:
        layer.applications = before[layer]
        # only with Application:
        remember(layer)
    return (torch.cat(outputs, dim=1), *states)


def real_steps(step, x, mask):
    """Return which steps of x [batch, time, ...] a mask shows: all without one."""
    if mask is None:
        return x.new_ones(x.shape[:2], dtype=torch.bool)
    # only with KEEPS:
    if getattr(step, "keeps", False):
        mask = mask[..., -x.size(1) :]  # the steps before had their turn
    return mask[:, 0, 0].expand(x.shape[:2])


def where_real(real, output, states, before):
    """Return what a step gave where it is real [batch]; else 0, and states before."""
    pairs = zip((output, *states), (torch.zeros_like(output), *before), strict=True)
    return [torch.where(real.view(-1, *(1,) * (a.dim() - 1)), a, b) for a, b in pairs]


def softmax(x):
    """Softmax over the last axis."""
    return F.softmax(x, dim=-1)


def fold_time(x):
    """Turn x [batch, time, ...] into [batch * time, ...]: each step alone."""
    return x.flatten(0, 1)


def unfold_time(steps, like):
    """Turn steps [batch * time, ...] into [batch, time, ...], as `like` has them."""
    return steps.unflatten(0, like.shape[:2])
