"""NumPy runtime: going on with a text, token by token."""

import numpy as np
from neural_attn.backends.emit.runtime.request import check_request
from neural_attn.backends.emit.runtime.search import (
    beam_search,
    masked_step,
    one_by_one,
)
from neural_attn.backends.numpy.runtime.core import Layer, Network, layers_in


class Cache(Layer):
    """Hands on x; while steps are kept, all that it was given since then, in a row."""

    keeps, past = False, None
    results = ("past",)

    def __init__(self, axis=-2):
        self.axis = axis

    def forward(self, x):
        """Add the steps of x [batch, ..., time, size] to those before them."""
        if not self.keeps:
            return x
        before = [] if self.past is None else [self.past]
        self.past = np.concatenate([*before, x], axis=self.axis)
        return self.past


class Positions(Layer):
    """Counts steps from 0; while steps are kept, on from those before.

    `skipped` [batch, 1] of them, padding before a text, do not count.
    """

    keeps, past, skipped = False, None, 0
    results = ("skipped",)

    def forward(self, x):
        """Return the positions of x [batch, time, ...] as ids [batch or 1, time]."""
        before = self.past or 0
        if self.keeps:
            self.past = before + x.shape[1]
        ids = np.arange(before, before + x.shape[1])[None]
        return np.maximum(ids - self.skipped, 0)


class GeneratingNetwork(Network):
    """A network that continues a text."""

    def generate(
        self,
        ids,
        max_new_tokens,
        beams=1,
        temperature=0.0,
        end=None,
        return_attention=False,
        seed=None,
        top_k=None,
        # only with MASKED:
        attention_mask=None,
    ):
        """Go on with ids [batch, time]: return them with all that follows.

        beams: how many continuations are kept, of which the best is returned.
        temperature: 0 takes the likeliest token, else tokens are drawn, from `seed`, of
        the `top_k` likeliest. end: the id that ends a text. Padding stands before a
        text.
        # only with MASKED:
        attention_mask: [batch, time], 0 where ids are padding.
        """
        check_request(ids, max_new_tokens, beams, temperature, top_k)
        drawing = temperature, top_k, seed
        # only with MASKED:
        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        # only with MASKED:
        mask_of_beams = np.repeat(mask, beams, axis=0)
        # only with MASKED:
        step = masked_step(self, skip_padding, mask_of_beams)
        # only with MASKED:
        ids = go_on(self, step, ids, max_new_tokens, beams, end, drawing)
        # only without MASKED:
        ids = go_on(self, self, ids, max_new_tokens, beams, end, drawing)
        if not return_attention:
            return ids
        # only without MASKED:
        return ids, attention_of(self, ids, ids)
        # only with MASKED:
        new = ids.shape[1] - mask.shape[1]
        # only with MASKED:
        mask = np.pad(mask, ((0, 0), (0, new)), constant_values=1)
        # only with MASKED:
        inputs = dict(zip(self.input_names, (ids, mask), strict=True))
        # only with MASKED:
        return ids, attention_of(self, mask, inputs)


class TranslatingNetwork(Network):
    """A network that reads one text and writes another."""

    def generate(
        self,
        source,
        target,
        max_new_tokens,
        beams=1,
        temperature=0.0,
        end=None,
        return_attention=False,
        seed=None,
        top_k=None,
    ):
        """Read source [batch, time], and continue target ids [batch, 1 or more].

        Returns the target with all that follows. beams: how many continuations are
        kept, of which the best is returned. temperature: 0 takes the likeliest token,
        else tokens are drawn, from `seed`, of the `top_k` likeliest. end: the id that
        ends a text.
        """
        check_request(target, max_new_tokens, beams, temperature, top_k)
        drawing = temperature, top_k, seed
        memory = self.encode(source)
        memory = memory if isinstance(memory, tuple) else (memory,)
        memory = [np.repeat(x, beams, axis=0) for x in memory]

        def step(ids):
            return self.decode(ids, *memory)

        ids = go_on(self, step, target, max_new_tokens, beams, end, drawing)
        if not return_attention:
            return ids
        inputs = dict(zip(self.input_names, (source, ids), strict=True))
        return ids, attention_of(self, ids, inputs)


def go_on(network, step, ids, count, beams, end, drawing):
    """Return ids [batch, time] and up to `count` tokens that `step` says follow."""
    if count == 0:
        return ids
    # only with PADDED:
    if (ids[:, -1] == 0).any():
        raise ValueError("padding goes before a text that is continued, not after it")

    def scores_of(ids):
        return log_shares(step(ids))

    def go_from(rows):
        choose(network, rows)

    keep_steps(network, True)
    # only with PADDED:
    skip_padding(network, np.repeat(ids, beams, axis=0))
    try:
        if beams > 1:
            return beam_search(scores_of, go_from, ids, count, beams, end)
        return one_by_one(scores_of, ids, count, end, *drawing)
    finally:
        keep_steps(network, False)


def attention_of(network, ids, inputs):
    """Return the attention maps of the whole of ids [batch, time], in its inputs."""
    # only with PADDED, MASKED:
    skip_padding(network, ids)
    try:
        return network.run_with_attention(inputs)[1]
    finally:
        keep_steps(network, False)


def keep_steps(network, flag):
    """Let all layers keep what they see, from now on, or forget it."""
    for layer in layers_in(network):
        layer.keeps, layer.past = flag, None
        # only with PADDED, MASKED:
        if hasattr(layer, "skipped"):
            layer.skipped = 0


def skip_padding(network, ids):
    """Count positions from the first id [batch, time] that is not padding."""
    for layer in layers_in(network):
        if hasattr(layer, "skipped"):
            layer.skipped = (ids.cumsum(axis=1) == 0).sum(axis=1, keepdims=True)


def choose(network, rows):
    """Go on from the examples `rows`, which may stand there more than once."""
    for layer in layers_in(network):
        if isinstance(layer.past, tuple):
            layer.past = tuple(x[rows] for x in layer.past)
        elif isinstance(layer.past, np.ndarray):
            layer.past = layer.past[rows]


def log_shares(output):
    """Return the logarithms of what each id gets at the last step [batch, ids]."""
    # only with PROBABILITIES:
    return np.log(np.maximum(output[:, -1], np.finfo(output.dtype).tiny))
    # only without PROBABILITIES:
    scores = output[:, -1] - output[:, -1].max(axis=-1, keepdims=True)
    # only without PROBABILITIES:
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
