"""This module wires the service together; it is the only place where its objects are made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version

import onnxruntime
from fastapi import FastAPI
from starlette.middleware import Middleware

from models.bundle import Bundle
from models.store import Store
from service.inference.devices import choose_device
from service.inference.engine import Engine
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from service.inference.watch import changes
from service.metrics import Metrics
from service.pages import docs
from service.routes import health, metadata, normalization, prometheus, repository
from service.routes.errors import ErrorBody, add_error_handlers
from service.routes.inference import InferenceDispatch, InferenceEndpoint
from service.routes.openapi import openapi_document
from service.settings import Settings

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Make the service.

    Raises:
        DeviceError: If the device that the settings name is not there.
    """
    store = Store(settings.store)
    executor = ThreadPoolExecutor(max_workers=usable_cpus(), thread_name_prefix="inference")
    registry = Registry(store, _loader(settings, store, executor))
    metrics = Metrics(registry)
    endpoint = InferenceEndpoint(registry, metrics, max_request_bytes=settings.max_request_bytes)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(_keep_in_step(registry, settings))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            executor.shutdown(wait=False, cancel_futures=True)  # the server has waited for answers already

    app = FastAPI(
        title="bnserve",
        version=version("bnserve"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the client sent
        telemetry={"auto_configure": False},  # no variable of the environment makes it report anywhere
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        middleware=[Middleware(InferenceDispatch, endpoint=endpoint)],
        responses={"default": {"model": ErrorBody, "description": "What was wrong."}},
    )
    app.state.settings, app.state.registry, app.state.metrics = settings, registry, metrics
    for router in (
        metadata.router,
        health.router,
        normalization.router,
        repository.router,
        prometheus.router,
        docs.router,
    ):
        app.include_router(router)
    app.mount(docs.ASSETS_URL, docs.assets())
    app.openapi = partial(openapi_document, app)  # type: ignore[method-assign]
    add_error_handlers(app)
    return app


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _loader(settings: Settings, store: Store, executor: Executor) -> Callable[[str, int], ServedModel]:
    device = choose_device(settings.device, onnxruntime.get_available_providers())

    def open_engine(bundle: Bundle) -> Engine:
        return Engine(bundle.model_path, device, threads=settings.threads or usable_cpus())

    def load(name: str, number: int) -> ServedModel:
        return ServedModel.load(store.open(name, number), open_engine, executor)

    return load


async def _keep_in_step(registry: Registry, settings: Settings) -> None:
    async for _ in changes(settings.store, interval_s=settings.refresh_interval_s):
        try:
            await registry.refresh()
        except Exception:  # what can't be looked at now may be at the next change
            log.exception("the store could not be looked at")
