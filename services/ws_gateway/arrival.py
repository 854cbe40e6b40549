"""The opening handshake of a connection: one request is read and answered.

The shell around `upgrade`, which decides. With 101 a `Connection` takes over the transport; who
was turned away stays here until the client ends it, or the sweep.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import structlog
from websockets.exceptions import SecurityError
from websockets.http11 import Request
from websockets.protocol import Event

from libs.common.metrics import REFUSED
from services.ws_gateway.admission import Place
from services.ws_gateway.connection import Connection
from services.ws_gateway.handshake import HandshakeRefused
from services.ws_gateway.stream import Stream
from services.ws_gateway.upgrade import MAX_MESSAGE_BYTES, ChatProtocol, refuse, upgrade

if TYPE_CHECKING:
    from services.ws_gateway.gateway import Gateway

MAX_HEAD_BYTES: Final = 16 << 10
"""Of the request."""

log = structlog.get_logger()


class Arrival(Stream):
    """From accept to 101, or to connection_lost."""

    __slots__ = ("_head_bytes", "_place")

    def __init__(self, gateway: "Gateway") -> None:
        super().__init__(gateway, ChatProtocol(max_size=MAX_MESSAGE_BYTES))
        self._head_bytes = 0
        """What has come of the request."""
        self._place: Place | None = None
        """None: it was cut off as it came."""

    # --- asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._gateway.settings.max_buffered_bytes)
        self._gateway.arrivals.add(self)
        self._place = self._gateway.entrance.admission.arrive()
        if self._place is None:
            REFUSED.labels("TOO_MANY_UNAUTHENTICATED").inc()
            self.abort()
        elif self._gateway.congested:
            # uvloop starts to read after this method: only then can it be paused.
            self._gateway.loop.call_soon(self._pause_while_congested)

    def _pause_while_congested(self) -> None:
        """Congestion may have ended meanwhile, and then nobody would resume it."""
        if self._gateway.congested:
            self.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        try:
            self._receive(data)
        except Exception:  # One bad thing stays one (promise 9).
            log.exception("handshake failed")
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._gateway.arrivals.discard(self)
        if self._place is not None:
            self._place.leave()

    # --- the request and its answer ------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """A part of the request. What is too long is answered; what is no HTTP is only ended."""
        self._head_bytes += len(data)
        is_too_long = self._head_bytes > MAX_HEAD_BYTES
        if not is_too_long:
            self._protocol.receive_data(data)
            # One line, or their number. It has an answer of its own, which is no problem+json.
            is_too_long = isinstance(self._protocol.handshake_exc, SecurityError)
        if is_too_long:
            answer = refuse(self._protocol, HandshakeRefused("HEADERS_TOO_LARGE"))
            self._protocol.data_to_send()
            self._queue(answer.response.serialize())
            self._queue(b"")
            self._mark_ended()
            return
        self._queue_output()
        match self._protocol.events_received():
            case [Request() as request, *early]:
                self._on_request(request, early)

    def _on_request(self, request: Request, early: Sequence[Event]) -> None:
        """`early`: frames that came with it, before they should."""
        home, place, transport = self._gateway.incarnation, self._place, self._transport
        check = self._gateway.entrance.check
        admit = partial(check, self._peer(), self._gateway.loop.time())
        terms = None if home is None else home.terms
        answer = upgrade(self._protocol, request, admit, terms, time.time())
        self._protocol.send_response(answer.response)
        self._queue_output()
        if answer.session is None or home is None or place is None or transport is None:
            self._mark_ended()
            return
        place.enter(answer.network)
        self._gateway.arrivals.discard(self)
        connection = Connection(
            self._gateway,
            self._protocol,
            transport,
            place=place,
            home=home,
            session=answer.session,
        )
        transport.set_protocol(connection)
        connection.begin(answer.caller, early)

    def _peer(self) -> str | None:
        """Whose address TCP says it is."""
        peer = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else None
