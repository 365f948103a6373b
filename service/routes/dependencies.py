"""This module hands the wired objects to the routes, and finds the model that a path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.errors import ControlRefused
from service.inference.limits import ServingLimits
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from service.metrics import Metrics
from service.normalization.history import History
from service.normalization.watcher import Watcher
from service.settings import Settings


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


def _limits(request: Request) -> ServingLimits:
    limits: ServingLimits = request.app.state.limits
    return limits


def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


def _watcher(request: Request) -> Watcher:
    watcher: Watcher = request.app.state.watcher
    return watcher


def _history(request: Request) -> History:
    history: History = request.app.state.history
    return history


Counted = Annotated[Metrics, Depends(_metrics)]
Models = Annotated[Registry, Depends(_registry)]
Kept = Annotated[History, Depends(_history)]
Watched = Annotated[Watcher, Depends(_watcher)]
Limits = Annotated[ServingLimits, Depends(_limits)]
ModelName = Annotated[str, Path(description="Name of a model.", examples=["digits"])]
Version = Annotated[str, Path(description="Number of a version.", examples=["1"])]


def _default_version(models: Models, model: ModelName) -> ServedModel:
    return models.find(model)


def _named_version(models: Models, model: ModelName, version: Version) -> ServedModel:
    return models.find(model, version)


def _controlled_registry(request: Request, models: Models) -> Registry:
    settings: Settings = request.app.state.settings
    if not settings.repository_control:
        raise ControlRefused("repository_control: expected true for a request that changes what is served, it is false")
    return models


DefaultVersion = Annotated[ServedModel, Depends(_default_version)]
NamedVersion = Annotated[ServedModel, Depends(_named_version)]
ControlledModels = Annotated[Registry, Depends(_controlled_registry)]
"""The registry, for requests that change it; refused where the settings say so."""
