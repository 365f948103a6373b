"""This module is what all parts of the manifest share."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, StringConstraints


class Record(BaseModel):
    """What all parts of the manifest are: frozen, strict, no unknown field, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _finite(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse NaN and infinity at any depth, which are no JSON."""
    try:
        json.dumps(fields, allow_nan=False)
    except ValueError as error:
        raise ValueError("expected finite numbers, got NaN or infinity") from error
    return fields


Arguments = Annotated[dict[str, JsonValue], AfterValidator(_finite)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
