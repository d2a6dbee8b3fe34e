"""Training as the language has it: settings, losses, optimizers, searches."""
