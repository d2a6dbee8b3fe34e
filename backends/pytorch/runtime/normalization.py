"""PyTorch runtime: normalization of x [batch, *sizes, channels], as in Keras."""

import torch
import torch.nn.functional as F
from torch import nn


class BatchNormalization(nn.BatchNorm1d):
    """Batch normalization (Ioffe and Szegedy, 2015), with Keras' running statistics.

    momentum: the share of them that stays at a step (1 - that of PyTorch); the
    variance is that of the batch itself, not an estimate for the population.
    """

    def __init__(self, features, eps, momentum):
        super().__init__(features, eps, momentum=1 - momentum)

    def forward(self, x):
        """Normalize each feature of x [batch, ..., features]."""
        rows = x.reshape(-1, x.size(-1))
        if self.training:
            variance, mean = torch.var_mean(rows.detach(), dim=0, correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            rows = F.batch_norm(
                rows, None, None, self.weight, self.bias, training=True, eps=self.eps
            )
        else:
            rows = super().forward(rows)
        return rows.view(x.shape)


class GroupNormalization(nn.GroupNorm):
    """Group normalization (Wu and He, 2018); one channel a group: instances."""

    def forward(self, x):
        """Normalize each group of channels of x [batch, *sizes, channels]."""
        # contiguous: the gradient of other layouts crashes where x itself needs none
        return super().forward(x.movedim(-1, 1).contiguous()).movedim(1, -1)
