"""This module writes an inference answer: JSON, and behind it the bytes of outputs that were wanted as bytes.

An output's JSON data is one flat list, and only binary outputs carry ``parameters``: clients rely on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from service.protocol.messages import InferenceAnswer, Tensor
from service.protocol.numbers import BINARY_ONLY, json_of


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """The body of an answer, and how many bytes of it are JSON; None if all are."""

    body: bytes
    header_length: int | None


def encode_answer(answer: InferenceAnswer) -> EncodedAnswer:
    """Write an answer."""
    blobs: list[bytes] = []
    head: dict[str, str] = {"model_name": answer.model_name, "model_version": answer.model_version}
    if answer.id is not None:
        head["id"] = answer.id
    outputs = b",".join(
        b"".join(_binary(output, blobs) if _goes_as_bytes(output, answer) else _json(output))
        for output in answer.outputs
    )
    header = orjson.dumps(head)[:-1] + b',"outputs":[' + outputs + b"]}"
    if not blobs:
        return EncodedAnswer(header, None)
    return EncodedAnswer(b"".join((header, *blobs)), len(header))


def _goes_as_bytes(output: Tensor, answer: InferenceAnswer) -> bool:
    return output.name in answer.binary or output.datatype in BINARY_ONLY


def _json(output: Tensor) -> Iterator[bytes]:
    yield _description(output)
    yield b',"data":'
    yield json_of(output.array)
    yield b"}"


def _binary(output: Tensor, blobs: list[bytes]) -> Iterator[bytes]:
    blob = np.ascontiguousarray(output.array).tobytes()
    blobs.append(blob)
    yield _description(output)
    yield b',"parameters":{"binary_data_size":%d}}' % len(blob)


def _description(output: Tensor) -> bytes:
    return orjson.dumps({"name": output.name, "shape": output.array.shape, "datatype": output.datatype})[:-1]
