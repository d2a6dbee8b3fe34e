"""Code that generated files of any backend copy what they need of."""
