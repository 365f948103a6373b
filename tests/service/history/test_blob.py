import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.moments import Moments
from service.history.blob import BlobError, decode, encode

EVERY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@st.composite
def moments(draw: st.DrawFn) -> Moments:
    channels = draw(st.integers(0, 5))
    numbers = arrays(np.float64, channels, elements=EVERY_FLOAT)
    return Moments(draw(st.integers(0, 2**63 - 1)), draw(numbers), draw(numbers))


@given(st.lists(moments(), max_size=4))
def test_moments_come_back_bit_by_bit(layers: list[Moments]) -> None:
    back = decode(encode(layers))

    assert [layer.count for layer in back] == [layer.count for layer in layers]
    assert [layer.mean.tobytes() for layer in back] == [layer.mean.tobytes() for layer in layers]
    assert [layer.m2.tobytes() for layer in back] == [layer.m2.tobytes() for layer in layers]


def test_moments_that_were_read_can_be_merged_and_written_again() -> None:
    layer = Moments(3, np.array([1.0, np.nan]), np.array([2.0, np.nan]))

    (back,) = decode(encode([layer]))

    assert back.mean.dtype == np.float64
    assert encode([back.merge(Moments.empty(2))]) == encode([layer])


@pytest.mark.parametrize("count", [-1, 2**63])
def test_a_count_that_has_no_room_is_refused(count: int) -> None:
    layer = Moments(count, np.zeros(1), np.zeros(1))

    with pytest.raises(ValueError, match=r"expected 0 to 2\^63 - 1, got"):
        encode([layer])


BLOB = encode([Moments(3, np.array([1.0, 2.0]), np.array([0.5, 0.25]))])


def packed(plain: bytes) -> bytes:
    return struct.pack(">3sBQ", b"BNM", 1, len(plain)) + zlib.compress(plain)


@pytest.mark.parametrize(
    ("blob", "problem"),
    [
        (b"", "at least 12 bytes"),
        (b"XYZ" + BLOB[3:], "begin with b'BNM'"),
        (BLOB[:3] + b"\x02" + BLOB[4:], "expected version 1, got 2"),
        (BLOB[:4] + b"\xff" * 8 + BLOB[12:], "expected at most"),
        (BLOB[:4] + struct.pack(">Q", 7) + BLOB[12:], "expected 7 bytes and no more"),
        (BLOB[:-1], "and no more, got others"),
        (BLOB + b"\0", "and no more, got others"),
        (BLOB[:-1] + bytes([BLOB[-1] ^ 1]), "damaged"),
        (packed(b"\0\0"), "expected a number of layers, got 2 bytes"),
        (packed(b"\0\0\0\x01"), "expected 1 layers, got 4 bytes"),
        (packed(struct.pack(">IqI", 1, 3, 1)), "expected 16 bytes of numbers, got 0"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_bytes_that_are_no_moments_are_refused(blob: bytes, problem: str) -> None:
    with pytest.raises(BlobError, match=problem):
        decode(blob)
