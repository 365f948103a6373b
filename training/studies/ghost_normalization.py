"""This module normalizes parts of a batch by statistics of their own, so that noise can be changed and nothing else.

The smaller the batch, the noisier its mean and variance, and the noisier its gradient. To tell the one from the other,
a batch of any size is normalized here in groups of ``group_rows`` rows: the gradient is still that of the whole batch.

Source: Hoffer, Hubara & Soudry (2017), "Train longer, generalize better", section 4, "ghost batch normalization".
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class GhostBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d that in training normalizes every ``group_rows`` rows by their own mean and variance.

    It keeps no moving averages while training, for each group would move them; estimate its statistics afterwards.

    Args:
        num_features: Channels.
        group_rows: Rows a group, at least 2; every batch has to be a whole number of groups.
    """

    def __init__(self, num_features: int, group_rows: int) -> None:
        super().__init__(num_features)
        self.group_rows = group_rows

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        """Normalize ``(rows, channels)``."""
        if not self.training:
            return super().forward(input)
        rows, channels = input.shape
        if rows % self.group_rows:
            raise ValueError(f"rows of a batch: expected a multiple of group_rows, {self.group_rows}, got {rows}")
        groups = rows // self.group_rows
        # a channel of every group is a channel of its own
        side_by_side = input.view(groups, self.group_rows, channels).transpose(0, 1).flatten(1)
        weight, bias = self.weight.repeat(groups), self.bias.repeat(groups)
        normalized = functional.batch_norm(side_by_side, None, None, weight, bias, training=True, eps=self.eps)
        return normalized.view(self.group_rows, groups, channels).transpose(0, 1).reshape(rows, channels)
