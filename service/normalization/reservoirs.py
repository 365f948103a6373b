"""This module has a reservoir of rows for every version that is served; it goes when the version does."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from service.inference.served_model import ServedModel
from service.normalization.reservoir import Reservoir, ReservoirLimits


class Reservoirs:
    """The reservoirs of one process.

    Args:
        limits: Of each.
    """

    def __init__(self, limits: ReservoirLimits) -> None:
        self._limits = limits
        self._of: WeakKeyDictionary[ServedModel, Reservoir] = WeakKeyDictionary()

    def of(self, served: ServedModel) -> Reservoir:
        """The one of a version; an empty one where it has none yet."""
        reservoir = self._of.get(served)
        if reservoir is None:
            reservoir = self._of[served] = Reservoir(self._limits)
        return reservoir
