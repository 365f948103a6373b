"""This module holds an inference request and its answer, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.datatypes import Datatype

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor on the wire."""

    name: str
    datatype: Datatype
    array: Array


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """One output that a client asked for by name, and whether it wants bytes rather than JSON numbers."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What a client asks.

    Attributes:
        id: To be given back; None where the client sent none.
        inputs: In the order of the request.
        outputs: In the order in which they are wanted; None for all of them.
        binary_outputs: Whether outputs that are not asked for one by one are wanted as bytes.
    """

    id: str | None
    inputs: Sequence[Tensor]
    outputs: Sequence[RequestedOutput] | None
    binary_outputs: bool

    def binary_names(self, names: Sequence[str]) -> frozenset[str]:
        """Which of the answer's outputs the client wants as bytes."""
        if self.outputs is None:
            return frozenset(names if self.binary_outputs else ())
        return frozenset(output.name for output in self.outputs if output.binary)


@dataclass(frozen=True, slots=True)
class InferenceAnswer:
    """What a client gets; the outputs named in ``binary`` go as bytes, the others as JSON numbers."""

    model_name: str
    model_version: str
    id: str | None
    outputs: Sequence[Tensor]
    binary: frozenset[str]
