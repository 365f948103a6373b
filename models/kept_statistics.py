"""This module is what a bundle keeps of the data that its network was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.atoms import Atoms, watched
from models.bundle import Bundle
from models.layers import NormalizationLayer
from models.moving_average import MovingAverage


@dataclass(frozen=True, slots=True)
class KeptStatistics:
    """What a bundle keeps of its layers and inputs.

    Attributes:
        layers: Its normalization layers with their parameters and statistics.
        moving_averages: What the fit left in a layer, by the layer's name, where that is known.
        atoms: Of its inputs that have any.
    """

    layers: tuple[NormalizationLayer, ...]
    moving_averages: Mapping[str, MovingAverage]
    atoms: tuple[Atoms, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> KeptStatistics:
        """All that a bundle keeps.

        Raises:
            BundleError: If an array is damaged.
        """
        return cls(bundle.normalization(), bundle.moving_averages(), bundle.atoms())

    @property
    def watched(self) -> tuple[NormalizationLayer, ...]:
        """All that is observed: the layers, then the inputs that have atoms."""
        return watched(self.layers, self.atoms)
