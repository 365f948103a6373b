"""This module wires the service together; it is the only place where its objects are made."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import onnxruntime
from fastapi import FastAPI

from models.cpus import usable_cpus
from models.store import Store
from service.framework import make_framework
from service.inference.control import Control
from service.inference.devices import choose_device
from service.inference.limits import ServingLimits
from service.inference.loading import Loader
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.inference.versions import parse_policies
from service.inference.watch import changes
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.normalization.gauges import NormalizationCollector
from service.normalization.history import History
from service.normalization.monitor import WindowRules
from service.normalization.opening import ObservingRules
from service.normalization.recalibration import Recalibrations
from service.normalization.reservoir import ReservoirLimits
from service.normalization.reservoirs import Reservoirs
from service.normalization.shared_sights import SharedSights
from service.normalization.watcher import Watcher
from service.routes.body import HeldBytes
from service.routes.dispatch import Dispatch
from service.routes.inference import InferenceEndpoint, RequestLimits
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
    control_folder = None if shared is None else shared / "control"  # of its own, since it is watched
    history = History(settings.history_url, settings.store)
    sights = None if shared is None else SharedSights(shared)
    watcher = Watcher(_observing_rules(settings), loader.device, history.record, sights)

    def load(name: str, number: int) -> ServedModel:
        bundle = store.open(name, number)
        served = loader.load(bundle)
        watcher.follow(served, bundle)
        return served

    registry = Registry(store, load, _control(settings, control_folder))
    metrics.watch(registry)
    metrics.tell(NormalizationCollector(watcher, registry.served, history))
    tracer = open_tracer(settings.otlp_endpoint)
    held = HeldBytes(settings.max_pending_bytes)
    reservoirs = _reservoirs(settings)
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
        tasks.append(asyncio.create_task(_after_loading(registry, history, watcher)))
        try:
            if lifecycle.loads_first:
                await registry.loaded.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            run_threads.close()  # the server has waited for answers already
            await asyncio.to_thread(watcher.close)
            await asyncio.to_thread(history.close)
            metrics.show()
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    recalibrations = Recalibrations(
        settings.recalibration_timeout_s, None if shared is None else shared / "recalibration"
    )
    framework = make_framework(
        lifespan,
        settings=settings,
        registry=registry,
        metrics=metrics,
        lifecycle=lifecycle,
        limits=limits,
        held=held,
        watcher=watcher,
        history=history,
        reservoirs=reservoirs,
        recalibrations=recalibrations,
    )
    return Dispatch(framework, endpoint)


def _control(settings: Settings, folder: Path | None) -> Control:
    """What is wanted of the store; processes of one service share it by a folder."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
    return Control(parse_policies(settings.versions), None if folder is None else folder / "control.json")


def _reservoirs(settings: Settings) -> Reservoirs | None:
    if not settings.reservoir_rows:
        return None
    return Reservoirs(ReservoirLimits(rows=settings.reservoir_rows, bytes=settings.reservoir_bytes))


def _serving_limits(settings: Settings) -> ServingLimits:
    return ServingLimits(
        max_batch_rows=settings.max_batch_rows,
        max_batch_delay_ms=settings.max_batch_delay_ms,
        max_queue_requests=settings.max_queue_requests,
        request_timeout_ms=settings.request_timeout_ms,
        inline_below_ms=settings.inline_below_ms,
        warm_up_s=settings.warm_up_s,
    )


def _observing_rules(settings: Settings) -> ObservingRules:
    return ObservingRules(
        budget=settings.observe_budget,
        share=settings.observe_share,
        windows=WindowRules(rows=settings.window_rows, seconds=settings.window_s),
        alarm_rate=settings.alarm_rate,
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


async def _after_loading(registry: Registry, history: History, watcher: Watcher) -> None:
    """Once the service is ready, do what makes it no readier.

    The garbage collector need look no more at what a start makes: some hundred thousand objects, modules, routes and
    models, and to look at them all takes as long as many requests.
    """
    await registry.loaded.wait()
    gc.collect()
    gc.freeze()
    await asyncio.to_thread(history.start)
    watcher.start()


async def _show_figures(metrics: Metrics) -> None:
    """Let other workers see what this one did."""
    while True:
        await asyncio.sleep(SHOW_FIGURES_S)
        metrics.show()
