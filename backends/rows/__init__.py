"""How each backend writes the native layers, where it needs more than a few lines."""
