"""Pretrained models become a `.neural` file, weights and a tokenizer."""

from neural_attn.pretrained.conversion.importing import ImportedModel, import_model

__all__ = ["ImportedModel", "import_model"]
