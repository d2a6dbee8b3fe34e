"""PyTorch runtime: graphs."""


def edge_mask(adjacency):
    """Turn edges [batch, nodes, nodes] into a mask [batch, 1, nodes, nodes]."""
    return (adjacency != 0)[:, None]
