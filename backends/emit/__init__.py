"""From a checked network to source text: what all backends share."""
