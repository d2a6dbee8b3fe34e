"""The targets a network can be compiled to, one module each."""
