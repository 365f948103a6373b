"""This module is what the service and the process that recalibrates for it say to one another.

The task goes first: one line of JSON, then the rows as an ``.npz`` file of as many bytes as the line says, one array an
input and, if there are labels, one more. The answer is JSON: the version that was published, or why there is none.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.draft import pack_arrays
from models.recalibration import RecalibrationRecord
from service.errors import EngineError, InvalidRequest, NotFound, NotReady, ServiceError, StoreUnwritable

Arrays = dict[str, NDArray[Any]]

Refusal = Literal["InvalidRequest", "NotFound", "NotReady", "StoreUnwritable"]
REFUSALS: Mapping[Refusal, type[ServiceError]] = {
    "InvalidRequest": InvalidRequest,
    "NotFound": NotFound,
    "NotReady": NotReady,
    "StoreUnwritable": StoreUnwritable,
}
"""Errors that the process can tell; whatever else ends it is a defect."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecalibrationTask(_Message):
    """What is to be recalibrated, and how; the numbers are those of ``folding.recalibration``.

    Attributes:
        store: Path of the store.
        model: Name of the model.
        version: Which one of it.
        prior_rows: So many rows its own statistics count as.
        batch_rows: Most rows that are normalized together; None for the default.
        force: Whether predictions may collapse.
        labels: The name of the array that holds the class of every row; None for no labels.
        data: What the rows are, in words.
    """

    store: str
    model: str
    version: int
    prior_rows: int = 0
    batch_rows: int | None = None
    force: bool = False
    labels: str | None = None
    data: str


class Published(_Message):
    """A version was published, by this record."""

    version: int
    record: RecalibrationRecord


class Refused(_Message):
    """Nothing was published; the text says why."""

    kind: Refusal
    text: str


class _Header(_Message):
    task: RecalibrationTask
    bytes: int


_ANSWER: TypeAdapter[Published | Refused] = TypeAdapter(Published | Refused)


def pack_task(task: RecalibrationTask, arrays: Arrays) -> bytes:
    """A task on its way to the process.

    Raises:
        InvalidRequest: If an array holds strings.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise InvalidRequest(f"inputs: expected numbers in {name!r}, got BYTES")
    packed = pack_arrays(arrays)
    return _Header(task=task, bytes=len(packed)).model_dump_json().encode() + b"\n" + packed


def read_task(stream: BinaryIO) -> tuple[RecalibrationTask, dict[str, NDArray[Any]]]:
    """The task that was packed, and its arrays."""
    header = _Header.model_validate_json(stream.readline())
    with np.load(io.BytesIO(stream.read(header.bytes)), allow_pickle=False) as archive:
        return header.task, dict(archive)


def pack_answer(answer: Published | Refused) -> bytes:
    """An answer on its way to the service."""
    return answer.model_dump_json().encode()


def read_answer(text: bytes) -> Published:
    """The version that was published.

    Raises:
        ServiceError: If none was; the kind is the one that the process told.
        EngineError: If it told nothing that can be understood.
    """
    try:
        answer = _ANSWER.validate_json(text)
    except ValidationError as error:
        raise EngineError("recalibration: the process ended without an answer; the log has the details") from error
    if isinstance(answer, Refused):
        raise REFUSALS[answer.kind](answer.text)
    return answer
