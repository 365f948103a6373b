"""This module finds what is wrong with a normalization layer by looking at its parameters and statistics alone.

The thresholds, and where they come from, are in docs/health.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.layers import UNOBSERVABLE_BELOW, NormalizationLayer
from models.moving_average import MovingAverage

EXPLODED_VARIANCE = 1e6
SCALE_OUTLIER_RATIO = 100.0
STALE_SHIFT = 0.5
STALE_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class HealthFlag:
    """One finding about one layer.

    Attributes:
        flag: Which kind: ``dead-channels | collapsed-variance | exploded-variance | never-updated | scale-outliers |
            stale-moving-average``.
        channels: How many channels it concerns.
        message: One sentence with the figures.
    """

    flag: str
    channels: int
    message: str


def health_flags(
    layer: NormalizationLayer, *, num_batches_tracked: int | None, moving_average: MovingAverage | None = None
) -> list[HealthFlag]:
    """Everything that looks wrong with a layer; an empty list for a healthy one.

    Args:
        layer: The layer.
        num_batches_tracked: As the network counted them; None if it did not.
        moving_average: As the fit left it, where the layer's statistics were estimated afterwards; else None.
    """
    return [
        *_dead(layer),
        *_variance(layer),
        *_never_updated(layer, num_batches_tracked),
        *_scale(layer),
        *_stale(layer, moving_average),
    ]


def _dead(layer: NormalizationLayer) -> Iterator[HealthFlag]:
    if dead := int((~layer.observable).sum()):
        share = f"{dead} of {layer.channels} channels"
        message = f"{share} have |gamma| below {UNOBSERVABLE_BELOW:g}: their output hardly depends on their input."
        yield HealthFlag("dead-channels", dead, message)


def _variance(layer: NormalizationLayer) -> Iterator[HealthFlag]:
    if collapsed := int((layer.variance < layer.eps).sum()):
        share = f"{collapsed} of {layer.channels} channels"
        message = f"{share} have a variance below eps ({layer.eps:g}): their input hardly varied in training."
        yield HealthFlag("collapsed-variance", collapsed, message)
    if exploded := int((layer.variance > EXPLODED_VARIANCE).sum()):
        share = f"{exploded} of {layer.channels} channels"
        message = f"{share} have a variance above {EXPLODED_VARIANCE:g}, at most {layer.variance.max():.3g}."
        yield HealthFlag("exploded-variance", exploded, message)


def _never_updated(layer: NormalizationLayer, num_batches_tracked: int | None) -> Iterator[HealthFlag]:
    untouched = bool((layer.mean == 0).all() and (layer.variance == 1).all())
    if num_batches_tracked == 0 or untouched:
        message = "The statistics were never updated: they are what a new layer starts with, not what data left."
        yield HealthFlag("never-updated", layer.channels, message)


def _scale(layer: NormalizationLayer) -> Iterator[HealthFlag]:
    scale = np.abs(layer.scale)
    median = float(np.median(scale))
    outliers = int((scale > SCALE_OUTLIER_RATIO * median).sum())
    if median > 0 and outliers:
        message = (
            f"{outliers} of {layer.channels} channels scale by more than {SCALE_OUTLIER_RATIO:g} times the median "
            f"({scale.max():.3g} against {median:.3g}): per-tensor quantization would lose the others."
        )
        yield HealthFlag("scale-outliers", outliers, message)


def _stale(layer: NormalizationLayer, moving_average: MovingAverage | None) -> Iterator[HealthFlag]:
    if moving_average is None:
        return
    distance = moving_average.distance(layer)
    shift, factor = np.abs(distance.shift), np.exp(np.abs(np.log(distance.ratio)))
    if stale := int(((shift > STALE_SHIFT) | (factor > STALE_RATIO)).sum()):
        message = (
            f"{stale} of {layer.channels} channels had a moving average far from the statistics of all rows: means by "
            f"up to {shift.max():.3g} deviations, variances by a factor of up to {factor.max():.3g}. Validation during "
            "the fit ran by it."
        )
        yield HealthFlag("stale-moving-average", stale, message)
