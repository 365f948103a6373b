"""This module keeps strings as plain arrays: how long each is, and the bytes of all of them, one behind the other.

numpy's own strings are of one length and lose the zeros at their ends; its objects are read by running code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_strings(strings: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Strings as two plain arrays.

    Args:
        strings: ``bytes``, of any shape.

    Returns:
        The lengths, in the shape of the strings, and all bytes, of one dimension.
    """
    values = strings.ravel().tolist()
    lengths = np.array([len(value) for value in values], np.uint32)
    return lengths.reshape(strings.shape), np.frombuffer(b"".join(values), np.uint8)


def unpack_strings(lengths: NDArray[Any], content: NDArray[Any]) -> NDArray[np.object_]:
    """Strings from two plain arrays, as ``pack_strings`` gives them.

    Raises:
        ValueError: If they are of other types, or the lengths are not those of the bytes.
    """
    if lengths.dtype != np.uint32 or content.dtype != np.uint8 or content.ndim != 1:
        raise ValueError(
            f"expected lengths in uint32 and bytes in uint8 of one dimension, got {lengths.dtype} and "
            f"{content.dtype} of {content.ndim}"
        )
    ends = [0, *np.cumsum(lengths, dtype=np.uint64).tolist()]
    if ends[-1] != content.size:
        raise ValueError(f"expected {ends[-1]} bytes, as the lengths say, got {content.size}")
    joined = content.tobytes()
    strings = np.empty(lengths.size, object)
    strings[:] = [joined[start:end] for start, end in pairwise(ends)]
    return strings.reshape(lengths.shape)
