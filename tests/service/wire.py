"""This module speaks the inference protocol for tests, as a client does: written from the specification alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from models.datatypes import Datatype

Array = NDArray[Any]
Form = Literal["nested", "flat", "bytes"]

LITTLE_ENDIAN: Mapping[Datatype, str] = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
JSON_DATATYPES = sorted(LITTLE_ENDIAN.keys() - {"FP16"})
INTEGER_DATATYPES = [datatype for datatype in JSON_DATATYPES if "INT" in datatype]


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """One input as a client has it, and the form in which it goes on the wire."""

    name: str
    datatype: Datatype
    array: Array
    form: Form = "nested"


def body_of(inputs: Sequence[Sent], **fields: object) -> tuple[bytes, int]:
    """The body of a request, and how many bytes of it are JSON."""
    header = json.dumps({"inputs": [_described(sent) for sent in inputs], **fields}).encode()
    blobs = [_bytes_of(sent) for sent in inputs if sent.form == "bytes"]
    return b"".join((header, *blobs)), len(header)


def read_answer(body: bytes, header_length: int | None) -> tuple[dict[str, Any], dict[str, Array]]:
    """An answer's JSON, and its outputs by name in the order in which they came; every byte must be accounted for."""
    header_length = len(body) if header_length is None else header_length
    document, blobs = json.loads(body[:header_length]), body[header_length:]
    outputs: dict[str, Array] = {}
    for output in document["outputs"]:
        dtype = np.dtype(LITTLE_ENDIAN[output["datatype"]])
        if "data" in output:
            assert "parameters" not in output
            values = np.array(output["data"], dtype)
        else:
            size = output["parameters"]["binary_data_size"]
            values, blobs = np.frombuffer(blobs[:size], dtype), blobs[size:]
        outputs[output["name"]] = values.reshape(output["shape"])
    assert blobs == b""
    return document, outputs


def arrays_of(datatype: Datatype, shape: st.SearchStrategy[tuple[int, ...]] | None = None) -> st.SearchStrategy[Array]:
    """Arrays of a datatype, of up to four dimensions of up to four."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4) | st.just(())
    return hnp.arrays(np.dtype(LITTLE_ENDIAN[datatype]), shapes if shape is None else shape)


def _described(sent: Sent) -> dict[str, Any]:
    head = {"name": sent.name, "shape": sent.array.shape, "datatype": sent.datatype}
    if sent.form == "bytes":
        return {**head, "parameters": {"binary_data_size": len(_bytes_of(sent))}}
    array = sent.array.reshape(-1) if sent.form == "flat" or sent.array.ndim == 0 else sent.array
    return {**head, "data": array.tolist()}


def _bytes_of(sent: Sent) -> bytes:
    return sent.array.astype(LITTLE_ENDIAN[sent.datatype]).tobytes()
