"""This module reads what a request asks for beside its inputs: which outputs, in what form, how soon.

Parameters that are not known are ignored, as the protocol asks, but for those that would change what an answer means:
a request of a sequence has state in other servers, and this one has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidRequest
from service.protocol.fields import Json, complaint, read_count, read_flag, read_list, read_object, read_string
from service.protocol.messages import RequestedOutput

RESERVED_PREFIX = "triton_"
SEQUENCE_PARAMETERS: Mapping[str, tuple[Json, ...]] = {
    "sequence_id": (None, 0, ""),
    "sequence_start": (None, False),
    "sequence_end": (None, False),
}
"""Parameters of a sequence, and by which values a request says that it belongs to none."""


@dataclass(frozen=True, slots=True)
class RequestParameters:
    """The parameters of a whole request, as ``InferenceRequest`` has them."""

    binary_outputs: bool = False
    timeout_us: int | None = None
    priority: int = 0


NO_PARAMETERS = RequestParameters()


def read_parameters(value: Json) -> RequestParameters:
    """Read the parameters of a request.

    Raises:
        InvalidRequest: If one is of another type, belongs to a sequence, or is reserved.
    """
    if value is None:
        return NO_PARAMETERS
    parameters = read_object(value, "parameters")
    for name in parameters:
        if name in SEQUENCE_PARAMETERS and parameters[name] not in SEQUENCE_PARAMETERS[name]:
            raise complaint(f"parameters.{name}", "none, since there are no sequences here", parameters[name])
        if name.startswith(RESERVED_PREFIX):
            raise InvalidRequest(f"parameters: expected no name that starts with {RESERVED_PREFIX}, got {name[:40]!r}")
    return RequestParameters(
        read_flag(parameters.get("binary_data_output"), "parameters.binary_data_output", default=False),
        read_count(parameters.get("timeout"), "parameters.timeout", default=0) or None,
        read_count(parameters.get("priority"), "parameters.priority", default=0),
    )


def read_outputs(value: Json, *, binary_by_default: bool) -> list[RequestedOutput] | None:
    """Read the outputs that a request asks for; None where it asks for all.

    Raises:
        InvalidRequest: If a field is of another type, or an output comes twice.
    """
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
        outputs[name] = RequestedOutput(
            name,
            read_flag(parameters.get("binary_data"), f"{where}.parameters.binary_data", default=binary_by_default),
            read_count(parameters.get("classification"), f"{where}.parameters.classification", default=0),
        )
    return list(outputs.values())
