"""This module reads an inference request: JSON, and behind it the bytes of tensors that were sent as bytes.

With the binary extension a body is JSON of a length that is told apart, then each binary input's bytes in the order
of ``inputs``, without padding. Fields that are not known are ignored, as the protocol asks.

Source: Open Inference Protocol, REST; Triton's binary tensor data extension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.blobs import Blobs, array_from_bytes
from service.protocol.documents import parse_request
from service.protocol.fields import Json, complaint, read_count, read_counts, read_list, read_object, read_string
from service.protocol.messages import InferenceRequest, RequestedOutput, RowsRequest, Tensor
from service.protocol.numbers import array_of
from service.protocol.requested import RequestParameters, read_outputs, read_parameters

MAX_DIMENSIONS = 32
MAX_VALUES = 2**40
"""Far beyond any body that is taken; what numpy can count is a little further."""


KEPT_HEADS = 256
KEPT_HEAD_BYTES = 1024
"""A client that sends tensors as bytes sends the same JSON before them each time, or one that differs by its id. So
what the last short ones said is kept; the tensors themselves are none of it."""


def decode_request(body: bytes, *, header_length: int | None = None) -> InferenceRequest:
    """Read a request.

    Args:
        body: All of it.
        header_length: How many bytes of it are JSON; None if all are.

    Raises:
        InvalidRequest: If any part of it is not as the protocol says; the text names the field.
    """
    head, blobs = _parts(body, header_length)
    if head.inputs is None:
        raise InvalidRequest(
            "request: expected inputs, a list of tensors with name, datatype, shape and data, got none"
        )
    request = InferenceRequest(
        id=head.id,
        inputs=_tensors(head.inputs, blobs),
        outputs=head.outputs,
        binary_outputs=head.parameters.binary_outputs,
        timeout_us=head.parameters.timeout_us,
        priority=head.parameters.priority,
    )
    blobs.expect_end()
    return request


def decode_rows(body: bytes, *, header_length: int | None = None) -> RowsRequest:
    """Read a request that may bring rows, as an inference request does, or none.

    Raises:
        InvalidRequest: As ``decode_request``, but for inputs that are left out.
    """
    head, blobs = _parts(body, header_length)
    request = RowsRequest(_tensors(head.inputs or (), blobs), head.all_parameters)
    blobs.expect_end()
    return request


class _Given(NamedTuple):
    """One input as the JSON describes it: with data, or with the size of its bytes."""

    name: str
    datatype: Datatype
    shape: Sequence[int]
    size: int | None
    data: Json


class _Head(NamedTuple):
    """What the JSON of a request says; without inputs where it has no such field."""

    id: str | None
    inputs: Sequence[_Given] | None
    outputs: Sequence[RequestedOutput] | None
    parameters: RequestParameters
    all_parameters: Mapping[str, Json]


def _parts(body: bytes, header_length: int | None) -> tuple[_Head, Blobs]:
    """The JSON of a request, read, and the bytes behind it."""
    if header_length is None:
        return _read_head(body), Blobs(memoryview(b""))
    if 0 < header_length <= len(body):
        read = _kept_head if header_length <= min(KEPT_HEAD_BYTES, len(body) - 1) else _read_head
        return read(body[:header_length]), Blobs(memoryview(body)[header_length:])
    raise InvalidRequest(
        f"Inference-Header-Content-Length: expected 1 to {len(body)}, the length of the body, got {header_length}"
    )


def _read_head(text: bytes) -> _Head:
    document = parse_request(text)
    if not isinstance(document, dict):
        raise complaint("request", "an object", document)
    identifier, inputs = document.get("id"), document.get("inputs")
    parameters = read_parameters(document.get("parameters"))
    return _Head(
        None if identifier is None else read_string(identifier, "id"),
        None
        if inputs is None
        else [_input(item, f"inputs[{index}]") for index, item in enumerate(read_list(inputs, "inputs"))],
        read_outputs(document.get("outputs"), binary_by_default=parameters.binary_outputs),
        parameters,
        document.get("parameters") or {},
    )


_kept_head = lru_cache(KEPT_HEADS)(_read_head)


def _input(item: Json, where: str) -> _Given:
    if not isinstance(item, dict):
        raise complaint(where, "an object", item)
    name = read_string(item.get("name"), f"{where}.name")
    datatype = _datatype(item.get("datatype"), f"{where}.datatype")
    shape = _shape(item.get("shape"), f"{where}.shape")
    size = read_object(item.get("parameters"), f"{where}.parameters").get("binary_data_size")
    if size is None:
        if "data" not in item:
            raise InvalidRequest(f"{where}: expected data or parameters.binary_data_size, got neither")
        return _Given(name, datatype, shape, None, item["data"])
    if "data" in item:
        raise InvalidRequest(f"{where}: expected either data or parameters.binary_data_size, got both")
    field = f"{where}.parameters.binary_data_size"
    expected = math.prod(shape) * DATATYPES[datatype].itemsize
    if read_count(size, field) != expected and datatype != "BYTES":
        raise InvalidRequest(f"{field}: expected {expected}, as {datatype} of shape {shape} takes, got {size}")
    return _Given(name, datatype, shape, size, None)


def _tensors(given: Sequence[_Given], blobs: Blobs) -> list[Tensor]:
    return [_tensor(one, f"inputs[{index}]", blobs) for index, one in enumerate(given)]


def _tensor(given: _Given, where: str, blobs: Blobs) -> Tensor:
    name, datatype, shape, size, data = given
    if size is None:
        flat = array_of(data, datatype, f"{where}.data")
        if flat.size != math.prod(shape):
            raise InvalidRequest(
                f"{where}.data: expected {math.prod(shape)} values, as shape {shape} says, got {flat.size}"
            )
    else:
        taken = blobs.take(size, f"{where}.parameters.binary_data_size")
        flat = array_from_bytes(taken, datatype, math.prod(shape), where)
    return Tensor(name, datatype, flat.reshape(shape))


def _datatype(value: Json, where: str) -> Datatype:
    if not isinstance(value, str) or value not in DATATYPES:
        raise complaint(where, f"one of {', '.join(DATATYPES)}", value)
    return cast(Datatype, value)


def _shape(value: Json, where: str) -> list[int]:
    shape = read_counts(value, where)
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidRequest(f"{where}: expected at most {MAX_DIMENSIONS} dimensions, got {len(shape)}")
    if math.prod([size or 1 for size in shape]) > MAX_VALUES:
        raise complaint(where, f"at most {MAX_VALUES} values", shape)
    return shape
