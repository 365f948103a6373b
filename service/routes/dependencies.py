"""This module hands the wired objects to the routes, and finds the model that a path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.inference.registry import Registry
from service.inference.served_model import ServedModel


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


Models = Annotated[Registry, Depends(_registry)]
ModelName = Annotated[str, Path(description="Name of a model.", examples=["digits"])]
Version = Annotated[str, Path(description="Number of a version.", examples=["1"])]


def _default_version(models: Models, model: ModelName) -> ServedModel:
    return models.find(model)


def _named_version(models: Models, model: ModelName, version: Version) -> ServedModel:
    return models.find(model, version)


DefaultVersion = Annotated[ServedModel, Depends(_default_version)]
NamedVersion = Annotated[ServedModel, Depends(_named_version)]
