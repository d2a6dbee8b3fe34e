"""What gives attention: generated models, saved maps, arrays."""
