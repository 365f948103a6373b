"""This module is the plan that the residual networks share: how many blocks a stage has, how wide, with which stride.

Source: He et al. (2016a), Deep residual learning for image recognition, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.networks.convolution import choose, scale

STAGE_WIDTHS = (64, 128, 256, 512)
STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BOTTLENECK_DEPTHS = {50}
BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What one block takes and gives.

    Attributes:
        in_channels: Channels of what it takes.
        inner_channels: Channels of its 3x3 convolutions.
        out_channels: Channels of what it gives.
        stride: By how much it divides height and width.
        bottleneck: Whether it is 1x1, 3x3 and 1x1, rather than two 3x3 convolutions.
    """

    in_channels: int
    inner_channels: int
    out_channels: int
    stride: int
    bottleneck: bool

    @property
    def projects(self) -> bool:
        """Whether what it gives has another shape than what it takes, so that the shortcut has to project."""
        return self.stride > 1 or self.in_channels != self.out_channels


def block_shapes(depth: int, width: float) -> list[list[BlockShape]]:
    """The blocks of each stage.

    Args:
        depth: Layers with weights, as the paper counts them: 18, 34 or 50.
        width: Every number of channels is the paper's times this.

    Raises:
        ValueError: If there is no such depth, or the width is not above 0.
    """
    stage_blocks = choose("depth", depth, STAGE_BLOCKS)
    bottleneck = depth in BOTTLENECK_DEPTHS
    before = scale(STAGE_WIDTHS[0], width)
    stages: list[list[BlockShape]] = []
    for channels, blocks in zip(STAGE_WIDTHS, stage_blocks, strict=True):
        inner = scale(channels, width)
        after = inner * (BOTTLENECK_EXPANSION if bottleneck else 1)
        first = BlockShape(before, inner, after, 2 if stages else 1, bottleneck)
        stages.append([first] + [BlockShape(after, inner, after, 1, bottleneck)] * (blocks - 1))
        before = after
    return stages
