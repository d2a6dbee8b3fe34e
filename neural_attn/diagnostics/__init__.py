"""What can be wrong: messages with their code, and the page that explains each."""
