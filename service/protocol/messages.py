"""This module holds an inference request and its answer, as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from models.datatypes import Datatype

Array = NDArray[Any]


class Tensor(NamedTuple):  # these are made for every request, and a frozen dataclass takes four times as long
    """One tensor on the wire; its array is held as ``models.datatypes`` says."""

    name: str
    datatype: Datatype
    array: Array


class RequestedOutput(NamedTuple):
    """One output that a client asked for by name.

    Attributes:
        name: Of the output.
        binary: Whether it is wanted as bytes rather than as JSON.
        classification: How many of its classes are wanted in its place, best first; 0 for the output itself.
    """

    name: str
    binary: bool
    classification: int = 0


class InferenceRequest(NamedTuple):
    """What a client asks.

    Attributes:
        id: To be given back; None where the client sent none.
        inputs: In the order of the request.
        outputs: In the order in which they are wanted; None for all of them.
        binary_outputs: Whether outputs that are not asked for one by one are wanted as bytes.
        timeout_us: Within how many microseconds the client wants its answer; None if it did not say.
        priority: 1 is the highest; 0 leaves it to the server.
    """

    id: str | None
    inputs: Sequence[Tensor]
    outputs: Sequence[RequestedOutput] | None
    binary_outputs: bool
    timeout_us: int | None = None
    priority: int = 0

    def binary_names(self, names: Sequence[str]) -> frozenset[str]:
        """Which of the answer's outputs the client wants as bytes."""
        if self.outputs is None:
            return frozenset(names if self.binary_outputs else ())
        return frozenset(output.name for output in self.outputs if output.binary)


class RowsRequest(NamedTuple):
    """Rows that a client sends, but not to be answered one by one.

    Attributes:
        inputs: In the order of the request; none where the client sent none.
        parameters: Of the request, as they came.
    """

    inputs: Sequence[Tensor]
    parameters: Mapping[str, Any]


class InferenceAnswer(NamedTuple):
    """What a client gets; the outputs named in ``binary`` go as bytes, the others as JSON."""

    model_name: str
    model_version: str
    id: str | None
    outputs: Sequence[Tensor]
    binary: frozenset[str]
