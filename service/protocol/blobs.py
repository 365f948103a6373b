"""This module reads the bytes of tensors that were sent as bytes: little-endian, row by row, without padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.strings import strings_from_bytes


class Blobs:
    """The bytes behind the JSON, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: int, where: str) -> memoryview:
        """The next bytes.

        Raises:
            InvalidRequest: If there are not so many left.
        """
        if size > len(self._data):
            raise InvalidRequest(f"{where}: expected {size} bytes behind the JSON, got {len(self._data)}")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def expect_end(self) -> None:
        """See that nothing is left.

        Raises:
            InvalidRequest: If there is.
        """
        if self._data:
            raise InvalidRequest(
                f"request: expected no bytes behind those of the inputs, got {len(self._data)} more; "
                "is Inference-Header-Content-Length right, and every binary_data_size?"
            )


def array_from_bytes(data: memoryview, datatype: Datatype, count: int, where: str) -> NDArray[Any]:
    """A flat array of as many values as are expected; for all but BYTES the data is of exactly the size they take.

    Raises:
        InvalidRequest: If the data is no such values.
    """
    if datatype == "BYTES":
        return strings_from_bytes(data, count, where)
    if datatype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise InvalidRequest(f"{where}: expected bytes 0 and 1 in a tensor of BOOL, got others")
    array: NDArray[Any] = np.frombuffer(data, DATATYPES[datatype])
    # Bytes start where the JSON ends, which need not be where the processor can load numbers from.
    return array if array.flags.aligned else array.copy()
