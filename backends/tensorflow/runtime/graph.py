"""Keras runtime: graphs."""

from keras import ops


def edge_mask(adjacency):
    """Turn edges [batch, nodes, nodes] into a mask [batch, 1, nodes, nodes]."""
    return ops.not_equal(adjacency, 0)[:, None]
