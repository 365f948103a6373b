"""This module wires the service together; it is the only place where its objects are made."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import onnxruntime
from fastapi import FastAPI
from starlette.types import Lifespan

from models.store import Store
from service.inference.control import Control
from service.inference.cpus import usable_cpus
from service.inference.devices import choose_device
from service.inference.limits import ServingLimits
from service.inference.loading import Loader
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.versions import parse_policies
from service.inference.watch import changes
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.normalization.recalibration import Recalibrations
from service.normalization.reservoir import ReservoirLimits
from service.normalization.reservoirs import Reservoirs
from service.pages import docs
from service.routes import config, health, metadata, normalization, prometheus, recalibration, repository, statistics
from service.routes.body import HeldBytes
from service.routes.dispatch import Dispatch
from service.routes.errors import ErrorBody, add_error_handlers
from service.routes.inference import InferenceEndpoint, RequestLimits
from service.routes.openapi import openapi_document
from service.settings import Settings
from service.tracing import open_tracer

RUNS_AT_ONCE = 2
"""Runs of all models together that may go on at once, each on all threads of the budget.

Two, so that a slow model does not hold up a fast one; more would only contend for the same CPUs.
"""

SHOW_FIGURES_S = 1.0
"""How old the figures of other workers may be that a worker tells."""

log = logging.getLogger(__name__)


def create_app(settings: Settings, shared: Path | None = None, *, lifecycle: Lifecycle | None = None) -> Dispatch:
    """Make the service.

    Args:
        settings: All of them.
        shared: A folder that several processes of one service have in common; None where there is one process.
        lifecycle: Where the server says that it stops.

    Raises:
        DeviceError: If the device that the settings name is not there.
    """
    store = Store(settings.store)
    run_threads = RunThreads(RUNS_AT_ONCE)
    metrics = Metrics(shared)
    limits = _serving_limits(settings)
    loader = Loader(
        device=choose_device(settings.device, onnxruntime.get_available_providers()),
        threads=settings.threads or usable_cpus(),
        limits=limits,
        run_threads=run_threads,
        observer=metrics.of_version,
    )
    control_folder = None
    if shared is not None:
        control_folder = shared / "control"  # of its own, since it is watched
        control_folder.mkdir(exist_ok=True)
    control = Control(
        parse_policies(settings.versions), None if control_folder is None else control_folder / "control.json"
    )
    registry = Registry(store, lambda name, number: loader.load(store.open(name, number)), control)
    metrics.watch(registry)
    tracer = open_tracer(settings.otlp_endpoint)
    held = HeldBytes(settings.max_pending_bytes)
    reservoirs = None
    if settings.reservoir_rows:
        reservoirs = Reservoirs(ReservoirLimits(rows=settings.reservoir_rows, bytes=settings.reservoir_bytes))
    endpoint = InferenceEndpoint(
        registry, metrics, _request_limits(settings), held=held, tracer=tracer, reservoirs=reservoirs
    )
    lifecycle = lifecycle or Lifecycle()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        folders = [settings.store, *([] if control_folder is None else [control_folder])]
        told = changes(*folders, interval_s=settings.refresh_interval_s)
        tasks = [asyncio.create_task(_keep_in_step(registry, told))]
        if shared is not None:
            tasks.append(asyncio.create_task(_show_figures(metrics)))
        tasks.append(asyncio.create_task(_settle_memory(registry)))
        try:
            if lifecycle.loads_first:
                await registry.loaded.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            run_threads.close()  # the server has waited for answers already
            metrics.show()
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    framework = _framework(lifespan)
    state = framework.state
    state.settings, state.registry, state.metrics, state.lifecycle = settings, registry, metrics, lifecycle
    state.limits, state.held, state.reservoirs = limits, held, reservoirs
    state.recalibrations = Recalibrations(
        settings.recalibration_timeout_s, None if shared is None else shared / "recalibration"
    )
    return Dispatch(framework, endpoint)


def _framework(lifespan: Lifespan[FastAPI]) -> FastAPI:
    """The face: OpenAPI, and every route that need not be as fast as inference."""
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
    return app


def _serving_limits(settings: Settings) -> ServingLimits:
    return ServingLimits(
        max_batch_rows=settings.max_batch_rows,
        max_batch_delay_ms=settings.max_batch_delay_ms,
        max_queue_requests=settings.max_queue_requests,
        request_timeout_ms=settings.request_timeout_ms,
        inline_below_ms=settings.inline_below_ms,
        warm_up_s=settings.warm_up_s,
    )


def _request_limits(settings: Settings) -> RequestLimits:
    return RequestLimits(
        max_bytes=settings.max_request_bytes,
        max_json_bytes=settings.max_json_bytes,
        timeout_s=settings.request_timeout_ms / 1000 or None,
        overloaded_status=int(settings.queue_full_status),
        compresses=settings.compression,
        logs=settings.access_log,
    )


async def _keep_in_step(registry: Registry, told: AsyncIterator[None]) -> None:
    async for _ in told:
        try:
            await registry.refresh()
        except Exception:  # what can't be looked at now may be at the next change
            log.exception("the store could not be looked at")


async def _settle_memory(registry: Registry) -> None:
    """Let the garbage collector look no more at what a start makes: modules, routes, models.

    There are some hundred thousand objects of that kind, and to look at them all takes as long as many requests.
    """
    await registry.loaded.wait()
    gc.collect()
    gc.freeze()


async def _show_figures(metrics: Metrics) -> None:
    """Let other workers see what this one did."""
    while True:
        await asyncio.sleep(SHOW_FIGURES_S)
        metrics.show()
