"""This module is what digits stand on: exact black, as MNIST has them, or a grey ground with grain, as a camera has it.

MNIST's background is 0 in every row. Whatever is not 0 there is new, and statistics of ranks notice it however small it
is. On a ground with grain there is no such tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.drift.data import SEED, Images, Mnist


@dataclass(frozen=True, slots=True)
class Ground:
    """What becomes of a pixel ``x`` before anything is done with it: ``grey + span x + grain e``, from 0 to 1.

    Attributes:
        model: What the network that is fitted to such rows is published as.
        grey: What black becomes.
        span: From black to white.
        grain: The standard deviation of a normal ``e`` for each pixel.
    """

    model: str
    grey: float
    span: float
    grain: float

    def lay(self, images: Images, *, seed: int = SEED) -> Images:
        """The images on this ground; the same for the same seed."""
        if (self.grey, self.span, self.grain) == (0, 1, 0):
            return images
        grain = np.random.default_rng(seed).standard_normal(images.pixels.shape, np.float32)
        pixels = self.grey + self.span * images.pixels + self.grain * grain
        return Images(np.clip(pixels, 0, 1).astype(np.float32), images.labels)

    def lay_all(self, data: Mnist) -> Mnist:
        """All parts on this ground, each with grain of its own."""
        names = ("train", "validation", "reference", "calibration", "live", "test")
        return Mnist(**{name: self.lay(getattr(data, name), seed=SEED + place) for place, name in enumerate(names)})


GROUNDS: Mapping[str, Ground] = {
    "black": Ground("mnist", grey=0, span=1, grain=0),
    "grainy": Ground("mnist-grainy", grey=0.3, span=0.5, grain=0.05),
}
