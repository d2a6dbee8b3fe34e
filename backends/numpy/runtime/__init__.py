"""Code that generated files copy what they need of; `core.py` comes first in them."""
