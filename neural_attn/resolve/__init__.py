"""Syntax tree to IR: what each name means, how chains become equations."""
