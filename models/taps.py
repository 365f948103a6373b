"""This module says what a tap's values are in training deviations, whichever side of its layer it holds.

A layer takes ``x`` and gives ``y = s x + t``. A tap holds one of the two, or a map of it, so that always

    held = a x + b        center = a mean + b        scale = a sqrt(variance + eps)        z = (held - center) / scale

where ``z`` is ``x`` in training deviations from the training mean. Behind a folded layer, center is beta and scale is
gamma: what the layer was trained on is written into what is left of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.layers import NormalizationLayer, TapMap
from models.moments import Array

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True, eq=False)
class TapUnits:
    """How to read a tap, channel by channel.

    Attributes:
        center: What it holds where the layer takes its training mean, shape ``(channels,)``.
        scale: What it holds more of where the layer takes one training deviation more, shape ``(channels,)``; NaN in
            channels of which the tap tells nothing: where gamma is near 0, or a later layer hides them.
    """

    center: Array
    scale: Array

    @classmethod
    def of(cls, layer: NormalizationLayer, side: Side, tap_map: TapMap | None) -> TapUnits:
        """The units of one layer's tap.

        Args:
            layer: The layer.
            side: Whether its tap holds what the layer takes or what it gives.
            tap_map: The map of that which the tap holds; None where it holds the thing itself.
        """
        if side == "output":
            center, scale = layer.beta, np.where(layer.observable, layer.gamma, np.nan)
        else:
            center, scale = layer.mean, layer.deviation
        if tap_map is not None:
            center = tap_map.scale * center + tap_map.shift
            scale = np.where(tap_map.scale == 0, np.nan, tap_map.scale * scale)
        return cls(center, scale)
