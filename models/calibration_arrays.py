"""This module turns a calibration into arrays for a file, and such arrays into a calibration again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration, LayerCalibration, groups

Arrays = Mapping[str, NDArray[Any]]


def to_arrays(calibration: Calibration) -> dict[str, NDArray[Any]]:
    """Arrays by name; those of a layer are named after its number."""
    arrays: dict[str, NDArray[Any]] = {
        "rows": np.array(calibration.rows),
        "sizes": np.array(calibration.sizes),
        "expected": calibration.expected,
        "spread": calibration.spread,
        "rates": calibration.rates,
        "thresholds": calibration.thresholds,
    }
    for number, layer in enumerate(calibration.layers):
        arrays[f"{number}/mean"] = layer.mean
        arrays |= {f"{number}/whitening/{group}": matrix for group, matrix in enumerate(layer.whitening)}
    return arrays


def from_arrays(arrays: Arrays, channels: Sequence[int]) -> Calibration:
    """The calibration that gave these arrays.

    Args:
        arrays: By name.
        channels: Of each layer.

    Raises:
        ValueError: If an array is missing, unknown, not finite, or not of the shape and type that it should have.
    """
    left = dict(arrays)
    sizes = _take(left, "sizes", np.int64, (None,))
    rates = _take(left, "rates", np.float64, (None,))
    if len(sizes) < 2 or (np.diff(sizes) <= 0).any() or sizes[0] < 1:
        raise ValueError(f"sizes: expected two or more, ascending from 1, got {sizes.tolist()}")
    if not len(rates) or (np.diff(rates) >= 0).any() or rates[-1] <= 0:
        raise ValueError(f"rates: expected one or more, descending, above 0, got {rates.tolist()}")
    shape = (len(sizes), len(channels))
    calibration = Calibration(
        rows=int(_take(left, "rows", np.int64, ())),
        layers=tuple(_layer(left, number, count) for number, count in enumerate(channels)),
        sizes=tuple(sizes.tolist()),
        expected=_take(left, "expected", np.float64, shape),
        spread=_take(left, "spread", np.float64, shape),
        rates=rates,
        thresholds=_take(left, "thresholds", np.float64, (len(sizes), len(rates))),
    )
    if left:
        raise ValueError(f"{min(left)}: this array is not known")
    if (calibration.spread <= 0).any():
        raise ValueError(f"spread: expected numbers above 0, got {calibration.spread.min():g}")
    return calibration


def _layer(left: dict[str, NDArray[Any]], number: int, channels: int) -> LayerCalibration:
    return LayerCalibration(
        _take(left, f"{number}/mean", np.float64, (2 * channels,)),
        tuple(
            _take(left, f"{number}/whitening/{group}", np.float32, (len(part), len(part)))
            for group, part in enumerate(groups(channels))
        ),
    )


def _take(left: dict[str, NDArray[Any]], name: str, dtype: type, shape: tuple[int | None, ...]) -> NDArray[Any]:
    if name not in left:
        raise ValueError(f"expected an array {name!r}, got none")
    array = left.pop(name)
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(
            f"{name}: expected {np.dtype(dtype)} of shape {shape}, got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array
