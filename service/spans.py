"""This module makes the spans of an inference request and sends them by OTLP over HTTP.

    infer             the whole request; its parent is the client's span, by the header traceparent
    ├── queue         its rows wait for a run
    └── compute       its rows are run

Source: W3C Trace Context (2021); OpenTelemetry semantic conventions for HTTP server spans, 1.23.
"""

from __future__ import annotations

import threading
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from service.inference.job import Outcome

CLOSE_S = 2.0
"""How long closing waits for what is left to send."""

ROUTE = "/v2/models/{model}/infer"
VERSION_ROUTE = "/v2/models/{model}/versions/{version}/infer"

_PARENT_HEADERS = frozenset({b"traceparent", b"tracestate"})


class OtlpTracer:
    """Makes spans; they are sent in batches by a thread of its own, and dropped where nobody takes them.

    The SDK's own variables hold too, as ``OTEL_TRACES_SAMPLER`` and ``OTEL_RESOURCE_ATTRIBUTES``.

    Args:
        url: Where spans are posted.
        version: Of the service.
    """

    def __init__(self, url: str, *, version: str) -> None:
        resource = Resource.create({"service.name": "bnserve", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
        self._tracer = self._provider.get_tracer("bnserve", version)
        self._propagator = TraceContextTextMapPropagator()

    def start(self, scope: Scope, *, model: str, version: str | None) -> OtlpSpan:
        """Begin the span of one request, as ``Tracer.start`` says."""
        parent = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _PARENT_HEADERS
        }
        attributes = {
            "http.request.method": scope["method"],
            "http.route": ROUTE if version is None else VERSION_ROUTE,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
            "bnserve.model": model,
        }
        span = self._tracer.start_span("infer", self._propagator.extract(parent), SpanKind.SERVER, attributes)
        return OtlpSpan(self._tracer, span)

    def close(self) -> None:
        """Send what is left, for at most ``CLOSE_S``; blocks as long."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class OtlpSpan:
    """The span of one request that is under way."""

    def __init__(self, tracer: OtelTracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    def finish(self, *, status: int, rows: int, version: str = "", outcome: Outcome | None = None) -> None:
        """End it, as ``RequestSpan.finish`` says."""
        now = time.time_ns()
        span = self._span
        if outcome is not None and span.is_recording():
            started = now - _nanoseconds(outcome.compute_s)  # the answer took no time worth telling after it
            self._add("queue", started - _nanoseconds(outcome.queue_s), started)
            self._add("compute", started, now)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("bnserve.rows", rows)
        if version:
            span.set_attribute("bnserve.version", version)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end(now)

    def _add(self, name: str, started: int, ended: int) -> None:
        self._tracer.start_span(name, set_span_in_context(self._span), start_time=started).end(ended)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
