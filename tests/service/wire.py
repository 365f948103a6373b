"""This module speaks the inference protocol for tests, as a client does: written from the specification alone."""

from __future__ import annotations

import json
import struct
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
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "|O",
}
BINARY_DATATYPES = ["BF16", "FP16"]
JSON_DATATYPES = sorted(LITTLE_ENDIAN.keys() - set(BINARY_DATATYPES))
TEXT = st.text(max_size=5).map(str.encode)
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
    blobs = [bytes_of(sent) for sent in inputs if sent.form == "bytes"]
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
            values = strings(*output["data"]) if dtype.hasobject else np.array(output["data"], dtype)
        else:
            size = output["parameters"]["binary_data_size"]
            blob, blobs = blobs[:size], blobs[size:]
            values = strings(*read_strings(blob)) if dtype.hasobject else np.frombuffer(blob, dtype)
        outputs[output["name"]] = values.reshape(output["shape"])
    assert blobs == b""
    return document, outputs


def strings(*values: str | bytes) -> Array:
    """A flat tensor of BYTES."""
    array = np.empty(len(values), object)
    array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def read_strings(blob: bytes) -> list[bytes]:
    """The strings of a tensor of BYTES; every byte must be accounted for."""
    values = []
    while blob:
        (length,) = struct.unpack_from("<I", blob)
        values.append(blob[4 : 4 + length])
        assert len(values[-1]) == length
        blob = blob[4 + length :]
    return values


def arrays_of(
    datatype: Datatype,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
    *,
    text: st.SearchStrategy[bytes] = TEXT,
) -> st.SearchStrategy[Array]:
    """Arrays of a datatype, of up to four dimensions of up to four; strings are of the given text."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4) | st.just(())
    dtype = np.dtype(LITTLE_ENDIAN[datatype])
    # numpy takes an empty object for a number, so there is no fill
    elements, fill = (text, st.nothing()) if dtype.hasobject else (None, None)
    return hnp.arrays(dtype, shapes if shape is None else shape, elements=elements, fill=fill)


def bytes_of(sent: Sent) -> bytes:
    """The bytes of an input, as they go on the wire."""
    if sent.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in sent.array.reshape(-1).tolist())
    return sent.array.astype(LITTLE_ENDIAN[sent.datatype]).tobytes()


def _described(sent: Sent) -> dict[str, Any]:
    head = {"name": sent.name, "shape": sent.array.shape, "datatype": sent.datatype}
    if sent.form == "bytes":
        return {**head, "parameters": {"binary_data_size": len(bytes_of(sent))}}
    array = sent.array.reshape(-1) if sent.form == "flat" or sent.array.ndim == 0 else sent.array
    return {**head, "data": _as_text(array.tolist())}


def _as_text(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
