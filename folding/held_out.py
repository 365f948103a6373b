"""This module finds anew how a published bundle is observed, by rows that its network was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from folding.calibration import FEWEST_ROWS
from folding.errors import CalibrationError
from folding.folded import FoldedGraph
from folding.observable import make_observable
from folding.rows import rows_in_order
from models.bundle import Bundle
from models.observing import Observing


def calibrate_bundle(bundle: Bundle, rows: Mapping[str, NDArray[Any]]) -> Observing:
    """How scores of unmoved data are distributed, by held-out rows; with the atoms of the inputs, and a probe of both.

    Args:
        bundle: Its files are intact; it stays as it is.
        rows: One array an input, as the bundle's inputs say. That the network was not fitted to them nothing can
            check: thresholds that come of training rows alarm too often.

    Raises:
        CalibrationError: If there is no layer to watch, or the rows are too few.
        RowsError: If the rows are none that the graph takes.
        BundleError: If a file of the bundle is damaged.
    """
    graph = FoldedGraph.of(bundle)
    taken = rows_in_order(rows, graph.inputs)
    found = make_observable(graph, taken, held_out=taken, seed=bundle.manifest.version)
    if found is None:
        raise CalibrationError("layers: expected a bundle with normalization layers to watch, got one without")
    if found.calibration is None:
        channels = sum(layer.channels for layer in graph.layers)
        raise CalibrationError(
            f"rows: expected at least {FEWEST_ROWS} with finite values in {channels} channels, got {len(taken[0])}"
        )
    return found
