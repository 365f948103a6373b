"""This module finds what is wrong with a normalization layer by looking at its parameters and statistics alone.

The thresholds, and where they come from, are in docs/health.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.layers import UNOBSERVABLE_BELOW, NormalizationLayer

EXPLODED_VARIANCE = 1e6
SCALE_OUTLIER_RATIO = 100.0


@dataclass(frozen=True, slots=True)
class HealthFlag:
    """One finding about one layer.

    Attributes:
        flag: Which kind: ``dead-channels | collapsed-variance | exploded-variance | never-updated | scale-outliers``.
        channels: How many channels it concerns.
        message: One sentence with the figures.
    """

    flag: str
    channels: int
    message: str


def health_flags(layer: NormalizationLayer, *, num_batches_tracked: int | None) -> list[HealthFlag]:
    """Everything that looks wrong with a layer; an empty list for a healthy one.

    Args:
        layer: The layer.
        num_batches_tracked: As the network counted them; None if it did not.
    """
    return [*_dead(layer), *_variance(layer), *_never_updated(layer, num_batches_tracked), *_scale(layer)]


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
