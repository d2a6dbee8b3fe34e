"""Attention in numbers: every metric, its definition and its computation."""
