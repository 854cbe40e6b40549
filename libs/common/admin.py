"""The admin port of a role: /livez, /readyz, /metrics and /trace. Never on the edge.

Where PROMETHEUS_MULTIPROC_DIR is set, several worker processes are one instance (gunicorn). They
accept from one listener: whichever answers tells the metrics of all, and its own health.
"""

import os
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from libs.common.metrics import READY
from libs.common.passages import PASSAGES

log = structlog.get_logger()

STALL_S: Final = 10.0
"""A process whose loop has not turned for so long is not alive. Servers that are away never
make a role dead, only unready: restarting it would not bring them back."""


class Health:
    """What the probes tell. Written by the role, read by the admin port's threads."""

    def __init__(self) -> None:
        self._waiting_for: str | None = "starting"
        self._is_stopping = False
        self._last_beat = time.monotonic()

    def beat(self) -> None:
        self._last_beat = time.monotonic()

    def ready(self) -> None:
        self._waiting_for = None
        READY.set(0 if self._is_stopping else 1)

    def unready(self, waiting_for: str) -> None:
        self._waiting_for = waiting_for
        READY.set(0)

    def stop(self) -> None:
        """For good: a role that finishes what it holds is not ready, whatever it says later."""
        self._is_stopping = True
        READY.set(0)

    def answer(self, path: str) -> tuple[HTTPStatus, str]:
        """What a probe of `path` gets."""
        if path == "/livez":
            silent = time.monotonic() - self._last_beat
            if silent < STALL_S:
                return HTTPStatus.OK, "alive\n"
            return HTTPStatus.SERVICE_UNAVAILABLE, f"the loop has not turned for {silent:.0f} s\n"
        if path == "/readyz":
            if self._is_stopping:
                return HTTPStatus.SERVICE_UNAVAILABLE, "not ready: stopping\n"
            if self._waiting_for is None:
                return HTTPStatus.OK, "ready\n"
            return HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {self._waiting_for}\n"
        return HTTPStatus.NOT_FOUND, "there is /livez, /readyz, /metrics and /trace?id=\n"


def trace(query: str) -> tuple[HTTPStatus, str]:
    """What this process remembers of the message `id=…`, as JSON: see `passages`."""
    try:
        message_id = UUID(parse_qs(query)["id"][0])
    except (LookupError, ValueError):
        return HTTPStatus.BAD_REQUEST, "say which message: /trace?id=<its UUID>\n"
    answer = {"since": PASSAGES.since, "passages": PASSAGES.of(message_id)}
    return HTTPStatus.OK, msgspec.json.encode(answer).decode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, _request: object, _client_address: object) -> None:
        """A probe that has given up is no error; the base would print a traceback."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("a call to the admin port failed", exc_info=error)


def serve_admin(health: Health, listener: socket.socket) -> ThreadingHTTPServer:
    """Serves in daemon threads until `shutdown`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, _metrics(), CONTENT_TYPE_LATEST)
            elif self.path.startswith("/trace"):
                status, text = trace(urlsplit(self.path).query)
                self._answer(status, text.encode(), "application/json")
            else:
                status, text = health.answer(self.path)
                self._answer(status, text.encode(), "text/plain; charset=utf-8")

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Probes come every second: nothing to log."""

    server = _Server(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    threading.Thread(target=server.serve_forever, name="admin", daemon=True).start()
    return server


def _metrics() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
