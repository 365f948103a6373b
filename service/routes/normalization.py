"""This module answers what the normalization layers of a model are and what they were trained on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from service.errors import NotFound
from service.inference.served_model import ServedModel
from service.normalization.report import LayerDetail, NormalizationReport, describe_layer, describe_layers
from service.routes.dependencies import DefaultVersion, NamedVersion

router = APIRouter(tags=["normalization"])

LayerName = Annotated[str, Path(description="Qualified name of a normalization layer.", examples=["features.1"])]


@router.get("/v2/models/{model}/normalization")
async def normalization(served: DefaultVersion) -> NormalizationReport:
    """Every normalization layer of the default version, in the order in which data meets them."""
    return describe_layers(served)


@router.get("/v2/models/{model}/versions/{version}/normalization")
async def version_normalization(served: NamedVersion) -> NormalizationReport:
    """Every normalization layer of this version, in the order in which data meets them."""
    return describe_layers(served)


@router.get("/v2/models/{model}/normalization/layers/{layer}")
async def normalization_layer(served: DefaultVersion, layer: LayerName) -> LayerDetail:
    """One layer of the default version, channel by channel."""
    return _described(served, layer)


@router.get("/v2/models/{model}/versions/{version}/normalization/layers/{layer}")
async def version_normalization_layer(served: NamedVersion, layer: LayerName) -> LayerDetail:
    """One layer of this version, channel by channel."""
    return _described(served, layer)


def _described(served: ServedModel, layer: str) -> LayerDetail:
    """A layer; where there is no such one, it is told where all of them are."""
    try:
        return describe_layer(served, layer)
    except NotFound as error:
        raise NotFound(f"{error}; GET /v2/models/{served.name}/normalization lists all") from error
