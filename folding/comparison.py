"""This module tells how much recalibration changed a model: its statistics layer by layer, its answers row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from folding.errors import RecalibrationError
from models.bundle import Arrays
from models.layers import Distance, NormalizationLayer
from models.manifest import TensorRecord
from models.moments import Moments
from models.recalibration import LayerChangeRecord, OutputChangeRecord, PredictionsRecord

KEPT_ENTROPY = 0.5
"""Of the predictions' entropy, what has to be left after recalibration for them not to count as collapsed."""


def distance(old: NormalizationLayer, new: NormalizationLayer) -> Distance:
    """How far a layer's new statistics are from its old ones."""
    return Distance.between(old, Moments(1, new.mean, new.variance))


def describe_layer(name: str, change: Distance) -> LayerChangeRecord:
    """What the manifest says of that."""
    shift, kl = np.abs(change.shift), change.symmetric_kl[change.ratio > 0]
    return LayerChangeRecord(
        name=name,
        mean_absolute_shift=float(shift.mean()),
        max_absolute_shift=float(shift.max()),
        min_ratio=float(change.ratio.min()),
        max_ratio=float(change.ratio.max()),
        mean_symmetric_kl=float(kl.mean()) if kl.size else None,
    )


def has_classes(output: TensorRecord) -> bool:
    """Whether an output holds a score for every one of several classes."""
    return len(output.shape) == 2 and output.shape[1] >= 2 and output.datatype.startswith("FP")


def check_labels(labels: NDArray[Any], outputs: Sequence[TensorRecord], num_rows: int) -> None:
    """Refuse labels that are not one class a row.

    Raises:
        RecalibrationError: If they are not, or no output has so many classes.
    """
    classes = max((output.shape[1] for output in outputs if has_classes(output)), default=0)
    if not classes:
        raise RecalibrationError("labels: expected an output of shape (rows, classes) to compare with, got none")
    if labels.shape != (num_rows,) or labels.dtype.kind not in "iu":
        raise RecalibrationError(
            f"labels: expected {num_rows} whole numbers, one a row, got {labels.dtype} of shape {list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise RecalibrationError(
            f"labels: expected classes from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )


def compare_outputs(
    outputs: Sequence[TensorRecord],
    before: Arrays,
    after: Arrays,
    *,
    class_names: Sequence[str] | None,
    labels: NDArray[Any] | None,
) -> tuple[OutputChangeRecord, ...]:
    """How much every output changed.

    Args:
        outputs: What they are.
        before: By name, what the source version gives for the rows.
        after: The same of the new version.
        class_names: Of the classes, for outputs that have as many.
        labels: The class of every row, if known.
    """
    return tuple(
        OutputChangeRecord(
            name=output.name,
            relative_difference=_relative_difference(before[output.name], after[output.name]),
            predictions=_predictions(before[output.name], after[output.name], class_names, labels)
            if has_classes(output)
            else None,
        )
        for output in outputs
    )


def refuse_collapse(changes: Sequence[OutputChangeRecord]) -> None:
    """Refuse predictions that were of many classes and now are of few.

    Raises:
        RecalibrationError: If the entropy of an output's predictions is below ``KEPT_ENTROPY`` of what it was.
    """
    for change in changes:
        found = change.predictions
        if found is not None and found.entropy_after < KEPT_ENTROPY * found.entropy_before:
            raise RecalibrationError(
                f"{change.name}: expected predictions about as varied as before, entropy {found.entropy_before:.2f}, "
                f"got {found.entropy_after:.2f}: {len(found.after)} classes where there were {len(found.before)}; "
                "the rows may be too few or of few classes (force it if that is what you mean)"
            )


def _relative_difference(before: NDArray[Any], after: NDArray[Any]) -> float:
    if not before.size:
        return 0.0
    old = before.astype(np.float64)
    largest = float(np.abs(old).max())
    return float(np.abs(after.astype(np.float64) - old).max()) / (largest or 1.0)


def _predictions(
    before: NDArray[Any], after: NDArray[Any], class_names: Sequence[str] | None, labels: NDArray[Any] | None
) -> PredictionsRecord:
    classes = before.shape[1]
    names = class_names if class_names is not None and len(class_names) == classes else list(map(str, range(classes)))
    old, new = before.argmax(axis=1), after.argmax(axis=1)
    counts = [np.bincount(found, minlength=classes) for found in (old, new)]
    return PredictionsRecord(
        agreement=float((old == new).mean()),
        before=_by_name(counts[0], names),
        after=_by_name(counts[1], names),
        entropy_before=_entropy(counts[0]),
        entropy_after=_entropy(counts[1]),
        accuracy_before=None if labels is None else float((old == labels).mean()),
        accuracy_after=None if labels is None else float((new == labels).mean()),
    )


def _by_name(counts: NDArray[Any], names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in zip(names, counts, strict=True):
        if count:
            found[name] = found.get(name, 0) + int(count)  # two classes may have one name
    return found


def _entropy(counts: NDArray[Any]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0  # no negative zero
