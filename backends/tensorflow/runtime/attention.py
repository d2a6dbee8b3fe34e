"""Keras runtime: attention with more to its logits than products."""

from keras import ops
from neural_attn.backends.emit.runtime.application import remember
from neural_attn.backends.tensorflow.runtime.core import AttentionLayer


# only with window, bias, cap, sink:
class BlockwiseAttentionLayer(AttentionLayer):
    """Attention with options. Query i stands where key keys - queries + i does."""

    # only with attend:
    def attend(
        self,
        query,
        key,
        value,
        mask=None,
        dropout=None,
        training=None,
        # only with bias:
        bias=None,
        # only with cap:
        cap=None,
        # only with sink:
        sink=None,
        # only with causal, window:
        **reach,
    ):
        """Attend, all [batch, heads, time, size]; mask: True where a key is seen.

        # only with cap:
        cap: logits become cap tanh(logits / cap).
        # only with bias:
        bias: added to logits, [heads, queries + keys - 1] by distance from 1 - keys,
        # only with bias:
        or of pairs, broadcastable to [batch, heads, queries, keys].
        # only with sink:
        sink: [heads], the logit of one more key, which has no value.
        # only with causal, window:
        reach: the options of `visible`.
        """
        queries, keys = ops.shape(query)[2], ops.shape(key)[2]
        if 0 in (query.shape[2], key.shape[2]):
            return super().attend(query, key, value, mask, dropout, training)
        query = query / query.shape[-1] ** 0.5
        # Weights that are not kept are worked out for 128 queries at a time.
        whole = self.store_attention or query.shape[2] is None
        blocks = []
        for first in range(0, 1 if whole else queries, 128):
            rows = slice(None) if whole else slice(first, first + 128)
            logits, seen = (
                query[:, :, rows] @ ops.swapaxes(key, -2, -1),
                rows_of(mask, rows),
            )
            # only with cap:
            if cap is not None:
                logits = cap * ops.tanh(logits / cap)
            # only with bias:
            if bias is not None:
                logits = logits + bias_of(bias, queries, keys, rows)
            # only with causal, window:
            seen = visible(seen, queries, keys, rows, **reach)
            # only without sink:
            weights = self.attention_softmax(logits, seen)
            # only with sink:
            weights = self.attention_softmax(logits, seen, sink=sink)
            weights = dropout(weights, training=training) if dropout else weights
            blocks.append(ops.matmul(ops.cast(weights, value.dtype), value))
        return ops.concatenate(blocks, axis=2)

    # only with sink, attention_softmax:
    def attention_softmax(
        self,
        logits,
        mask=None,
        # only with sink:
        sink=None,
        # only with attention_softmax:
        **reach,
    ):
        """Return weights: hidden keys and rows without others are 0.

        # only with sink:
        sink: [heads], the logit of one more key, whose share is not returned.
        # only with attention_softmax:
        reach: the options of `visible`.
        """
        # only with attention_softmax:
        if reach:
            mask = visible(mask, *ops.shape(logits)[2:], **reach)
        weights = super().attention_softmax(logits, mask)
        # only with sink:
        if sink is not None:
            seen = logits if mask is None else ops.where(mask, logits, -1e30)
            total = ops.logsumexp(ops.maximum(seen, -1e30), axis=-1, keepdims=True)
            weights = weights * ops.sigmoid(total - sink[:, None, None])
            if self.store_attention:
                self.attention_weights = weights
                # only with Application:
                self.applications = self.applications[:-1]
                # only with Application:
                remember(self)
        return weights


def steps_between(queries, keys, rows=slice(None)):
    """Return how many steps after each query each key is: [rows, keys]."""
    return ops.arange(keys) - (ops.arange(queries)[rows, None] + (keys - queries))


def visible(
    mask,
    queries,
    keys,
    rows=slice(None),
    # only with causal:
    causal=False,
    # only with window:
    window=None,
):
    """Return which keys these rows see, [rows, keys], and `mask` lets them see.

    # only with causal:
    causal: no key after the query.
    # only with window:
    window: only keys fewer than so many steps away.
    """
    steps = steps_between(queries, keys, rows)
    seen = ops.ones_like(steps, dtype="bool")
    # only with causal:
    if causal:
        seen = steps <= 0
    # only with window:
    if window is not None:
        seen = ops.logical_and(seen, ops.abs(steps) < window)
    return seen if mask is None else ops.logical_and(seen, mask)


def bias_of(bias, queries, keys, rows):
    """Return the part of a bias, by distance or of pairs, that is for these rows."""
    if len(bias.shape) == 4:
        return rows_of(bias, rows)
    bias = ops.broadcast_to(bias, (bias.shape[0], queries + keys - 1))
    steps = steps_between(queries, keys, rows)
    return ops.take(bias, steps + (keys - 1), axis=-1)


def scale_queries(query, scale):
    """Scale queries so that `attend` takes logits of `scale` query · key."""
    return query if scale is None else query * (scale * query.shape[-1] ** 0.5)


def relative_positions(query, key):
    """Return where keys stand, seen from queries: [1 - keys, ..., queries - 1]."""
    queries, keys = ops.shape(query)[-2], ops.shape(key)[-2]
    steps = ops.arange(1 - keys, ops.maximum(queries, 1 - keys))
    return ops.cast(steps, query.dtype)


def rows_of(x, rows):
    """Return the part of a mask or bias that is for these queries."""
    return x if x is None or x.shape[-2] == 1 else x[..., rows, :]
