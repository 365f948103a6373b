"""This module tells everything worth knowing about a published bundle: for people, and as JSON for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from models.atoms import Atoms
from models.bundle import Bundle
from models.calibration import Calibration
from models.health import health_flags
from models.layers import NormalizationLayer
from models.manifest import LayerRecord, TensorRecord
from models.moving_average import MovingAverage
from models.training import TrainingRecord
from training.report import format_metrics, print_proof, print_recalibration, print_table

SHOWN_RATE = 0.001
"""Of the thresholds that are shown, the share of windows of unmoved data that are beyond them."""


def print_report(bundle: Bundle) -> None:
    """What the bundle is, how it came to be, what became of its layers, and how far each of that can be trusted.

    Raises:
        BundleError: If a file of the bundle is damaged.
    """
    manifest = bundle.manifest
    print(f"{manifest.name}, version {manifest.version}, made {manifest.created:%Y-%m-%d %H:%M} UTC")
    print(f"network: {manifest.network.name}, {manifest.network.parameters:,} parameters, {manifest.network.arguments}")
    print(f"takes {_tensors(manifest.inputs)}; gives {_tensors(manifest.outputs)}")
    if manifest.labels is not None:
        print(f"labels: {', '.join(manifest.labels)}")
    if manifest.training is not None:
        _print_training(manifest.training)
    print_proof(manifest)
    if manifest.recalibration is not None:
        print("recalibrated:")
        print_recalibration(manifest.recalibration)
    calibration = bundle.calibration()
    if calibration is None:
        print("not calibrated: no window of live rows can raise an alarm; `bntrain calibrate` needs held-out rows")
    else:
        print_calibrations({"threshold": calibration})
    print_atoms(bundle.atoms())
    _print_layers(list(_layers(bundle)))


def print_calibrations(calibrations: Mapping[str, Calibration | None]) -> None:
    """A line a size of windows: the score beyond which a thousandth of those of unmoved data are, by each of them."""
    known = {name: calibration for name, calibration in calibrations.items() if calibration is not None}
    sizes = sorted({size for calibration in known.values() for size in calibration.sizes})
    rows = [(str(size), *(_threshold(calibration, size) for calibration in calibrations.values())) for size in sizes]
    behind = ", ".join(f"{name} {0 if c is None else c.rows}" for name, c in calibrations.items())
    print(
        f"calibration: scores beyond which {SHOWN_RATE:.1%} of the windows of unmoved rows are; held-out rows: {behind}"
    )
    print_table(("rows of a window", *calibrations), rows)


def print_atoms(atoms: Sequence[Atoms]) -> None:
    """A line an input that has atoms."""
    for one in atoms:
        print(
            f"input {one.input}: {one.share:.1%} of a row's values are at its atoms, with a deviation of "
            f"{math.sqrt(one.variance):.1%} among rows ({len(one.channels)} channels have one)"
        )


def report_as_json(bundle: Bundle) -> str:
    """The manifest, and what is judged by the arrays beside it.

    Raises:
        BundleError: If a file of the bundle is damaged.
    """
    calibration = bundle.calibration()
    document = {
        "path": str(bundle.path),
        "manifest": bundle.manifest.model_dump(mode="json"),
        "calibration": None if calibration is None else _calibration_fields(calibration),
        "layers": [
            {
                "name": layer.name,
                "observable_channels": int(layer.observable.sum()),
                "moving_average": None if average is None else _distance(layer, average),
                "health": [
                    {"flag": flag.flag, "channels": flag.channels, "message": flag.message}
                    for flag in _flags(record, layer, average)
                ],
            }
            for record, layer, average in _layers(bundle)
        ],
        "inputs": [
            {
                "name": atoms.input,
                "channels": atoms.channels.tolist(),
                "values": atoms.values.tolist(),
                "share": atoms.share,
                "variance": atoms.variance,
            }
            for atoms in bundle.atoms()
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _tensors(records: tuple[TensorRecord, ...]) -> str:
    return ", ".join(f"{record.name} {record.datatype} {list(record.shape)}" for record in records)


def _print_training(record: TrainingRecord) -> None:
    rows = ", ".join(f"{count:,} {split}" for split, count in record.data.rows.items())
    libraries = ", ".join(f"{name} {version}" for name, version in record.libraries.items())
    print(f"data: {record.data.name}, {rows} rows, SHA-256 {record.data.sha256[:12]}")
    print(f"fitted in {record.seconds:g} s, by {libraries}")
    print(f"statistics: of {record.rows:,} rows")
    print(f"served accuracy and loss: {format_metrics(record.metrics)}")


def _layers(bundle: Bundle) -> Iterator[tuple[LayerRecord, NormalizationLayer, MovingAverage | None]]:
    averages = bundle.moving_averages()
    for record, layer in zip(bundle.manifest.layers, bundle.normalization(), strict=True):
        yield record, layer, averages.get(record.name)


def _flags(record: LayerRecord, layer: NormalizationLayer, average: MovingAverage | None) -> list[Any]:
    return health_flags(layer, num_batches_tracked=record.num_batches_tracked, moving_average=average)


def _print_layers(layers: list[tuple[LayerRecord, NormalizationLayer, MovingAverage | None]]) -> None:
    known = [(layer, average) for _, layer, average in layers if average is not None]
    if known:
        print("moving averages at the end of the fit, from the statistics:")
        rows = [
            (layer.name, *(f"{value:.3f}" for value in _distance(layer, average).values())) for layer, average in known
        ]
        print_table(("layer", "max |z|", "min r", "max r"), rows)
    found = [(record.name, flag) for record, layer, average in layers for flag in _flags(record, layer, average)]
    print(f"health: {len(layers)} layers, {len(found)} findings")
    for name, flag in found:
        print(f"  {name}: {flag.flag}: {flag.message}")


def _distance(layer: NormalizationLayer, average: MovingAverage) -> dict[str, float]:
    distance = average.distance(layer)
    return {
        "max_absolute_shift": float(np.abs(distance.shift).max()),
        "min_ratio": float(distance.ratio.min()),
        "max_ratio": float(distance.ratio.max()),
    }


def _threshold(calibration: Calibration | None, size: int) -> str:
    return f"{calibration.threshold(size, SHOWN_RATE):.2f}" if calibration and calibration.covers(size) else "-"


def _calibration_fields(calibration: Calibration) -> dict[str, Any]:
    return {
        "rows": calibration.rows,
        "most_rows_of_a_window": calibration.most_rows,
        "thresholds": [
            {"rows": size, "rate": float(rate), "score": float(score)}
            for size, row in zip(calibration.sizes, calibration.thresholds, strict=True)
            for rate, score in zip(calibration.rates, row, strict=True)
        ],
    }
