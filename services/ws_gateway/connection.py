"""One client's WebSocket session: frames in, effects out, from the end of its handshake on.

The shell around the pure `Session`: it performs what that says.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never, cast
from uuid import UUID

import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Event
from websockets.server import ServerProtocol

from libs.common.metrics import REFUSED
from libs.common.protocol.closes import Close
from libs.common.protocol.frames import Reconnect, encode_frame
from libs.common.tokens import Caller
from services.ws_gateway import telemetry
from services.ws_gateway.admission import Place
from services.ws_gateway.departures import lifetime
from services.ws_gateway.effects import (
    Effect,
    Effects,
    End,
    Enter,
    Ping,
    Publish,
    Refuse,
    Signal,
    Write,
)
from services.ws_gateway.incoming import read_frame
from services.ws_gateway.session import Phase, Session
from services.ws_gateway.stream import Stream, postponed
from services.ws_gateway.upgrade import MAX_MESSAGE_BYTES
from services.ws_gateway.wire import ping_frame, text_frame

if TYPE_CHECKING:
    from services.ws_gateway.gateway import Gateway
    from services.ws_gateway.incarnation import Incarnation

_AT_ONCE_BYTES: Final = 4 << 10
"""Read before a look at what it was: one read can hold 40,000 pings."""

log = structlog.get_logger()


class Connection(Stream):
    """From 101 to connection_lost, all of it in one incarnation."""

    __slots__ = (
        "_fragments",
        "_late_bytes",
        "_place",
        "asked_at",
        "heard_at",
        "home",
        "leaves_at",
        "pinged_at",
        "read_since",
        "session",
    )

    def __init__(  # noqa: PLR0913 - what the handshake has come to
        self,
        gateway: "Gateway",
        protocol: ServerProtocol,
        transport: asyncio.Transport,
        *,
        place: Place,
        home: "Incarnation",
        session: Session,
    ) -> None:
        """`begin` has to follow."""
        super().__init__(gateway, protocol, transport)
        self._place = place
        self._late_bytes = 0
        """What has come since it ended."""
        self._fragments: bytearray | None = None
        self.home = home
        self.session = session
        self.heard_at = self.pinged_at = self.since
        """When the client was last heard; the last ping."""
        self.read_since = self.since
        """Since when we read what it sends."""
        self.asked_at: float | None = None
        """When the last Open signal was published."""
        self.leaves_at = self.since + lifetime(gateway.settings.max_connection_age_s)
        """When it is old enough to be sent to another gateway."""

    @property
    def is_open(self) -> bool:
        """Whether it has had CONNECT_SUCCESS and has not ended."""
        return not self.ended and self.session.phase is Phase.OPEN

    def ids(self) -> dict[str, str]:
        """For log lines."""
        session = self.session
        if session.phase is Phase.AWAITING_TOKEN:
            return {}
        return {"session_id": str(session.session_id), "user_id": str(session.user_id)}

    @property
    def close_code(self) -> int:
        """Of a session that has ended; 1006 when the connection broke."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return CloseCode.ABNORMAL_CLOSURE if close is None else close.code

    def begin(self, caller: Caller | None, early: Sequence[Event]) -> None:
        """`caller`: whom the handshake has named; `early`: frames that came with its request."""
        self._gateway.connections.add(self)
        if caller is not None:
            self.perform(self.session.admit(caller))
        self._take(early)

    # --- asyncio.Protocol ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if len(data) > _AT_ONCE_BYTES:
            for start in range(0, len(data), _AT_ONCE_BYTES):
                self.data_received(data[start : start + _AT_ONCE_BYTES])
            return
        if self.ended and self._has_heard_enough(len(data)):
            return
        self.heard_at = self._gateway.loop.time()
        self._protocol.receive_data(data)
        self._queue_output()
        self._take(self._protocol.events_received())

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._finish()
        self._place.leave()
        self._gateway.gone(self)

    def pause_writing(self) -> None:
        """The client reads too slowly: more than `max_buffered_bytes` wait for it."""
        self.end_slow("buffer", "reads too slowly")

    def resume_writing(self) -> None:
        """Too late: the close is on its way."""

    # --- what comes in -------------------------------------------------------------------

    def _take(self, events: Sequence[Event]) -> None:
        """What the protocol has read: frames, pings and closes answered already."""
        try:
            for event in events:
                if self.ended:
                    break
                frame = cast(Frame, event)
                if frame.opcode is Opcode.TEXT and frame.fin:
                    self._on_text(frame.data)
                elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
                    self._on_fragment(frame)
                elif frame.opcode is Opcode.PONG:
                    self._on_pong(bytes(frame.data), time.time())
                elif frame.opcode is Opcode.BINARY:
                    self.perform(self.session.receive_binary())
                elif frame.opcode is Opcode.PING:  # which has its pong already
                    self.perform(self.session.bear((), time.time()))
        except Exception:  # One bad thing stays one (promise 9).
            log.exception("frame failed", **self.ids())
            self.end(Close.ON_US, "INTERNAL")
        if self._protocol.state is not OPEN:
            self._finish()

    def _has_heard_enough(self, size: int) -> bool:
        """After the end only the client's close counts. Who sends on and on is no longer read."""
        self._late_bytes += size
        if self._late_bytes <= MAX_MESSAGE_BYTES:
            return False
        self.pause_reading()
        return True

    def _on_fragment(self, frame: Frame) -> None:
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += frame.data
        if frame.fin:
            data, self._fragments = self._fragments, None
            self._on_text(data)
        else:
            self.perform(self.session.bear((), time.time()))

    def _on_text(self, data: bytes | bytearray | memoryview) -> None:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            # Sans-I/O leaves it to us (RFC 6455, section 8.1).
            self._protocol.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
            self._queue_output()
            self._finish()
            return
        frame = read_frame(text)
        telemetry.FRAMES_OF[type(frame)].inc()
        self.perform(self.session.receive(frame, time.time()))

    def _on_pong(self, payload: bytes, now: float) -> None:
        effects = self.session.pong(payload, now)
        telemetry.observe_deliveries(effects, now, self._gateway.loop.time() - self.since)
        self.perform(effects)

    # --- what goes out -------------------------------------------------------------------

    def opened(self, heads: dict[UUID, int]) -> None:
        """The router has found what CONNECT_SUCCESS needs."""
        effects = self.session.opened(heads)
        if effects:
            telemetry.count_opened(self._gateway.loop.time() - self.since)
        self.perform(effects)

    def perform(self, effects: Effects) -> None:
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Write(frame):
                self.write(frame)
            case Publish(event):
                self.home.publishing.event(event)
            case Ping(payload):
                self.pinged_at = self._gateway.loop.time()
                self.write(ping_frame(payload))
            case Signal(signal):
                self.home.publishing.signal(signal)
            case Refuse(error, frame):
                REFUSED.labels(error).inc()
                self.write(frame)
            case Enter():
                self.since = self._gateway.loop.time()
                self._place.show_token()
                self.home.enter(self)
            case End(code, reason):
                self.end(code, reason)
            case _:
                assert_never(effect)

    def write(self, frame: bytes) -> None:
        """A whole frame; dropped once the connection is closing."""
        if not self.ended and self._protocol.state is OPEN:
            self._queue(frame)

    def end(self, code: Close, reason: str) -> None:
        """Closes the WebSocket; the sweep cuts the connection if the client doesn't answer."""
        if self.ended:
            return
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._queue_output()
        else:
            self.abort()
        self._finish()

    def send_away(self, after_s: float, reason: str) -> None:
        """RECONNECT and 1012: whoever it is should come back in so many seconds."""
        self.write(text_frame(encode_frame(Reconnect(int(after_s * 1000), reason))))
        self.end(Close.RESTARTING, reason)

    def end_slow(self, cause: telemetry.SlowCause, reason: str) -> None:
        """Who doesn't keep up."""
        if not self.ended:
            telemetry.count_slow_close(cause)
        self.end(Close.TOO_SLOW, reason)

    def _finish(self) -> None:
        """The session is over, whatever the connection still has to do."""
        if self.ended:
            return
        self._mark_ended()
        telemetry.count_close(self._protocol)
        if self.session.phase is Phase.OPENING:
            telemetry.count_not_opened(self._protocol)
        self.home.leave(self)

    # --- backpressure ----------------------------------------------------------------------

    def resume_reading(self, paused_at: float, now: float) -> None:
        self.heard_at = postponed(self.heard_at, paused_at, now)
        self.pinged_at = postponed(self.pinged_at, paused_at, now)
        self.read_since = now
        super().resume_reading(paused_at, now)
