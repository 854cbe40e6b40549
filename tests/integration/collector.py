"""The far end of OpenTelemetry: takes OTLP over HTTP and keeps the spans, as a collector would."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collected(NamedTuple):
    """A span, and the process that it is of."""

    role: str
    instance: str
    span: Span


class Collector:
    """Use `collecting`."""

    def __init__(self) -> None:
        self.url = ""
        self._spans: list[Collected] = []

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = _strings(resource.resource.attributes)
            self._spans += [
                Collected(named["service.name"], named["service.instance.id"], span)
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    @property
    def spans(self) -> list[Collected]:
        return self._spans.copy()

    def trace(self, message_id: UUID) -> list[Collected]:
        """In the order in which they began."""
        found = [one for one in self.spans if one.span.trace_id == message_id.bytes]
        return sorted(found, key=lambda one: one.span.start_time_unix_nano)


def _strings(attributes: Sequence[KeyValue]) -> dict[str, str]:
    return {one.key: one.value.string_value for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """On a free port, until left."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
