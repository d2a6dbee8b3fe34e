"""`python -m neural_attn` is the `neural` command."""

from neural_attn.cli import main

main()
