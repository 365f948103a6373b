"""This module is the data of the studies: MNIST, cut at random into what is fitted to and what is only looked at.

MNIST's test file is by other writers than its training file, so its rows are slightly shifted already: one half of it
is by pupils, the other by clerks, where the training file mixes both. What stands for data that has not moved is
therefore cut out of the training file.

Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.idx import read_idx

Pixels = NDArray[np.float32]
Indices = NDArray[np.intp]

SEED = 20150211
"""Fixed for good; it is the day on which the paper appeared."""

SHARES = {"train": 0.65, "validation": 0.02, "reference": 0.03, "calibration": 0.15, "live": 0.15}
"""Of the training file's rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images that belong together: pixels ``(rows, 1, height, width)`` from 0 to 1, and a class each, ``(rows,)``."""

    pixels: Pixels
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Indices) -> Images:
        """Some of them, in the given order."""
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Mnist:
    """MNIST in parts that share no row.

    Attributes:
        train: What the network is fitted to.
        validation: What the fit reports its accuracy on.
        reference: What detectors know of the data that the network was made for.
        calibration: What their thresholds are set on.
        live: What moves: it is corrupted, and then looked at.
        test: The test file, by other writers, in its order.
    """

    train: Images
    validation: Images
    reference: Images
    calibration: Images
    live: Images
    test: Images


def load_mnist(folder: Path) -> Mnist:
    """Read MNIST, or what has its form, from the four files of a folder.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one can't be read, or images and labels differ in number.
    """
    pool = read_images(folder, "train")
    order = np.random.default_rng(SEED).permutation(len(pool))
    ends = np.rint(np.cumsum(list(SHARES.values())) * len(pool)).astype(int)
    parts = (pool.take(rows) for rows in np.split(order, ends[:-1]))
    return Mnist(**dict(zip(SHARES, parts, strict=True)), test=read_images(folder, "t10k"))


def read_images(folder: Path, part: str) -> Images:
    """Read ``<part>-images-idx3-ubyte`` and ``<part>-labels-idx1-ubyte``.

    Raises:
        FileNotFoundError, ValueError: As ``load_mnist`` does.
    """
    pixels = read_idx(folder / f"{part}-images-idx3-ubyte")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise ValueError(
            f"{folder}: expected images (rows, height, width) and a label for each in the files {part}-*, "
            f"got {list(pixels.shape)} and {list(labels.shape)}"
        )
    return Images((pixels[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int64))


def halves(images: Images) -> tuple[Images, Images]:
    """The first half and the second, in their order."""
    middle = len(images) // 2
    return images.take(np.arange(middle)), images.take(np.arange(middle, len(images)))
