"""This module calibrates the scores of a published bundle by rows that its network was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from folding.calibration import FEWEST_ROWS, calibrate
from folding.errors import CalibrationError
from folding.observing import observe
from folding.rows import rows_in_order
from models.bundle import PROBE_FILE, Bundle
from models.calibration import Calibration


def calibrate_bundle(bundle: Bundle, rows: Mapping[str, NDArray[Any]]) -> Calibration:
    """How scores of unmoved data are distributed, by held-out rows.

    Args:
        bundle: Its files are intact; it stays as it is.
        rows: One array an input, as the bundle's inputs say. That the network was not fitted to them nothing can
            check: thresholds that come of training rows alarm too often.

    Raises:
        CalibrationError: If there is no layer to watch, or the rows are too few.
        RowsError: If the rows are none that the graph takes.
        BundleError: If a file of the bundle is damaged.
    """
    columns = bundle.columns()
    if columns is None or PROBE_FILE not in bundle.manifest.files:
        raise CalibrationError("layers: expected a bundle with normalization layers to watch, got one without")
    taken = rows_in_order(rows, bundle.manifest.inputs)
    graph, probe = bundle.model_path.read_bytes(), (bundle.path / PROBE_FILE).read_bytes()
    found = calibrate(columns, list(observe(graph, probe, columns, taken)), seed=bundle.manifest.version)
    if found is None:
        raise CalibrationError(
            f"rows: expected at least {FEWEST_ROWS} with finite values in {len(columns)} channels, got {len(taken[0])}"
        )
    return found
