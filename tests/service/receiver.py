"""This module receives traces as a collector does: OTLP over HTTP, on a free port of this machine."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(slots=True)
class Receiver:
    """What was received; complete once whoever sends has closed."""

    url: str
    paths: list[str] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    resource: dict[str, str | int] = field(default_factory=dict)

    def take(self, path: str, body: bytes) -> None:
        """Keep the spans of one message, by their names."""
        self.paths.append(path)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource.update(attributes(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans.update({span.name: span for span in of_scope.spans})


def attributes(pairs: Iterator[KeyValue]) -> dict[str, str | int]:
    """Attributes of a span or a resource, texts and whole numbers."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in pairs}


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A collector that listens until the block ends."""

    class Post(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Post) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()
