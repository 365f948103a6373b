"""This module writes an inference answer: JSON, and behind it the bytes of outputs that were wanted as bytes.

An output's JSON data is one flat list, and only binary outputs carry ``parameters``: clients rely on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import orjson

from models.datatypes import Datatype
from service.protocol.messages import InferenceAnswer, Tensor
from service.protocol.numbers import BINARY_ONLY, json_of
from service.protocol.strings import strings_to_bytes, strings_to_json


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """The body of an answer, and how many bytes of it are JSON; None if all are."""

    body: bytes
    header_length: int | None


def encode_answer(answer: InferenceAnswer) -> EncodedAnswer:
    """Write an answer.

    Raises:
        InvalidRequest: If JSON was asked for, and can't say what an output holds.
    """
    blobs: list[bytes] = []
    outputs = b",".join([_output(output, answer.binary, blobs) for output in answer.outputs])
    identifier = b"" if answer.id is None else b',"id":' + orjson.dumps(answer.id)
    header = b'%b%b,"outputs":[%b]}' % (_head(answer.model_name, answer.model_version), identifier, outputs)
    if not blobs:
        return EncodedAnswer(header, None)
    return EncodedAnswer(b"".join((header, *blobs)), len(header))


def _output(output: Tensor, binary: frozenset[str], blobs: list[bytes]) -> bytes:
    datatype, array = output.datatype, output.array
    description = _description(output.name, datatype, array.shape)
    if output.name in binary or datatype in BINARY_ONLY:
        blob = strings_to_bytes(array) if datatype == "BYTES" else array.tobytes()
        blobs.append(blob)
        return b'%b,"parameters":{"binary_data_size":%d}}' % (description, len(blob))
    data = strings_to_json(array, output.name) if datatype == "BYTES" else json_of(array)
    return b'%b,"data":%b}' % (description, data)


# Every answer of a model starts so; both texts are made of what the models are called, never of what clients send.
@lru_cache(maxsize=1024)
def _head(model_name: str, model_version: str) -> bytes:
    return orjson.dumps({"model_name": model_name, "model_version": model_version})[:-1]


@lru_cache(maxsize=1024)
def _description(name: str, datatype: Datatype, shape: tuple[int, ...]) -> bytes:
    return orjson.dumps({"name": name, "shape": shape, "datatype": datatype})[:-1]
