"""This module is what a bundle needs, beside its graph, for its layers to be observed and judged."""

from __future__ import annotations

from dataclasses import dataclass

from models.atoms import Atoms
from models.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Observing:
    """What held-out rows and a graph give.

    Attributes:
        probe: What is added to the graph.
        atoms: Of its inputs that have any.
        calibration: How scores of unmoved data are distributed; None where there were no rows for it, or too few.
    """

    probe: bytes
    atoms: tuple[Atoms, ...]
    calibration: Calibration | None
