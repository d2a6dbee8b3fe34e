"""Runtime of NumPy and Keras: which tokens follow, worked out in NumPy."""

import numpy as np


def masked_step(network, skip_padding, mask):
    """Return the network as a function of ids alone, told which are padding.

    mask [batch, time] is that of the first ids, 0 for padding. What follows is none.
    skip_padding(network, mask): its positions count from the first that is none.
    """
    if (mask[:, -1] == 0).any():
        raise ValueError("padding goes before a text that is continued, not after it")

    def step(ids):
        shown = np.ones_like(ids)
        if ids.shape[1] >= mask.shape[1]:  # the whole text
            shown[:, : mask.shape[1]] = mask
            skip_padding(network, mask)
        return network(dict(zip(network.input_names, (ids, shown), strict=True)))

    return step


def one_by_one(scores_of, ids, count, end, temperature, top_k, seed):
    """Add to ids [batch, time] the likeliest token each time, or one that is drawn.

    scores_of(ids): the logarithms of what each id gets next [batch, ids].
    """
    new, ended = ids, np.zeros((len(ids), 1), bool)
    random = np.random.default_rng(seed)
    for _ in range(count):
        scores = scores_of(new)
        if top_k is not None:
            least = np.sort(scores, axis=-1)[:, -top_k:][:, :1]
            scores = np.where(scores < least, -np.inf, scores)
        if temperature > 0:
            scores = (scores - scores.max(axis=-1, keepdims=True)) / temperature
            limits = np.exp(scores).cumsum(axis=-1)
            draws = random.uniform(0, limits[:, -1:])
            token = (limits <= draws).sum(axis=-1, keepdims=True)
        else:
            token = scores.argmax(axis=-1)[:, None]
        if end is not None:
            token = np.where(ended, end, token)
            ended = ended | (token == end)
        ids = np.concatenate([ids, token], axis=1)
        # only with KEEPS:
        new = token
        # only without KEEPS:
        new = ids
        if ended.all():
            break
    return ids


def beam_search(scores_of, go_from, ids, count, beams, end):
    """Keep the `beams` likeliest continuations; return the best per token.

    go_from(rows): what is kept goes on from these examples, in this order.
    """
    batch, first = ids.shape
    new = ids = np.repeat(ids, beams, axis=0)
    # At first all beams of a text are alike: only one of them counts.
    totals = np.full((batch, beams), -np.inf)
    totals[:, 0] = 0
    found = [[] for _ in range(batch)]  # (mean, ids) of texts that ended
    settled = [False] * batch
    texts = np.arange(batch)[:, None]
    for length in range(1, count + 1):
        scores = scores_of(new)
        size = scores.shape[-1]
        totals = totals[..., None] + scores.reshape(batch, beams, size)
        totals = totals.reshape(batch, -1)
        # twice as many are enough, though half of them end
        chosen = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * beams]
        totals, rows = totals[texts, chosen], chosen // size + texts * beams
        longer = np.concatenate([ids[rows], (chosen % size)[..., None]], axis=-1)
        ends = longer[..., -1] == (-1 if end is None else end)
        for i in (i for i in range(batch) if not settled[i]):
            means = totals[i] / length
            found[i] += [(means[j], longer[i, j]) for j in range(beams) if ends[i, j]]
            found[i] = sorted(found[i], key=lambda pair: -pair[0])[:beams]
            settled[i] = len(found[i]) == beams and found[i][-1][0] >= means[0]
        totals = np.where(ends, -np.inf, totals)
        going = np.argsort(-totals, axis=1, kind="stable")[:, :beams]
        totals = totals[texts, going]
        ids = longer[texts, going].reshape(batch * beams, -1)
        go_from(rows[texts, going].reshape(-1))
        # only with KEEPS:
        new = ids[:, -1:]
        # only without KEEPS:
        new = ids
        if all(settled):
            break
    for i in (i for i in range(batch) if not settled[i]):
        means = totals[i] / (ids.shape[1] - first)
        found[i] += zip(means, ids[i * beams : (i + 1) * beams], strict=True)
    best = [max(texts, key=lambda pair: pair[0])[1] for texts in found]
    longest = max(map(len, best))
    rest = [np.full(longest - len(text), end or 0, text.dtype) for text in best]
    return np.stack([np.concatenate(pair) for pair in zip(best, rest, strict=True)])
