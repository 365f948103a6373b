"""This module counts what the service does, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.inference.registry import Registry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one service; each instance counts for itself.

    Labels name only models that are served, so that no client can make them grow.
    """

    def __init__(self, registry: Registry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and say only when the process started
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_VersionStates(registry))
        self._requests = Counter(
            "bnserve_inference_requests",
            "Inference requests by model, version and HTTP status.",
            ["model", "version", "status"],
            registry=self._registry,
        )
        self._rows = Counter("bnserve_inference_rows", "Rows answered.", ["model", "version"], registry=self._registry)
        self._seconds = Histogram(
            "bnserve_inference_request_seconds",
            "From the last byte of a request's body to the first of its answer, answered requests only.",
            ["model", "version"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def answered(self, model: str, version: str, *, rows: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(model, version, "200").inc()
        self._rows.labels(model, version).inc(rows)
        self._seconds.labels(model, version).observe(seconds)

    def refused(self, model: str, version: str, *, status: int) -> None:
        """Count a request that was not; model and version are empty where none was found."""
        self._requests.labels(model, version, str(status)).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _VersionStates(Collector):
    """Which versions answer, read from the registry when asked, so that it is never out of date."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for version in self._registry.index():
            family.add_metric([version.name, version.version], float(version.state == "READY"))
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "bnserve_model_ready", "1 where a version of the store answers, else 0.", labels=["model", "version"]
        )
