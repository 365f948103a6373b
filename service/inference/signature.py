"""This module compares the tensors of a request with what a model takes and gives."""

from __future__ import annotations

from collections.abc import Sequence

from models.manifest import TensorRecord
from service.errors import InvalidRequest
from service.protocol.messages import Array, RequestedOutput, Tensor


def match_inputs(tensors: Sequence[Tensor], records: Sequence[TensorRecord]) -> dict[str, Array]:
    """Tensors by name, every one of which is what the model takes.

    Raises:
        InvalidRequest: If one is unknown, missing, there twice, or of another datatype or shape; the text names it.
    """
    known = {record.name: record for record in records}
    inputs: dict[str, Array] = {}
    for index, tensor in enumerate(tensors):
        where = f"inputs[{index}]"
        if tensor.name not in known:
            raise InvalidRequest(f"{where}.name: expected {_one_of(list(known))}, got {tensor.name!r}")
        if tensor.name in inputs:
            raise InvalidRequest(f"{where}.name: expected each input once, got {tensor.name!r} again")
        _match(tensor, known[tensor.name], where)
        inputs[tensor.name] = tensor.array
    if missing := [name for name in known if name not in inputs]:
        raise InvalidRequest(f"inputs: expected all of {', '.join(map(repr, known))}, got none named {missing[0]!r}")
    rows = {name: len(array) for name, array in inputs.items()}
    if len(set(rows.values())) > 1:
        raise InvalidRequest(f"inputs: expected the same number of rows in each, got {rows}")
    return inputs


def match_outputs(requested: Sequence[RequestedOutput] | None, records: Sequence[TensorRecord]) -> list[str]:
    """Names of the outputs to compute, in the order in which the client wants them.

    Raises:
        InvalidRequest: If the model has no output of a name.
    """
    names = [record.name for record in records]
    if requested is None:
        return names
    for index, output in enumerate(requested):
        if output.name not in names:
            raise InvalidRequest(f"outputs[{index}].name: expected {_one_of(names)}, got {output.name!r}")
    return [output.name for output in requested]


def _match(tensor: Tensor, record: TensorRecord, where: str) -> None:
    if tensor.datatype != record.datatype:
        raise InvalidRequest(f"{where}.datatype: expected {record.datatype}, got {tensor.datatype}")
    found = tensor.array.shape
    if not record.accepts(found):
        raise InvalidRequest(f"{where}.shape: expected {list(record.shape)}, got {list(found)}")
    if found and found[0] == 0:
        raise InvalidRequest(f"{where}.shape: expected at least one row, got {list(found)}")


def _one_of(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"one of {', '.join(map(repr, names))}"
