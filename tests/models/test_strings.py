import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from models.strings import pack_strings, unpack_strings

# numpy takes an empty object for a number, so there is no fill
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
STRINGS = hnp.arrays(np.dtype(object), SHAPES, elements=st.binary(max_size=6), fill=st.nothing())


@given(STRINGS)
def test_any_strings_come_back_as_they_were(strings: NDArray[np.object_]) -> None:
    lengths, content = pack_strings(strings)

    unpacked = unpack_strings(lengths, content)

    np.testing.assert_array_equal(unpacked, strings, strict=True)
    assert (lengths.shape, str(lengths.dtype), str(content.dtype)) == (strings.shape, "uint32", "uint8")


@pytest.mark.parametrize("num_bytes", [0, 4, 6])
def test_lengths_that_are_not_those_of_the_bytes_are_refused(num_bytes: int) -> None:
    lengths = np.array([2, 3], np.uint32)

    with pytest.raises(ValueError, match=f"expected 5 bytes, as the lengths say, got {num_bytes}"):
        unpack_strings(lengths, np.zeros(num_bytes, np.uint8))
