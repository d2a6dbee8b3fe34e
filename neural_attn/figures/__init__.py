"""Pictures, the interactive page and the console report, all from `AttentionMaps`."""
