"""This module reads a request without JSON: the body is the one input's tensor, as bytes.

What JSON would say follows from what the model takes, and from how many bytes came. All outputs go as bytes.

Source: Triton's binary tensor data extension, raw binary requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.datatypes import DATATYPES
from models.manifest import TensorRecord
from service.errors import InvalidRequest
from service.protocol.blobs import array_from_bytes
from service.protocol.messages import InferenceRequest, Tensor
from service.protocol.strings import strings_of


def decode_raw(body: bytes, records: Sequence[TensorRecord]) -> InferenceRequest:
    """Read a request whose body is a tensor.

    Where only the first dimension varies, the body is as many rows as it has bytes for. Where another one does, it is
    one row, and the other dimension follows from the bytes. Of BYTES the body is one string, without its length.

    Args:
        body: All of it.
        records: What the model takes.

    Raises:
        InvalidRequest: If the model takes several inputs, or one whose shape the number of bytes can't tell; or if
            they are not the bytes of whole rows.
    """
    if len(records) != 1:
        raise InvalidRequest(
            f"request: expected JSON, since the body can only be a tensor where there is one input, got {len(records)}"
        )
    record = records[0]
    if record.datatype == "BYTES":
        array = strings_of([body]).reshape(_shape_of_one(record))
    else:
        shape = _shape_of_many(record, len(body))
        array = array_from_bytes(memoryview(body), record.datatype, math.prod(shape), "request").reshape(shape)
    return InferenceRequest(None, [Tensor(record.name, record.datatype, array)], None, binary_outputs=True)


def _shape_of_one(record: TensorRecord) -> list[int]:
    """The shape of one string."""
    if any(size != 1 for size in record.shape[1:]):
        raise InvalidRequest(
            f"request: expected JSON, since the body is one string, and {record.name!r} is of shape "
            f"{list(record.shape)}"
        )
    return [1] * len(record.shape)


def _shape_of_many(record: TensorRecord, num_bytes: int) -> list[int]:
    """The shape of as many numbers as the bytes are, the last varying dimension filled in."""
    shape = list(record.shape)
    varying = [axis for axis, size in enumerate(shape) if size == -1]
    if 0 in varying[:-1]:
        shape[0] = 1
        varying = varying[1:]
    if len(varying) > 1:
        raise InvalidRequest(
            f"request: expected JSON, since more than one dimension of {record.name!r} beside the batch varies: "
            f"its shape is {list(record.shape)}"
        )
    unit = DATATYPES[record.datatype].itemsize * math.prod(size for size in shape if size != -1)
    if varying:
        shape[varying[0]] = num_bytes // unit if unit else 0
    if num_bytes != unit * math.prod(shape[axis] for axis in varying) or not num_bytes:
        many = "a multiple of " if varying else ""
        raise InvalidRequest(
            f"request: expected {many}{unit} bytes, as {record.datatype} of shape {list(record.shape)} takes, "
            f"got {num_bytes}"
        )
    return shape
