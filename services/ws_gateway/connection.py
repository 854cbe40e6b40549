"""One client's TCP connection: bytes ↔ frames by `websockets`' Sans-I/O protocol.

The shell around the pure session: it has no task and no timer of its own. `sweep` watches
its clocks; what is written in one turn of the loop leaves in one system call.
"""

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never, cast, get_args
from uuid import UUID

import structlog
from websockets.exceptions import SecurityError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN

from libs.common.domain.moment import stamped_at
from libs.common.metrics import (
    CLOSES,
    CONNECT_TIME,
    CONNECTS,
    DELIVERY,
    FRAMES,
    REFUSED,
    SLOW_CLOSES,
)
from libs.common.protocol.closes import Close
from libs.common.protocol.events import Delivered
from libs.common.protocol.frames import ClientFrame, Reconnect, encode_frame
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
from services.ws_gateway.handshake import HandshakeRefused
from services.ws_gateway.incoming import BadFrame, read_frame
from services.ws_gateway.session import Phase, Session
from services.ws_gateway.upgrade import ChatProtocol, refuse, upgrade
from services.ws_gateway.wire import ping_frame, text_frame

if TYPE_CHECKING:
    from services.ws_gateway.gateway import Gateway
    from services.ws_gateway.incarnation import Incarnation

MAX_MESSAGE_BYTES: Final = 64 << 10
"""Of a message, in whatever number of frames."""
MAX_HEAD_BYTES: Final = 16 << 10
"""Of the opening handshake's request."""
_AT_ONCE_BYTES: Final = 4 << 10
"""Read before a look at what it was: one read can hold 40,000 pings."""

_FRAMES: Final = {
    frame_type: FRAMES.labels(frame_type.__struct_config__.tag)
    for frame_type in get_args(ClientFrame)
} | {BadFrame: FRAMES.labels("bad")}

_CONNECTS: Final = {
    outcome: CONNECTS.labels(outcome) for outcome in ("opened", "failed", "refused", "abandoned")
}
_SLOW_CLOSES: Final = {cause: SLOW_CLOSES.labels(cause) for cause in ("buffer", "pong")}
_ON_US: Final = (Close.ON_US, Close.RESTARTING)

log = structlog.get_logger()


