"""Keras runtime: convolutions whose weights Keras lays out otherwise."""

from keras import layers


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
