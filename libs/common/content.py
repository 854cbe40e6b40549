"""The content of AMQP 0-9-1: publishes, their confirms, and deliveries.

aiormq opens the connection and its channels, declares, consumes, keeps the heartbeat and closes.
Its way for content costs 0.12 ms of CPU a message, most of it tasks, locks and queues between
them; this one 0.03 (decision 23). So its stream is split here: frames that carry content, or
confirm it, are read and written at once; all others reach aiormq as they came.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from itertools import count, takewhile
from struct import Struct
from typing import Any, Final, NamedTuple, cast

import pamqp.frame
import structlog
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from libs.common import tracing
from libs.common.passages import PASSAGES, Act, Entry, now
from libs.common.topology import exchange_of

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
"""Types of frames."""
BASIC: Final = 60
"""The class of methods that carry or confirm content; PUBLISH and the rest are its methods."""
PUBLISH, RETURN, DELIVER, ACK, NACK = 40, 50, 60, 80, 120
CHANNEL_CLOSE: Final = (20, 40)

FRAME: Final = Struct(">BHI")
"""Type, channel, size of the payload. Behind the payload comes END."""
END: Final = b"\xce"
OVERHEAD: Final = FRAME.size + len(END)
_METHOD: Final = Struct(">HH")
_TAG: Final = Struct(">QB")
_ACK: Final = Struct(">BHIHHQB")
_HEADER: Final = Struct(">BHIHHQHBB")
_SIZE_AND_FLAGS: Final = Struct(">QH")
_MANDATORY: Final = b"\x01"
_HAS_HEADERS: Final = 1 << 13
_DELIVERY_MODE_AND_MESSAGE_ID: Final = 1 << 12 | 1 << 7
_HEARTBEAT: Final = FRAME.pack(HEARTBEAT, 0, 0) + END
ALIVE_S: Final = 1.0
"""RabbitMQ sends no heartbeat while it sends content, which aiormq doesn't see."""

log = structlog.get_logger()


class Incoming(NamedTuple):
    """One AMQP message as it came."""

    body: bytes
    delivery_tag: int
    redelivered: bool
    routing_key: str
    traceparent: str | None = None
    """Its W3C trace context, where it was traced."""


class Outcome(Enum):
    """What became of a publish."""

    CONFIRMED = auto()
    RETURNED = auto()
    """There is no such queue."""
    REFUSED = auto()
    """The queue is full."""
    LOST = auto()
    """The channel is gone; it may or may not have arrived."""


Receive = Callable[[Incoming], None]
Payload = tuple[bytes, int, int]
"""Bytes, and from where to where in them."""


_names = count()


