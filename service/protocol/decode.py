"""This module reads an inference request: JSON, and behind it the bytes of tensors that were sent as bytes.

With the binary extension a body is JSON of a length that is told apart, then each binary input's bytes in the order
of ``inputs``, without padding. Fields that are not known are ignored, as the protocol asks.

Source: Open Inference Protocol, REST; Triton's binary tensor data extension.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.fields import (
    Json,
    complaint,
    parse_json,
    read_count,
    read_flag,
    read_list,
    read_object,
    read_string,
)
from service.protocol.messages import InferenceRequest, RequestedOutput, Tensor
from service.protocol.numbers import array_of

MAX_DIMENSIONS = 32
MAX_VALUES = 2**40
"""Far beyond any body that is taken; what numpy can count is a little further."""


def decode_request(body: bytes, *, header_length: int | None = None) -> InferenceRequest:
    """Read a request.

    Args:
        body: All of it.
        header_length: How many bytes of it are JSON; None if all are.

    Raises:
        InvalidRequest: If any part of it is not as the protocol says; the text names the field.
    """
    if header_length is not None and not 0 < header_length <= len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length: expected 1 to {len(body)}, the length of the body, got {header_length}"
        )
    json_length = len(body) if header_length is None else header_length
    blobs = _Blobs(memoryview(body)[json_length:])
    document = parse_json(memoryview(body)[:json_length])
    if not isinstance(document, dict):
        raise complaint("request", "an object", document)
    parameters = read_object(document.get("parameters"), "parameters")
    binary_outputs = read_flag(parameters.get("binary_data_output"), "parameters.binary_data_output", default=False)
    request = InferenceRequest(
        id=None if document.get("id") is None else read_string(document["id"], "id"),
        inputs=[
            _input(item, f"inputs[{index}]", blobs)
            for index, item in enumerate(read_list(document.get("inputs"), "inputs"))
        ],
        outputs=_outputs(document.get("outputs"), binary_outputs),
        binary_outputs=binary_outputs,
    )
    blobs.expect_end()
    return request


class _Blobs:
    """The bytes behind the JSON, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: int, where: str) -> memoryview:
        if size > len(self._data):
            raise InvalidRequest(f"{where}: expected {size} bytes behind the JSON, got {len(self._data)}")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def expect_end(self) -> None:
        if self._data:
            raise InvalidRequest(
                f"request: expected no bytes behind those of the inputs, got {len(self._data)} more; "
                "is Inference-Header-Content-Length right, and every binary_data_size?"
            )


def _input(item: Json, where: str, blobs: _Blobs) -> Tensor:
    if not isinstance(item, dict):
        raise complaint(where, "an object", item)
    name = read_string(item.get("name"), f"{where}.name")
    datatype = _datatype(item.get("datatype"), f"{where}.datatype")
    shape = _shape(item.get("shape"), f"{where}.shape")
    size = read_object(item.get("parameters"), f"{where}.parameters").get("binary_data_size")
    if size is None:
        flat = _from_json(item, datatype, where)
    elif "data" in item:
        raise InvalidRequest(f"{where}: expected either data or parameters.binary_data_size, got both")
    else:
        flat = _from_bytes(blobs, size, shape, datatype, where)
    if flat.size != math.prod(shape):
        raise InvalidRequest(
            f"{where}.data: expected {math.prod(shape)} values, as shape {shape} says, got {flat.size}"
        )
    return Tensor(name, datatype, flat.reshape(shape))


def _datatype(value: Json, where: str) -> Datatype:
    if not isinstance(value, str) or value not in DATATYPES:
        raise complaint(where, f"one of {', '.join(DATATYPES)}", value)
    return cast(Datatype, value)


def _shape(value: Json, where: str) -> list[int]:
    sizes = read_list(value, where)
    if len(sizes) > MAX_DIMENSIONS:
        raise InvalidRequest(f"{where}: expected at most {MAX_DIMENSIONS} dimensions, got {len(sizes)}")
    shape = [read_count(size, f"{where}[{axis}]") for axis, size in enumerate(sizes)]
    if math.prod(size or 1 for size in shape) > MAX_VALUES:
        raise complaint(where, f"at most {MAX_VALUES} values", shape)
    return shape


def _from_json(item: dict[str, Json], datatype: Datatype, where: str) -> NDArray[Any]:
    if "data" not in item:
        raise InvalidRequest(f"{where}: expected data or parameters.binary_data_size, got neither")
    return array_of(item["data"], datatype, f"{where}.data")


def _from_bytes(blobs: _Blobs, size: Json, shape: list[int], datatype: Datatype, where: str) -> NDArray[Any]:
    field = f"{where}.parameters.binary_data_size"
    dtype = DATATYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if read_count(size, field) != expected:
        raise InvalidRequest(f"{field}: expected {expected}, as {datatype} of shape {shape} takes, got {size}")
    data = blobs.take(size, field)
    if datatype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise InvalidRequest(f"{where}: expected bytes 0 and 1 in a tensor of BOOL, got others")
    # Bytes start where the JSON ends, which need not be where the processor can load numbers from.
    return np.require(np.frombuffer(data, dtype), requirements="A")


def _outputs(value: Json, binary_by_default: bool) -> list[RequestedOutput] | None:
    if not value and (value is None or value == []):  # some clients send an empty list for "all"
        return None
    outputs: dict[str, RequestedOutput] = {}
    for index, item in enumerate(read_list(value, "outputs")):
        where = f"outputs[{index}]"
        if not isinstance(item, dict):
            raise complaint(where, "an object", item)
        name = read_string(item.get("name"), f"{where}.name")
        if name in outputs:
            raise InvalidRequest(f"{where}.name: expected each output once, got {name!r} again")
        parameters = read_object(item.get("parameters"), f"{where}.parameters")
        if parameters.get("classification"):
            raise InvalidRequest(f"{where}.parameters.classification: this extension is not served here")
        binary = read_flag(parameters.get("binary_data"), f"{where}.parameters.binary_data", default=binary_by_default)
        outputs[name] = RequestedOutput(name, binary)
    return list(outputs.values())
