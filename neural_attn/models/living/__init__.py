"""Attention of a model while it runs (see README.md beside this file)."""
