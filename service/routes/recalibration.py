"""This module lets clients recalibrate a version: its statistics are re-estimated, the next version is a candidate."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from models.recalibration import RecalibrationRecord
from service.inference.served_model import ServedModel
from service.normalization.recalibration import Recalibrations
from service.normalization.recalibration_request import plan_recalibration
from service.protocol.decode import decode_rows
from service.protocol.messages import RowsRequest
from service.protocol.raw import decode_raw
from service.routes.body import BODY_HEADERS, HeldBytes, pick_headers, read_body
from service.routes.dependencies import ControlledModels, DefaultVersion, NamedVersion
from service.routes.json_part import HEADER_LENGTH, decode_json_part, header_length
from service.routes.tensors import BINARY_CONTENT, EXAMPLE, HEADER_LENGTH_PARAMETER, InputTensor
from service.settings import Settings

router = APIRouter(tags=["normalization"])


class RecalibrateParameters(BaseModel):
    """How to recalibrate."""

    prior_rows: int = Field(
        default=0, ge=0, description="So many rows the version's own statistics count as; 0 leaves nothing of them."
    )
    batch_rows: int | None = Field(
        default=None, ge=1, description="Most rows that are normalized together; 128 if left out."
    )
    force: bool = Field(default=False, description="Whether predictions may collapse to few classes.")
    labels: str | None = Field(
        default=None, description="Name of a further tensor of whole numbers, the class of every row."
    )


class RecalibrateRequest(BaseModel):
    """Rows to re-estimate the statistics from; without them a sample is taken of those that were answered of late."""

    parameters: RecalibrateParameters | None = None
    inputs: list[InputTensor] | None = Field(default=None, description="As for inference; all rows of each.")


class Promote(BaseModel):
    """The request that lets a version answer where none is named."""

    path: str = Field(examples=["/v2/repository/models/digits/promote"])
    body: dict[str, str] = Field(examples=[{"version": "2"}])


class Recalibrated(BaseModel):
    """A version was published; it answers requests that name it, until it is promoted."""

    model_name: str = Field(examples=["digits"])
    model_version: str = Field(description="The new one.", examples=["2"])
    recalibration: RecalibrationRecord = Field(description="Where it comes from, and what changed.")
    promote: Promote = Field(description="What to POST if it is to be the default.")


REQUESTS = (RecalibrateRequest,)
"""Bodies that the framework does not parse, and so can't describe by itself."""

_BODY: dict[str, Any] = {
    "parameters": [HEADER_LENGTH_PARAMETER],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/RecalibrateRequest"},
                "example": {**EXAMPLE, "parameters": {"prior_rows": 1200}},
            },
            **BINARY_CONTENT,
        },
    },
}


@router.post("/v2/models/{model}/normalization/recalibrate", openapi_extra=_BODY)
async def recalibrate(_control: ControlledModels, request: Request, served: DefaultVersion) -> Recalibrated:
    """Re-estimate the statistics of the default version from rows, and publish the result as a candidate."""
    return await _recalibrate(request, served)


@router.post("/v2/models/{model}/versions/{version}/normalization/recalibrate", openapi_extra=_BODY)
async def version_recalibrate(_control: ControlledModels, request: Request, served: NamedVersion) -> Recalibrated:
    """Re-estimate the statistics of this version from rows, and publish the result as a candidate."""
    return await _recalibrate(request, served)


async def _recalibrate(request: Request, served: ServedModel) -> Recalibrated:
    state = request.app.state
    settings: Settings = state.settings
    recalibrations: Recalibrations = state.recalibrations
    held: HeldBytes = state.held
    with held.counting() as hold:
        headers = pick_headers(request.scope["headers"], BODY_HEADERS | {HEADER_LENGTH})
        body = await read_body(
            request.receive,
            headers,
            limit=settings.max_request_bytes,
            timeout_s=settings.request_timeout_ms / 1000 or None,
            hold=hold,
        )
        length = header_length(headers)
        if length == 0:
            rows = RowsRequest(decode_raw(body, served.manifest.inputs).inputs, {})
        else:
            rows = await decode_json_part(decode_rows, body or b"{}", length, limit=settings.max_json_bytes)
        task, arrays = plan_recalibration(rows, served, store=settings.store, reservoirs=state.reservoirs)
        published = await recalibrations.run(task, arrays)
    version = str(published.version)
    return Recalibrated(
        model_name=served.name,
        model_version=version,
        recalibration=published.record,
        promote=Promote(path=f"/v2/repository/models/{served.name}/promote", body={"version": version}),
    )
