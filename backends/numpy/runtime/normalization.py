"""NumPy runtime: normalization over the batch and over groups of channels."""

import numpy as np
from neural_attn.backends.numpy.runtime.core import Layer


class BatchNormalization(Layer):
    """Batch normalization (Ioffe and Szegedy, 2015), by its running statistics."""

    def __init__(self, features, epsilon):
        self.epsilon = epsilon
        self.weight = np.ones(features, np.float32)
        self.bias = np.zeros(features, np.float32)
        self.running_mean = np.zeros(features, np.float32)
        self.running_var = np.ones(features, np.float32)

    def forward(self, x):
        """Normalize each feature of x [..., features]."""
        deviation = np.sqrt(self.running_var + self.epsilon)
        return (x - self.running_mean) / deviation * self.weight + self.bias


class GroupNormalization(Layer):
    """Group normalization (Wu and He, 2018); one channel a group: instances."""

    def __init__(self, groups, features, epsilon):
        self.groups, self.epsilon = groups, epsilon
        self.weight = np.ones(features, np.float32)
        self.bias = np.zeros(features, np.float32)

    def forward(self, x):
        """Normalize each group of channels of x [batch, *sizes, features]."""
        groups = x.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)
        centered = groups - groups.mean(axis=(1, 3), keepdims=True)
        variance = np.mean(centered**2, axis=(1, 3), keepdims=True)
        normal = (centered / np.sqrt(variance + self.epsilon)).reshape(x.shape)
        return normal * self.weight + self.bias
