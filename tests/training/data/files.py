"""This module writes small files of data for tests."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: NDArray[Any]) -> bytes:
    """An array as an IDX file has it."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def numbered_images(count: int, size: tuple[int, int] = (3, 4)) -> NDArray[np.uint8]:
    """Gray images that can be told apart, ``(count, height, width)``."""
    return (np.arange(count * size[0] * size[1]) % 251).astype(np.uint8).reshape(count, *size)


def alternating(count: int, classes: int = 2) -> NDArray[np.uint8]:
    """Labels 0, 1, 0, 1 and so on."""
    return (np.arange(count) % classes).astype(np.uint8)


def save_image(path: Path, shade: int, size: tuple[int, int] = (4, 3), mode: str = "L") -> Path:
    """A file of one even shade; ``size`` is width and height, as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, shade).convert(mode).save(path)
    return path
