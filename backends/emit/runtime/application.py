"""Runtime of every backend: a layer that a run calls several times."""


class Application:
    """One of the calls of a layer that a run calls `count` times: what it kept."""

    def __init__(self, layer, number, count):
        self.layer, self.number = layer, number
        layer.application_count = count

    @property
    def store_attention(self):
        """Whether the layer keeps its weights; setting it forgets what it kept."""
        return self.layer.store_attention

    @store_attention.setter
    def store_attention(self, flag):
        self.layer.store_attention, self.layer.applications = flag, ()

    @property
    def attention_weights(self):
        """The weights of this call, or None."""
        return self.kept()[0]

    @attention_weights.setter
    def attention_weights(self, weights):
        self.layer.attention_weights = weights

    @property
    def attention_mask(self):
        """The mask of this call, or None."""
        return self.kept()[1]

    @attention_mask.setter
    def attention_mask(self, mask):
        self.layer.attention_mask = mask

    def kept(self):
        """Return the weights and the mask of this call, None before it."""
        kept = self.layer.applications
        return kept[self.number] if self.number < len(kept) else (None, None)


def remember(layer):
    """Keep what the last call of a layer kept, beside those before it."""
    kept = (*layer.applications, (layer.attention_weights, layer.attention_mask))
    layer.applications = kept[-layer.application_count :]