class ContentChannel:
    """The content of one channel, which is in confirm mode."""

    def __init__(self, stream: "ContentStream", number: int, most_in_frame: int) -> None:
        """Use `ContentStream.channel`. `most_in_frame`: bytes of content in one frame."""
        self._stream = stream
        self._number = number
        self._name = next(_names)
        """For PASSAGES: numbers are given out again."""
        self._most_in_frame = most_in_frame
        self._consumers: dict[bytes, Receive] = {}
        self._published = 0
        self._unconfirmed: dict[int, asyncio.Future[Outcome]] = {}
        """By delivery tag, in order."""
        self._returned: set[int] = set()
        self._is_lost = False
        # The content that is coming: what Basic.Deliver said of it (None: it is returned), its
        # parts so far, the bytes still to come.
        self._arriving: tuple[Receive | None, int, bool, str] | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self._traceparent: str | None = None

    def publish(
        self, queue: str, body: bytes, *, lasting: bool, headers: dict[str, Any] | None = None
    ) -> "asyncio.Future[Outcome]":
        """Written at the call, by `exchange_of`, mandatory. Its outcome; never an error."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self._is_lost:
            outcome.set_result(Outcome.LOST)
            return outcome
        try:
            method = _publish(self._number, queue)
        except ValueError:  # a name that AMQP can't say, so nobody has a queue of that name
            outcome.set_result(Outcome.RETURNED)
            return outcome
        self._published += 1
        self._unconfirmed[self._published] = outcome
        # The message id shows which one comes back as unroutable.
        name = str(self._published).encode()
        header = (
            _header(self._number, len(body), name, lasting=lasting)
            if headers is None
            else _header_with(self._number, len(body), name, headers, lasting=lasting)
        )
        frames = [method, header]
        for start in range(0, len(body), self._most_in_frame):
            part = body[start : start + self._most_in_frame]
            frames += (FRAME.pack(BODY, self._number, len(part)), part, END)
        self._stream.write(b"".join(frames))
        PASSAGES.add(Entry(now(), Act.PUBLISHED, self._name, self._published, False, body, queue))
        return outcome

    def acknowledge(self, delivery_tag: int, *, multiple: bool) -> bool:
        """False when the channel is gone: what was not acknowledged goes to another."""
        if not self._is_lost:
            PASSAGES.add(Entry(now(), Act.ACKNOWLEDGED, self._name, delivery_tag, multiple))
            self._stream.write(
                _ACK.pack(METHOD, self._number, 13, BASIC, ACK, delivery_tag, multiple) + END
            )
        return not self._is_lost

    def deliver_to(self, consumer_tag: str, receive: Receive) -> None:
        """Before the consumer is made. `receive` is called while the stream is read."""
        self._consumers[consumer_tag.encode()] = receive

    def lose(self) -> None:
        """The channel is gone or going: a frame for a closed one would cost the connection."""
        self._is_lost = True
        self._stream.forget(self._number, self)
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for outcome in unconfirmed.values():
            if not outcome.done():
                outcome.set_result(Outcome.LOST)

    # --- what comes, by ContentStream --------------------------------------------------------

    def confirmed(self, payload: Payload, outcome: Outcome) -> None:
        """Basic.Ack or Basic.Nack."""
        data, at, _ = payload
        newest, flags = _TAG.unpack_from(data, at + _METHOD.size)
        is_multiple = bool(flags & 1)
        tags = (
            list(takewhile(lambda tag: tag <= newest, self._unconfirmed))
            if is_multiple
            else (newest,)
        )
        for tag in tags:
            waiting = self._unconfirmed.pop(tag, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(Outcome.RETURNED if tag in self._returned else outcome)
            self._returned.discard(tag)
        PASSAGES.add(
            Entry(now(), Act.SETTLED, self._name, newest, is_multiple, outcome=outcome.name)
        )

    def delivered(self, payload: Payload) -> None:
        """Basic.Deliver: a header and the content follow."""
        data, at, _ = payload
        consumer_at = at + _METHOD.size + 1
        tag_at = consumer_at + data[consumer_at - 1]
        delivery_tag, redelivered = _TAG.unpack_from(data, tag_at)
        exchange_at = tag_at + _TAG.size
        key_at = exchange_at + 1 + data[exchange_at] + 1
        routing_key = data[key_at : key_at + data[key_at - 1]].decode()
        receive = self._consumers.get(data[consumer_at:tag_at])
        self._arriving = (receive, delivery_tag, bool(redelivered), routing_key)

    def returned(self) -> None:
        """Basic.Return: a header and the content follow, and later a Basic.Ack."""
        self._arriving = None

    def header(self, payload: Payload) -> None:
        """How much content follows."""
        data, at, _ = payload
        self._missing, flags = _SIZE_AND_FLAGS.unpack_from(data, at + _METHOD.size)
        if self._arriving is None:
            tag = int(_properties(payload).message_id or 0)
            self._returned.add(tag)
            PASSAGES.add(Entry(now(), Act.SETTLED, self._name, tag, outcome=Outcome.RETURNED.name))
        elif flags & _HAS_HEADERS and tracing.spans is not None:
            self._traceparent = _traceparent(payload)
        if not self._missing:
            self._take(b"")

    def body(self, payload: Payload) -> None:
        """A part of the content."""
        data, at, end = payload
        self._missing -= end - at
        if self._missing > 0:
            self._parts.append(data[at:end])
        elif self._parts:
            parts, self._parts = self._parts, []
            self._take(b"".join((*parts, data[at:end])))
        else:
            self._take(data[at:end])

    def _take(self, body: bytes) -> None:
        if self._arriving is None:
            return
        receive, delivery_tag, redelivered, routing_key = self._arriving
        traceparent, self._traceparent = self._traceparent, None
        if receive is None:
            return
        PASSAGES.add(Entry(now(), Act.TAKEN, self._name, delivery_tag, False, body, routing_key))
        try:
            receive(Incoming(body, delivery_tag, redelivered, routing_key, traceparent))
        except Exception:  # What comes behind it must be read (promise 9).
            log.exception("receiving failed", routing_key=routing_key)


class ContentStream(asyncio.StreamReaderProtocol):
    """What stands between the socket and aiormq."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        """Use `ContentStreams`. `reader` is what aiormq reads."""
        super().__init__(reader)
        self._loop_time = asyncio.get_running_loop().time
        self._transport_: asyncio.Transport | None = None
        self._channels: dict[int, ContentChannel] = {}
        self._rest = b""
        self._alive_at = 0.0

    def channel(self, number: int, most_in_frame: int) -> ContentChannel:
        """Of a channel that aiormq has just opened."""
        self._channels[number] = ContentChannel(self, number, most_in_frame)
        return self._channels[number]

    def forget(self, number: int, channel: ContentChannel) -> None:
        """Its number may have been given to another since."""
        if self._channels.get(number) is channel:
            del self._channels[number]

    def write(self, data: bytes) -> None:
        """Whole frames."""
        if self._transport_ is not None and not self._transport_.is_closing():
            self._transport_.write(data)

    # --- asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport_ = cast(asyncio.Transport, transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, others, had_content = 0, [], False
        while len(data) - at >= OVERHEAD:
            kind, number, size = FRAME.unpack_from(data, at)
            after = at + size + OVERHEAD
            if after > len(data):
                break
            if self._is_content(kind, number, (data, at + FRAME.size, after - len(END))):
                had_content = True
            else:
                others.append(data[at:after])
            at = after
        self._rest = data[at:]
        if had_content and self._loop_time() - self._alive_at > ALIVE_S:
            self._alive_at = self._loop_time()
            others.append(_HEARTBEAT)
        if others:
            super().data_received(b"".join(others))

    def connection_lost(self, exc: Exception | None) -> None:
        for channel in list(self._channels.values()):
            channel.lose()
        super().data_received(self._rest)  # no frame, perhaps an answer to a wrong protocol
        super().connection_lost(exc)

    def _is_content(self, kind: int, number: int, payload: Payload) -> bool:
        """Takes it, if it is. What is for a channel that was closed meanwhile is dropped."""
        channel = self._channels.get(number)
        if kind == METHOD:
            data, at, _ = payload
            method = _METHOD.unpack_from(data, at)
            if method not in _CONTENT_METHODS:
                if channel is not None and method == CHANNEL_CLOSE:
                    channel.lose()
                return False
            if channel is not None:
                _CONTENT_METHODS[method](channel, payload)
        elif kind == HEADER:
            if channel is not None:
                channel.header(payload)
        elif kind == BODY:
            if channel is not None:
                channel.body(payload)
        else:
            return False
        return True


_CONTENT_METHODS: Final[dict[tuple[Any, ...], Callable[[ContentChannel, Payload], None]]] = {
    (BASIC, DELIVER): ContentChannel.delivered,
    (BASIC, ACK): lambda channel, payload: channel.confirmed(payload, Outcome.CONFIRMED),
    (BASIC, NACK): lambda channel, payload: channel.confirmed(payload, Outcome.REFUSED),
    (BASIC, RETURN): lambda channel, _: channel.returned(),
}


class ContentStreams(TransportFactory):
    """Opens one for aiormq, and keeps it."""

    stream: ContentStream

    async def create(
        self,
        url: URL,
        **options: Any,  # noqa: ANN401 - aiormq's signature
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises AMQPConnectionError."""
        loop = asyncio.get_running_loop()
        is_tls = url.scheme == "amqps"
        context = await options["ssl_context_provider"].get_context() if is_tls else None
        reader = asyncio.StreamReader()
        self.stream = stream = ContentStream(reader)
        try:
            transport, _ = await loop.create_connection(
                lambda: stream, url.host or "localhost", url.port or 0, ssl=context
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, asyncio.StreamWriter(transport, stream, reader, loop)


def _properties(payload: Payload) -> Basic.Properties:
    """Of a content header."""
    data, at, end = payload
    _, _, header = pamqp.frame.unmarshal(data[at - FRAME.size : end + len(END)])
    return cast(ContentHeader, header).properties


def _traceparent(payload: Payload) -> str | None:
    """What others have put there is theirs: of any type, or no table that can be read."""
    try:
        found = (_properties(payload).headers or {}).get("traceparent")
    except Exception:  # noqa: BLE001 - whatever pamqp stumbles over: it would cost the connection
        return None
    return found if isinstance(found, str) else None


@lru_cache(maxsize=4096)
def _publish(number: int, queue: str) -> bytes:
    """The frame of Basic.Publish, the same for each message to a queue.

    Raises ValueError for a name of more than 255 bytes.
    """
    names = [bytes([len(name)]) + name for name in (exchange_of(queue).encode(), queue.encode())]
    arguments = b"\0\0" + b"".join(names) + _MANDATORY
    payload = _METHOD.pack(BASIC, PUBLISH) + arguments
    return FRAME.pack(METHOD, number, len(payload)) + payload + END


def _header(number: int, size: int, message_id: bytes, *, lasting: bool) -> bytes:
    frame = _HEADER.pack(
        HEADER,
        number,
        _HEADER.size - FRAME.size + len(message_id),
        BASIC,
        0,
        size,
        _DELIVERY_MODE_AND_MESSAGE_ID,
        2 if lasting else 1,
        len(message_id),
    )
    return frame + message_id + END


def _header_with(
    number: int, size: int, message_id: bytes, headers: dict[str, Any], *, lasting: bool
) -> bytes:
    properties = Basic.Properties(
        delivery_mode=2 if lasting else 1, headers=headers, message_id=message_id.decode()
    )
    return pamqp.frame.marshal(ContentHeader(0, size, properties), number)
