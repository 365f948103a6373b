"""This module is what a bundle keeps of its normalization layers as arrays: written, read and checked.

    <layer>/gamma, beta, running_mean, running_var      its parameters and statistics
    <layer>/tap_scale, tap_shift                        where its tap holds a map of what the layer took or gave
    <layer>/moving_mean, moving_var                     as the fit left them, where that is known

All are float64 of shape ``(channels,)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.layers import NormalizationLayer, TapMap
from models.manifest import LayerRecord
from models.moments import Array
from models.moving_average import MovingAverage

Archive = Mapping[str, NDArray[Any]]
"""Arrays by their names in the file."""


def to_arrays(
    layer: NormalizationLayer, tap_map: TapMap | None, moving_average: MovingAverage | None
) -> dict[str, Array]:
    """Everything of one layer, by the names in the file."""
    arrays = {"gamma": layer.gamma, "beta": layer.beta, "running_mean": layer.mean, "running_var": layer.variance}
    if tap_map is not None:
        arrays |= {"tap_scale": tap_map.scale, "tap_shift": tap_map.shift}
    if moving_average is not None:
        arrays |= {"moving_mean": moving_average.mean, "moving_var": moving_average.variance}
    return {f"{layer.name}/{field}": array for field, array in arrays.items()}


def read_layer(record: LayerRecord, archive: Archive) -> NormalizationLayer:
    """Its parameters and statistics.

    Raises:
        ValueError: If an array is missing, of the wrong shape, or holds what no statistics can be.
    """
    return NormalizationLayer(
        name=record.name,
        eps=record.eps,
        gamma=_read(record, archive, "gamma"),
        beta=_read(record, archive, "beta"),
        mean=_read(record, archive, "running_mean"),
        variance=_read(record, archive, "running_var"),
    )


def read_tap_map(record: LayerRecord, archive: Archive) -> TapMap:
    """What its tap holds of it.

    Raises:
        ValueError: If an array is missing, of the wrong shape, or not finite.
    """
    scale, shift = (_read(record, archive, field) for field in ("tap_scale", "tap_shift"))
    try:
        return TapMap(scale, shift)
    except ValueError as error:
        raise ValueError(f"{record.name}/tap: {error}") from error


def read_moving_average(record: LayerRecord, archive: Archive) -> MovingAverage | None:
    """What the fit left in it; None where that is not known.

    Raises:
        ValueError: If one array is missing, or one is of the wrong shape, or holds what no moving average can be.
    """
    if not any(f"{record.name}/{field}" in archive for field in ("moving_mean", "moving_var")):
        return None
    mean, variance = (_read(record, archive, field) for field in ("moving_mean", "moving_var"))
    try:
        return MovingAverage(mean, variance)
    except ValueError as error:
        raise ValueError(f"{record.name}/moving: {error}") from error


def _read(record: LayerRecord, archive: Archive, field: str) -> Array:
    key = f"{record.name}/{field}"
    if key not in archive:
        raise ValueError(f"expected an array {key!r}, got none")
    values = archive[key]
    if values.shape != (record.channels,) or values.dtype != np.float64:
        raise ValueError(
            f"{key}: expected float64 of shape ({record.channels},), got {values.dtype} of shape {values.shape}"
        )
    return values
