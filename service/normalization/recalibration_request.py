"""This module makes a task for recalibration of what a client asks: rows that it sends, or those that were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from service.errors import InvalidRequest
from service.inference.served_model import ServedModel
from service.inference.signature import Signature
from service.normalization.recalibration_task import Arrays, RecalibrationTask
from service.normalization.reservoirs import Reservoirs
from service.protocol.fields import Json, read_count, read_flag, read_string
from service.protocol.messages import RowsRequest, Tensor

PARAMETERS = ("prior_rows", "batch_rows", "force", "labels")
OF_INFERENCE = ("binary_data_output", "timeout", "priority")
"""Parameters that clients put into every body with tensors; they mean nothing here."""

SENT = "rows that were sent to the service"
KEPT = "a sample of the rows that the service answered of late"


def plan_recalibration(
    request: RowsRequest, served: ServedModel, *, store: Path, reservoirs: Reservoirs | None
) -> tuple[RecalibrationTask, Arrays]:
    """What is to be done, and with which rows.

    Args:
        request: As it was decoded.
        served: The version that it is about.
        store: Where that comes from.
        reservoirs: The rows that were kept; None where none are.

    Raises:
        InvalidRequest: If the rows are none that the model takes, there are none, or a parameter is not known.
    """
    parameters = request.parameters
    for name in parameters:
        if name not in (*PARAMETERS, *OF_INFERENCE):
            raise InvalidRequest(f"parameters: expected any of {', '.join(PARAMETERS)}, got {name[:40]!r}")
    labels = parameters.get("labels")
    if labels is not None:
        labels = read_string(labels, "parameters.labels")
    rows = _sent(request.inputs, served, labels) if request.inputs else _kept(served, reservoirs, labels)
    task = RecalibrationTask(
        store=str(store),
        model=served.name,
        version=served.manifest.version,
        prior_rows=read_count(parameters.get("prior_rows"), "parameters.prior_rows", default=0),
        batch_rows=_optional_count(parameters, "batch_rows"),
        force=read_flag(parameters.get("force"), "parameters.force", default=False),
        labels=labels,
        data=SENT if request.inputs else KEPT,
    )
    return task, rows


def _sent(inputs: Sequence[Tensor], served: ServedModel, labels: str | None) -> Arrays:
    """The rows that a request brings, each input of the model, and the labels beside them."""
    signature = Signature(served.manifest.inputs, served.manifest.outputs)
    if labels is None:
        return signature.match_inputs(inputs)
    classes = [tensor for tensor in inputs if tensor.name == labels]
    if len(classes) != 1 or any(record.name == labels for record in served.manifest.inputs):
        raise InvalidRequest(f"parameters.labels: expected the name of one tensor beside the inputs, got {labels!r}")
    return {**signature.match_inputs([tensor for tensor in inputs if tensor.name != labels]), labels: classes[0].array}


def _kept(served: ServedModel, reservoirs: Reservoirs | None, labels: str | None) -> Arrays:
    if labels is not None:
        raise InvalidRequest("parameters.labels: expected none where no rows are sent, nobody knows their classes")
    if reservoirs is None:
        raise InvalidRequest(
            "inputs: expected rows, got none; for a sample of the rows that are answered set reservoir_rows, it is 0"
        )
    rows = reservoirs.of(served).rows()
    if not rows:
        raise InvalidRequest(
            f"inputs: expected rows, got none, and of those that version {served.version} answered none was kept yet"
        )
    return rows


def _optional_count(parameters: Mapping[str, Json], name: str) -> int | None:
    value = parameters.get(name)
    return None if value is None else read_count(value, f"parameters.{name}")
