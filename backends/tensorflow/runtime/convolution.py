"""Keras runtime: convolutions whose weights Keras lays out otherwise."""

from keras import layers, ops


class DepthwiseConv1D(layers.Conv1D):
    """Convolution of each channel of x [batch, time, channels] alone."""

    def __init__(self, kernel_size, depth_multiplier=1, **options):
        super().__init__(depth_multiplier, kernel_size, **options)

    def build(self, input_shape):
        """Give each channel a group of filters of its own."""
        self.groups = input_shape[-1]
        self.filters *= self.groups
        super().build(input_shape)


class DepthwiseConv2D(layers.Conv2D):
    """Convolution of each channel of x [batch, height, width, channels] alone."""

    def __init__(self, kernel_size, depth_multiplier=1, **options):
        super().__init__(depth_multiplier, kernel_size, **options)

    def build(self, input_shape):
        """Give each channel a group of filters of its own."""
        self.groups = input_shape[-1]
        self.filters *= self.groups
        super().build(input_shape)


def hide_steps(x, mask):
    """Return x [batch, time, channels], 0 where mask [batch, 1, 1, time] hides it."""
    return ops.where(mask[:, 0, 0, :, None], x, 0.0)
