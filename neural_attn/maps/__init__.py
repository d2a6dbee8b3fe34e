"""The container of attention maps, and its file format."""