class Connection(asyncio.Protocol):
    """From accept to connection_lost. Belongs to one incarnation from its handshake on."""

    __slots__ = (
        "_fragments",
        "_gateway",
        "_head_bytes",
        "_home",
        "_late_bytes",
        "_outgoing",
        "_place",
        "_protocol",
        "_session",
        "_transport",
        "asked_at",
        "ended",
        "heard_at",
        "leaves_at",
        "pinged_at",
        "since",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._protocol = ChatProtocol(max_size=MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._home: Incarnation | None = None
        self._session: Session | None = None
        self._head_bytes = 0
        """What has come before the handshake was done."""
        self._place: Place | None = None
        """None: it was cut off as it came."""
        self.ended = False
        """Closing or closed: nothing more is processed or written."""
        self._late_bytes = 0
        """What has come since then."""
        self._outgoing: list[bytes] | None = None
        """This turn's writes; b"" ends the stream."""
        self._fragments: bytearray | None = None
        self.since = self.heard_at = self.pinged_at = gateway.loop.time()
        """When the present phase began; when the client was last heard; the last ping."""
        self.asked_at: float | None = None
        """When the last Open signal was published."""
        self.leaves_at = self.since + lifetime(gateway.settings.max_connection_age_s)
        """When it is old enough to be sent to another gateway."""

    @property
    def is_settled(self) -> bool:
        """Whether the handshake is done."""
        return self._session is not None

    @property
    def is_open(self) -> bool:
        """Whether it has had CONNECT_SUCCESS and has not ended."""
        return not self.ended and self._session is not None and self._session.phase is Phase.OPEN

    @property
    def session(self) -> Session:
        """Once the handshake is done."""
        if self._session is None:
            raise RuntimeError("before the handshake")
        return self._session

    @property
    def home(self) -> "Incarnation":
        """Once the handshake is done."""
        if self._home is None:
            raise RuntimeError("before the handshake")
        return self._home

    def ids(self) -> dict[str, str]:
        """For log lines."""
        session = self._session
        if session is None or session.phase is Phase.AWAITING_TOKEN:
            return {}
        return {"session_id": str(session.session_id), "user_id": str(session.user_id)}

    @property
    def close_code(self) -> int:
        """Of a session that has ended; 1006 when the connection broke."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return CloseCode.ABNORMAL_CLOSURE if close is None else close.code

    # --- asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._gateway.settings.max_buffered_bytes)
        self._gateway.connections.add(self)
        self._place = self._gateway.entrance.admission.arrive()
        if self._place is None:
            REFUSED.labels("TOO_MANY_UNAUTHENTICATED").inc()
            self.abort()
            return
        if self._gateway.congested:
            # uvloop starts to read after this method: only then can it be paused.
            self._gateway.loop.call_soon(self.pause_reading)

    def data_received(self, data: bytes) -> None:
        if len(data) > _AT_ONCE_BYTES:
            for start in range(0, len(data), _AT_ONCE_BYTES):
                self.data_received(data[start : start + _AT_ONCE_BYTES])
            return
        if self.ended and self._has_heard_enough(len(data)):
            return
        self.heard_at = self._gateway.loop.time()
        if self._session is None:
            self._receive_head(data)
        else:
            self._protocol.receive_data(data)
        self._queue_output()
        try:
            self._take_events()
        except Exception:  # One bad thing stays one (promise 9).
            log.exception("frame failed", **self.ids())
            self.end(Close.ON_US, "INTERNAL")
        if self._session is not None and self._protocol.state is not OPEN:
            self._finish()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._queue_output()
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._finish()
        if self._place is not None:
            self._place.leave()
        self._gateway.gone(self)

    def pause_writing(self) -> None:
        """The client reads too slowly: more than `max_buffered_bytes` wait for it."""
        self.end_slow("buffer", "reads too slowly")

    def resume_writing(self) -> None:
        """Too late: the close is on its way."""

    # --- what comes in -------------------------------------------------------------------

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if self.ended:
                break
            if isinstance(event, Frame):
                self._on_frame(event)
            elif isinstance(event, Request):
                self._on_request(event)

    def _has_heard_enough(self, size: int) -> bool:
        """After the end only the client's close counts. Who sends on and on is no longer read."""
        self._late_bytes += size
        if self._late_bytes <= MAX_MESSAGE_BYTES:
            return False
        self.pause_reading()
        return True

    def _receive_head(self, data: bytes) -> None:
        """A part of the request. What is too long is answered; what is no HTTP is only ended."""
        if self.ended:
            return
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
            self._turned_away()

    def _on_request(self, request: Request) -> None:
        home = self._gateway.incarnation
        terms = None if home is None else home.terms
        check = self._gateway.entrance.check
        admit = partial(check, self._peer(), self._gateway.loop.time())
        answer = upgrade(self._protocol, request, admit, terms, time.time())
        self._protocol.send_response(answer.response)
        self._queue_output()
        if answer.session is None:
            self._turned_away()
            return
        self.since = self._gateway.loop.time()
        if self._place is not None:
            self._place.enter(answer.network)
        self._home, self._session = home, answer.session
        if answer.caller is not None:
            self.perform(answer.session.admit(answer.caller))

    def _turned_away(self) -> None:
        """Nothing more is read; the sweep cuts the connection if the client doesn't end it."""
        self.ended = True
        self.since = self._gateway.loop.time()

    def _peer(self) -> str | None:
        """Whose address TCP says it is."""
        peer = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else None

    def _on_frame(self, frame: Frame) -> None:
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
        _FRAMES[type(frame)].inc()
        self.perform(self.session.receive(frame, time.time()))

    def _on_pong(self, payload: bytes, now: float) -> None:
        effects = self.session.pong(payload, now)
        for effect in effects:
            if isinstance(effect, Publish) and isinstance(effect.event, Delivered):
                self._measure(effect.event, now)
        self.perform(effects)

    def _measure(self, delivered: Delivered, now: float) -> None:
        """How long each message was under way, if it was accepted after this session began.

        Older ones are what a SYNC has caught up with: they waited for their user, not for us.
        """
        open_for = self._gateway.loop.time() - self.since
        for message_id in delivered.message_ids:
            seconds = now - stamped_at(message_id) / 1000
            if seconds < open_for:
                DELIVERY.observe(seconds)

    # --- what goes out -------------------------------------------------------------------

    def opened(self, heads: dict[UUID, int]) -> None:
        """The router has found what CONNECT_SUCCESS needs."""
        effects = self.session.opened(heads)
        if effects:
            _CONNECTS["opened"].inc()
            CONNECT_TIME.observe(self._gateway.loop.time() - self.since)
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
                if self._place is not None:
                    self._place.show_token()
                self.home.enter(self)
            case End(code, reason):
                self.end(code, reason)
            case _:
                assert_never(effect)

    def write(self, frame: bytes) -> None:
        """A whole frame; dropped before the handshake and once the connection is closing."""
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

    def end_slow(self, cause: str, reason: str) -> None:
        """Who doesn't keep up. `cause`: a label of SLOW_CLOSES."""
        if not self.ended:
            _SLOW_CLOSES[cause].inc()
        self.end(Close.TOO_SLOW, reason)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Writes what has been queued in this turn of the loop."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        if outgoing[-1] == b"":
            self._transport.write_eof()

    def _queue_output(self) -> None:
        for data in self._protocol.data_to_send():
            self._queue(data)

    def _queue(self, data: bytes) -> None:
        if self._outgoing is None:
            self._outgoing = [data]
            self._gateway.flush_soon(self)
        else:
            self._outgoing.append(data)

    def _finish(self) -> None:
        """The session is over, whatever the connection still has to do."""
        if self.ended:
            return
        self.ended = True
        self.since = self._gateway.loop.time()
        if self._protocol.close_sent is not None and self._protocol.close_rcvd is None:
            CLOSES.labels(self._protocol.close_sent.code).inc()
        if self._session is not None and self._session.phase is Phase.OPENING:
            _CONNECTS[self._why_not_opened()].inc()
        if self._home is not None:
            self._home.leave(self)

    def _why_not_opened(self) -> str:
        """`failed` when it is on us; `refused` has a cause of the client's (CLOSES says which)."""
        close = self._protocol.close_sent
        if close is None or self._protocol.close_rcvd is not None:
            return "abandoned"
        return "failed" if close.code in _ON_US else "refused"

    # --- backpressure ----------------------------------------------------------------------

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self, paused_at: float, now: float) -> None:
        """The time in which we did not listen counts for no deadline."""

        def later(moment: float) -> float:
            return moment + now - max(moment, paused_at)

        self.since = later(self.since)
        self.heard_at, self.pinged_at = later(self.heard_at), later(self.pinged_at)
        if self._transport is not None:
            self._transport.resume_reading()
