"""This module compares the tensors of a request with what a model takes and gives."""

from __future__ import annotations

from collections.abc import Sequence

from models.manifest import TensorRecord
from service.errors import InvalidRequest
from service.protocol.messages import Array, RequestedOutput, Tensor


class Signature:
    """What a model takes and gives.

    Args:
        inputs: All of its inputs.
        outputs: All of its outputs.
    """

    def __init__(self, inputs: Sequence[TensorRecord], outputs: Sequence[TensorRecord]) -> None:
        self._inputs = {record.name: record for record in inputs}
        self._outputs = [record.name for record in outputs]
        self._usual = None
        if len(inputs) == 1 and inputs[0].shape[0] == -1 and -1 not in inputs[0].shape[1:]:
            self._usual = inputs[0].name, inputs[0].datatype, tuple(inputs[0].shape[1:])

    def match_inputs(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Tensors by name, every one of which is what the model takes, in the model's own order.

        Raises:
            InvalidRequest: If one is unknown, missing, there twice, or of another datatype or shape; the text names it.
        """
        if self._usual is not None and len(tensors) == 1:
            tensor = tensors[0]
            shape = tensor.array.shape
            if (tensor.name, tensor.datatype, shape[1:]) == self._usual and shape and shape[0]:
                return {tensor.name: tensor.array}
        return self._match_each(tensors)

    def match_outputs(self, requested: Sequence[RequestedOutput] | None) -> Sequence[str]:
        """Names of the outputs to compute, in the order in which the client wants them.

        Raises:
            InvalidRequest: If the model has no output of a name.
        """
        names = self._outputs
        if requested is None:
            return names
        for index, output in enumerate(requested):
            if output.name not in names:
                raise InvalidRequest(f"outputs[{index}].name: expected {_one_of(names)}, got {output.name!r}")
        return [output.name for output in requested]

    def _match_each(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        known = self._inputs
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
            raise InvalidRequest(
                f"inputs: expected all of {', '.join(map(repr, known))}, got none named {missing[0]!r}"
            )
        rows = {name: len(array) for name, array in inputs.items()}
        if len(set(rows.values())) > 1:
            raise InvalidRequest(f"inputs: expected the same number of rows in each, got {rows}")
        return {name: inputs[name] for name in known}


def _match(tensor: Tensor, record: TensorRecord, where: str) -> None:
    if tensor.datatype != record.datatype:
        raise InvalidRequest(f"{where}.datatype: expected {record.datatype}, got {tensor.datatype}")
    found = tensor.array.shape
    if not record.accepts(found):
        raise InvalidRequest(f"{where}.shape: expected {list(record.shape)}, got {list(found)}")
    if found and found[0] == 0:
        raise InvalidRequest(f"{where}.shape: expected at least one row, got {list(found)}")


def _one_of(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"one of {', '.join(map(repr, names))}"
