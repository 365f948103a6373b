"""This module reads IDX files, plain or gzipped: the format that MNIST is published in.

Two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension in four bytes, most significant
first; then the numbers. Here they are always unsigned bytes.

Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits", file formats.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in a file, or in the file of that name with ``.gz`` behind it.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If it is no IDX file of unsigned bytes, or is longer or shorter than it says.
    """
    gzipped = path.with_name(path.name + ".gz")
    if path.is_file():
        content = path.read_bytes()
    elif gzipped.is_file():
        content = gzip.decompress(gzipped.read_bytes())
    else:
        raise FileNotFoundError(f"{path}: expected an IDX file here, or one with .gz behind its name, got neither")
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"{path}: expected an IDX file of unsigned bytes, got one that begins with {content[:4]!r}")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path}: expected {list(shape)} bytes, as it says, got {len(content) - start} in all")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
