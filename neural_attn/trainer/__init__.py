"""Training: from a file and data to weights, a tokenizer, a history and a curve."""
