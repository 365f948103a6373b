"""This module is the framework's part of the service: its routes, its errors, and the pages that show them."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import Lifespan

from service.pages import docs
from service.routes import (
    config,
    health,
    history,
    metadata,
    normalization,
    prometheus,
    recalibration,
    repository,
    statistics,
)
from service.routes.errors import ErrorBody, add_error_handlers
from service.routes.openapi import openapi_document


def make_framework(lifespan: Lifespan[FastAPI], **wired: object) -> FastAPI:
    """The face: OpenAPI, and every route that need not be as fast as inference.

    Args:
        lifespan: Of the app.
        wired: What routes find in the app's state, by name.
    """
    app = FastAPI(
        title="bnserve",
        version=version("bnserve"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the client sent
        telemetry={"auto_configure": False},  # no variable of the environment makes it report anywhere
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        responses={"default": {"model": ErrorBody, "description": "What was wrong."}},
    )
    for router in (
        statistics.router,  # before metadata: its path would be that of a model named stats
        metadata.router,
        config.router,
        health.router,
        history.router,
        normalization.router,
        recalibration.router,
        repository.router,
        prometheus.router,
        docs.router,
    ):
        app.include_router(router)
    app.mount(docs.ASSETS_URL, docs.assets())
    app.openapi = partial(openapi_document, app)  # type: ignore[method-assign]
    add_error_handlers(app)
    for name, thing in wired.items():
        setattr(app.state, name, thing)
    return app
