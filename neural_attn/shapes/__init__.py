"""IR to checked IR: every equation run on shapes alone."""
