"""The split stream (libs/common/content.py) against pamqp's frames, cut anywhere."""

import asyncio
from typing import cast

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from libs.common import tracing
from libs.common.content import ContentStream, Incoming, Outcome

NUMBER = 7
MOST_IN_FRAME = 100


class Written(asyncio.Transport):
    """What was written to the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def frames(self) -> list[FrameTypes]:
        found, rest = [], self.data
        while rest:
            size, number, frame = pamqp.frame.unmarshal(rest)
            assert number == NUMBER
            found.append(frame)
            rest = rest[size:]
        return found


def stream_to(transport: Written) -> tuple[ContentStream, asyncio.StreamReader]:
    reader = asyncio.StreamReader()
    stream = ContentStream(reader)
    stream.connection_made(transport)
    return stream, reader


def marshalled(*frames: FrameTypes) -> bytes:
    return b"".join(pamqp.frame.marshal(frame, NUMBER) for frame in frames)


def delivery(tag: int, body: bytes) -> bytes:
    parts = [body[at : at + MOST_IN_FRAME] for at in range(0, len(body), MOST_IN_FRAME)]
    return marshalled(
        Basic.Deliver("consumer", tag, redelivered=bool(tag % 2), exchange="x", routing_key="k"),
        ContentHeader(0, len(body), Basic.Properties(headers={"a": "b"})),
        *map(ContentBody, parts),
    )


bodies = st.lists(st.binary(max_size=3 * MOST_IN_FRAME), max_size=8)


@given(bodies=bodies, cuts=st.lists(st.integers(1, 200), max_size=40))
def test_content_is_taken_and_all_else_is_left(bodies: list[bytes], cuts: list[int]) -> None:
    async def check() -> None:
        stream, reader = stream_to(Written())
        came: list[Incoming] = []
        stream.channel(NUMBER, MOST_IN_FRAME).deliver_to("consumer", came.append)
        control = pamqp.frame.marshal(Channel.Flow(active=True), NUMBER)
        data = b"".join(delivery(tag, body) + control for tag, body in enumerate(bodies))
        for cut in cuts:
            stream.data_received(data[:cut])
            data = data[cut:]
        stream.data_received(data)
        assert came == [Incoming(body, tag, tag % 2 == 1, "k") for tag, body in enumerate(bodies)]
        reader.feed_eof()
        left = await reader.read()
        heartbeat = pamqp.frame.marshal(Heartbeat(), 0)
        assert left.replace(heartbeat, b"") == control * len(bodies)
        # Content shows that the broker lives; aiormq must hear of that (once a second).
        assert left.count(heartbeat) == (1 if bodies else 0)

    asyncio.run(check())


@given(bodies=bodies)
def test_a_publish_is_whole_frames(bodies: list[bytes]) -> None:
    async def check() -> None:
        transport = Written()
        stream, _ = stream_to(transport)
        channel = stream.channel(NUMBER, MOST_IN_FRAME)
        for index, body in enumerate(bodies):
            headers = {"x-reason": "why"} if index % 3 == 2 else None
            channel.publish("a queue", body, lasting=index % 2 == 0, headers=headers)
        frames = iter(transport.frames())
        for index, body in enumerate(bodies):
            method, header = next(frames), cast(ContentHeader, next(frames))
            assert isinstance(method, Basic.Publish)
            assert (method.routing_key, method.exchange) == ("a queue", "")
            assert (method.mandatory, method.immediate) == (True, False)
            assert header.body_size == len(body)
            assert header.properties.delivery_mode == (2 if index % 2 == 0 else 1)
            assert header.properties.message_id == str(index + 1)
            assert bool(header.properties.headers) == (index % 3 == 2)
            content = b""
            while len(content) < len(body):
                part = next(frames)
                assert isinstance(part, ContentBody)
                assert part.value is not None
                assert len(part.value) <= MOST_IN_FRAME
                content += part.value
            assert content == body
        assert next(frames, None) is None

    asyncio.run(check())


async def test_each_publish_gets_its_own_outcome() -> None:
    stream, _ = stream_to(Written())
    channel = stream.channel(NUMBER, MOST_IN_FRAME)
    one, two, three, four, five = (channel.publish("q", b"x", lasting=True) for _ in range(5))
    two.cancel()  # Who gives up takes nothing from the others.
    stream.data_received(
        marshalled(
            Basic.Return(312, "NO_ROUTE", "", "q"),
            ContentHeader(0, 1, Basic.Properties(message_id="3")),
            ContentBody(b"x"),
            Basic.Nack(4, multiple=False, requeue=False),
            Basic.Ack(3, multiple=True),
        )
    )
    assert (one.result(), three.result()) == (Outcome.CONFIRMED, Outcome.RETURNED)
    assert two.cancelled()
    assert four.result() is Outcome.REFUSED
    assert not five.done()
    stream.connection_lost(None)
    assert five.result() is Outcome.LOST
    assert (await channel.publish("q", b"x", lasting=True)) is Outcome.LOST
    assert not channel.acknowledge(1, multiple=True)


async def test_an_acknowledgement_is_a_frame() -> None:
    transport = Written()
    stream, _ = stream_to(transport)
    channel = stream.channel(NUMBER, MOST_IN_FRAME)
    assert channel.acknowledge(1 << 40, multiple=True)
    [ack] = transport.frames()
    assert isinstance(ack, Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (1 << 40, True)


async def test_what_comes_for_a_closed_channel_is_dropped() -> None:
    stream, reader = stream_to(Written())
    stream.channel(NUMBER, MOST_IN_FRAME).lose()
    later = stream.channel(NUMBER + 1, MOST_IN_FRAME)
    stream.data_received(delivery(1, b"x") + marshalled(Basic.Ack(1)))
    reader.feed_eof()
    assert await reader.read() == pamqp.frame.marshal(Heartbeat(), 0)
    later.lose()


async def test_a_receiver_that_fails_stops_nothing() -> None:
    stream, _ = stream_to(Written())
    came: list[bytes] = []

    def receive(message: Incoming) -> None:
        if message.body == b"bad":
            raise ValueError(message.body)
        came.append(message.body)

    stream.channel(NUMBER, MOST_IN_FRAME).deliver_to("consumer", receive)
    stream.data_received(delivery(1, b"a") + delivery(2, b"bad") + delivery(3, b"b"))
    assert came == [b"a", b"b"]


def test_a_queue_that_nobody_can_have_is_unroutable() -> None:
    """And the outcomes of what follows are still its own."""

    async def check() -> None:
        stream, reader = stream_to(transport := Written())
        channel = stream.channel(NUMBER, MOST_IN_FRAME)
        for name in ("x" * 256, "\ud800"):
            assert await channel.publish(name, b"", lasting=True) is Outcome.RETURNED
        assert transport.data == b""
        good = channel.publish("x" * 255, b"", lasting=True)
        stream.data_received(marshalled(Basic.Ack(1)))
        assert await good is Outcome.CONFIRMED
        reader.feed_eof()

    asyncio.run(check())


def test_headers_that_cannot_be_read_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tracing on, an odd table must not cost the connection, again and again."""
    monkeypatch.setattr(tracing, "spans", object())

    async def check() -> None:
        stream, reader = stream_to(Written())
        came: list[Incoming] = []
        stream.channel(NUMBER, MOST_IN_FRAME).deliver_to("consumer", came.append)
        whole = delivery(1, b"body")
        for odd in (b"\x01ay", b"\x01aS", b"\xffaS"):
            stream.data_received(whole.replace(b"\x01aS", odd))
        assert [incoming.body for incoming in came] == [b"body"] * 3
        reader.feed_eof()

    asyncio.run(check())
