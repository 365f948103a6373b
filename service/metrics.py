"""This module is the figures of the service: kept by version, told to Prometheus and to the protocol's statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.figures import Histogram, VersionFigures
from service.inference.registry import Registry
from service.shared_figures import Figures, SharedFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELS = ("model", "version")
NO_MODEL = ("", "")
"""Labels name only models that are served, so that no client can make them grow; other requests count here."""


class Metrics:
    """The figures of one service.

    Args:
        shared: Where worker processes show theirs to one another; None for a process on its own.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._own: dict[tuple[str, str], VersionFigures] = {NO_MODEL: VersionFigures()}
        self._shared = None if shared is None else SharedFigures(shared)
        self._collectors = CollectorRegistry()
        self._collectors.register(_FiguresCollector(self))
        if shared is None:  # of several processes it would describe the one that happens to answer
            ProcessCollector(registry=self._collectors)
        PlatformCollector(registry=self._collectors)

    def watch(self, registry: Registry) -> None:
        """Tell of the versions of a registry too, as they are when figures are asked for."""
        self._collectors.register(_VersionsCollector(registry))

    def tell(self, collector: Collector) -> None:
        """Tell of what a collector knows, too."""
        self._collectors.register(collector)

    def of_version(self, model: str, version: str) -> VersionFigures:
        """What counts for one version; goes on where it was, if the version was there before."""
        return self._own.setdefault((model, version), VersionFigures())

    def unknown(self) -> VersionFigures:
        """What counts requests for which no version was found."""
        return self._own[NO_MODEL]

    def show(self) -> None:
        """Let other workers see what this one did; they can't while it does not."""
        if self._shared is not None:
            self._shared.show(self._own)

    def total(self) -> Figures:
        """What all workers did together, by model and version."""
        if self._shared is None:
            return self._own
        self.show()
        return self._shared.total()

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._collectors)


class _FiguresCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return _families({})

    def collect(self) -> Iterable[Metric]:
        return _families(self._metrics.total())


def _families(figures: Figures) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "bnserve_inference_requests",
        "Inference requests by model, version and HTTP status.",
        labels=[*LABELS, "status"],
    )
    rows = CounterMetricFamily("bnserve_inference_rows", "Rows answered.", labels=LABELS)
    failed = CounterMetricFamily(
        "bnserve_inference_failed_seconds", "Time spent on requests that were not answered.", labels=LABELS
    )
    waiting = GaugeMetricFamily(
        "bnserve_inference_queue_requests", "Requests that wait behind a run now.", labels=LABELS
    )
    histograms = {
        "request_seconds": "From the head of a request to the last byte of its answer, answered requests only.",
        "queue_seconds": "How long an answered request waited for its first run.",
        "compute_seconds": "How long the runs of an answered request took.",
        "batch_rows": "Rows of every run.",
    }
    distributions = {
        name: HistogramMetricFamily(f"bnserve_inference_{name}", documentation, labels=LABELS)
        for name, documentation in histograms.items()
    }
    for labels, counted in figures.items():
        for status, count in sorted(counted.requests.items()):
            requests.add_metric([*labels, str(status)], count)
        failed.add_metric(labels, counted.failed_seconds)
        if labels == NO_MODEL:
            continue
        rows.add_metric(labels, counted.rows)
        waiting.add_metric(labels, counted.waiting)
        for name, family in distributions.items():
            histogram: Histogram = getattr(counted, name)
            family.add_metric(labels, _buckets(histogram), histogram.total)
    yield from (requests, rows, failed, waiting, *distributions.values())


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))


class _VersionsCollector(Collector):
    """Which versions answer and where they run, read from the registry when asked, so that it is never out of date."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        ready, info = self._families()
        for version in self._registry.index():
            ready.add_metric([version.name, version.version], float(version.state == "READY"))
        for served in self._registry.served():
            info.add_metric(
                [served.name, served.version, served.device, served.requested_device, str(served.threads)], 1.0
            )
        return ready, info

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("bnserve_model_ready", "1 where a version of the store answers, else 0.", labels=LABELS),
            GaugeMetricFamily(
                "bnserve_model_info",
                "Where a version that answers runs, where it was asked to, and on how many threads.",
                labels=[*LABELS, "device", "requested_device", "threads"],
            ),
        )
