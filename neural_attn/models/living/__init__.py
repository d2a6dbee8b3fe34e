"""Attention of a PyTorch module while it runs (see README.md beside this file)."""
