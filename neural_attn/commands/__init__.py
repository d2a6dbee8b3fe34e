"""The commands of `neural`, one file each; cli.py loads the one that is called."""
