"""This module answers what the normalization layers of a model are, were trained on, and see now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from service.errors import NotFound
from service.inference.served_model import ServedModel
from service.normalization.findings import Over
from service.normalization.report import describe_layer, describe_layers
from service.normalization.schemas import LayerDetail, NormalizationReport
from service.normalization.watcher import Watcher
from service.routes.dependencies import ControlledModels, DefaultVersion, ModelName, NamedVersion, Version, Watched

router = APIRouter(tags=["normalization"])

LayerName = Annotated[str, Path(description="Qualified name of a normalization layer.", examples=["features.1"])]
OverRows = Annotated[
    Over,
    Query(description="Which rows: those of the last window that is complete, or all since the start or the reset."),
]


# not async: what was told is added up first, which takes its time, and so it is done in a thread
@router.get("/v2/models/{model}/normalization")
def normalization(served: DefaultVersion, watcher: Watched, over: OverRows = "window") -> NormalizationReport:
    """Every normalization layer of the default version, in the order in which data meets them."""
    return describe_layers(served, watcher, over)


@router.get("/v2/models/{model}/versions/{version}/normalization")
def version_normalization(served: NamedVersion, watcher: Watched, over: OverRows = "window") -> NormalizationReport:
    """Every normalization layer of this version, in the order in which data meets them."""
    return describe_layers(served, watcher, over)


@router.get("/v2/models/{model}/normalization/layers/{layer}")
def normalization_layer(
    served: DefaultVersion, layer: LayerName, watcher: Watched, over: OverRows = "window"
) -> LayerDetail:
    """One layer of the default version, channel by channel."""
    return _described(served, layer, watcher, over)


@router.get("/v2/models/{model}/versions/{version}/normalization/layers/{layer}")
def version_normalization_layer(
    served: NamedVersion, layer: LayerName, watcher: Watched, over: OverRows = "window"
) -> LayerDetail:
    """One layer of this version, channel by channel."""
    return _described(served, layer, watcher, over)


@router.post("/v2/models/{model}/normalization/reset")
def reset(models: ControlledModels, model: ModelName, watcher: Watched) -> NormalizationReport:
    """Forget what the default version's layers have seen, as after a start; its history stays."""
    return _reset(models.find(model), watcher)


@router.post("/v2/models/{model}/versions/{version}/normalization/reset")
def version_reset(
    models: ControlledModels, model: ModelName, version: Version, watcher: Watched
) -> NormalizationReport:
    """Forget what this version's layers have seen, as after a start; its history stays."""
    return _reset(models.find(model, version), watcher)


def _reset(served: ServedModel, watcher: Watcher) -> NormalizationReport:
    watcher.reset(served)
    return describe_layers(served, watcher, "total")


def _described(served: ServedModel, layer: str, watcher: Watcher, over: Over) -> LayerDetail:
    """A layer; where there is no such one, it is told where all of them are."""
    try:
        return describe_layer(served, layer, watcher, over)
    except NotFound as error:
        raise NotFound(f"{error}; GET /v2/models/{served.name}/normalization lists all") from error
