"""This module is what a detector is: something that gives a window of rows a score, higher the more they moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from benchmarks.drift.data import Indices, Pixels

Features = Callable[[Pixels], NDArray[Any]]
"""Turns images into one vector each, ``(rows, features)``."""

Score = Callable[[Indices], float]
"""Gives the score of a window: rows of the data set that the detector looks at, without repetition."""


class Detector(Protocol):
    """Knows the data that a network was made for."""

    def look_at(self, pixels: Pixels) -> Score:
        """Compute once, for a whole data set, whatever the score of any window of its rows needs.

        A score depends on the window's rows alone, not on the others.

        Args:
            pixels: Shape ``(rows, 1, height, width)``, from 0 to 1.
        """


def pixels_as_features(pixels: Pixels) -> NDArray[Any]:
    """Every pixel is a feature."""
    return pixels.reshape(len(pixels), -1)
