"""This module turns the moments of all layers of a window into bytes, and back into the same bits.

    b"BNM"  version, 1 byte  length of what follows when unpacked, 8 bytes  zlib(...)

Unpacked there are the number of layers (4 bytes), then count (8) and channels (4) of each, then mean and M2 of each as
float64, stored as eight planes: first the highest byte of every number, then the next. Sign and exponent of numbers of
one size look alike, the digits look like nothing; apart, zlib makes something of the former: it leaves 86 % of the
bytes rather than 96 %. Everything is big-endian. zlib's checksum finds what was damaged.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from models.moments import Array, Moments

MAGIC = b"BNM"
VERSION = 1

_HEAD = struct.Struct(">3sBQ")
_LAYERS = struct.Struct(">I")
_LAYER = struct.Struct(">qI")
_NUMBER = 8  # bytes of a float64
_MOST = (
    2**31
)  # 2 GiB are the moments of 134 million channels; without a bound a damaged length could ask for all memory
_LEVEL = 1  # higher ones gain less than 1 %


class BlobError(ValueError):
    """Bytes are not the moments of layers; the text says what was expected and what came."""


def encode(layers: Sequence[Moments]) -> bytes:
    """The bytes of the moments of all layers.

    Raises:
        ValueError: If a count doesn't fit into 63 bits.
    """
    if too_large := [layer.count for layer in layers if not 0 <= layer.count < 2**63]:
        raise ValueError(f"count of a layer: expected 0 to 2^63 - 1, got {too_large[0]}")
    head = _LAYERS.pack(len(layers)) + b"".join(_LAYER.pack(layer.count, layer.channels) for layer in layers)
    numbers = [array for layer in layers for array in (layer.mean, layer.m2)]
    plain = head + _planes(np.concatenate(numbers) if numbers else np.empty(0))
    return _HEAD.pack(MAGIC, VERSION, len(plain)) + zlib.compress(plain, _LEVEL)


def decode(blob: bytes) -> tuple[Moments, ...]:
    """The moments that were encoded, bit by bit.

    Raises:
        BlobError: If the bytes are of another version, damaged, too short or too long.
    """
    plain = _unpack(blob)
    if len(plain) < _LAYERS.size:
        raise BlobError(f"moments: expected a number of layers, got {len(plain)} bytes")
    (count,) = _LAYERS.unpack_from(plain)
    start = _LAYERS.size + count * _LAYER.size
    if len(plain) < start:
        raise BlobError(f"moments: expected {count} layers, got {len(plain)} bytes")
    shapes = list(_LAYER.iter_unpack(plain[_LAYERS.size : start]))
    expected = 2 * sum(channels for _, channels in shapes) * _NUMBER
    if len(plain) - start != expected:
        raise BlobError(f"moments: expected {expected} bytes of numbers, got {len(plain) - start}")
    return tuple(_layers(shapes, _numbers(plain[start:])))


def _unpack(blob: bytes) -> bytes:
    if len(blob) < _HEAD.size:
        raise BlobError(f"moments: expected at least {_HEAD.size} bytes, got {len(blob)}")
    magic, version, length = _HEAD.unpack_from(blob)
    if magic != MAGIC:
        raise BlobError(f"moments: expected bytes that begin with {MAGIC!r}, got {magic!r}")
    if version != VERSION:
        raise BlobError(f"moments: expected version {VERSION}, got {version}")
    if length > _MOST:
        raise BlobError(f"moments: expected at most {_MOST} bytes, got {length}")
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(blob[_HEAD.size :], length + 1)
    except zlib.error as error:
        raise BlobError(f"moments: damaged: {error}") from error
    if len(plain) != length or not unpacker.eof or unpacker.unused_data:
        raise BlobError(f"moments: expected {length} bytes and no more, got others")
    return plain


def _planes(numbers: Array) -> bytes:
    return numbers.astype(">f8").view(np.uint8).reshape(-1, _NUMBER).T.tobytes()


def _numbers(planes: bytes) -> Array:
    by_number = np.frombuffer(planes, np.uint8).reshape(_NUMBER, -1).T
    return np.ascontiguousarray(by_number).view(">f8").reshape(-1).astype(np.float64)


def _layers(shapes: Sequence[tuple[int, int]], numbers: Array) -> list[Moments]:
    layers, at = [], 0
    for count, channels in shapes:
        mean, m2 = numbers[at : at + channels], numbers[at + channels : at + 2 * channels]
        layers.append(Moments(count, mean, m2))
        at += 2 * channels
    return layers
