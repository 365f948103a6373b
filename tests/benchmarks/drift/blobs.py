"""This module makes a small data set of MNIST's form: a bright square in one of four corners, which is the class."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 8
CLASSES = 4


def write_blobs(folder: Path, *, train_rows: int = 3_600, test_rows: int = 1_100) -> Path:
    """Write the four files, those of the test gzipped; returns the folder."""
    folder.mkdir()
    for seed, (part, rows) in enumerate((("train", train_rows), ("t10k", test_rows))):
        pixels, labels = blobs(rows, seed)
        suffix = ".gz" if part == "t10k" else ""
        for name, array in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx(array)
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def blobs(rows: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images ``(rows, 8, 8)`` on a grey ground with a little noise, and their classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=rows).astype(np.uint8)
    pixels = random.integers(20, 60, (rows, SIDE, SIDE)).astype(np.uint8)
    for label in range(CLASSES):
        down, right = divmod(label, 2)
        top, left = 4 * down, 4 * right
        of_class = np.flatnonzero(labels == label)
        bright = random.integers(150, 240, (len(of_class), 4 - down, 4 - right))
        pixels[of_class, top : top + 4 - down, left : left + 4 - right] = bright
    return pixels, labels


def idx(array: NDArray[np.uint8]) -> bytes:
    """The array as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
