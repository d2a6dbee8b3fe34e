"""The .neural language: text in, typed syntax tree out."""

from neural_attn.grammar.parser import parse, parse_file, prelude

__all__ = ["parse", "parse_file", "prelude"]
