"""Data in, attention out: inputs, weights, and one run of a model."""
