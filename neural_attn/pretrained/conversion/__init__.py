"""How any pretrained model is converted; a family's own facts are in its file."""
