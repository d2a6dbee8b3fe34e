"""What is wrong with a model, as its attention shows; see README.md."""
