"""This module starts residual blocks at the identity: what a block adds to what it takes is 0 until it has learned.

Source: Goyal et al. (2017), Accurate, large minibatch SGD, section 5.1: gamma of the last normalization layer of every
residual block starts at 0.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from training.errors import RecipeError


@runtime_checkable
class ResidualAddition(Protocol):
    """A block that can start by adding nothing; timm's blocks call it so too."""

    def zero_init_last(self) -> None:
        """Set to 0 what the sum of the block takes last."""


def start_blocks_at_zero(network: nn.Module, name: str) -> None:
    """Have every residual block of a network add nothing yet.

    Args:
        network: Its blocks are changed in place.
        name: What the recipe calls it.

    Raises:
        RecipeError: If it has no block that can.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResidualAddition)]
    if not blocks:
        raise RecipeError(
            f"zero_last_gamma: expected a network with residual blocks that have a zero_init_last(), got {name}"
        )
    for block in blocks:
        block.zero_init_last()
