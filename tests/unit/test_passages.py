"""What a process remembers of the AMQP messages that passed (libs/common/passages.py)."""

import asyncio
from uuid import UUID, uuid4

import pamqp.frame
from pamqp.commands import Basic
from uuid_utils.compat import uuid7

from libs.common.content import ContentStream, Outcome
from libs.common.passages import ENTRY_BYTES, PASSAGES, Act, Entry, Passages, named_in
from libs.common.protocol.codec import DELIVERIES, EVENTS, WRITES
from libs.common.protocol.deliveries import Answer, ToUser
from libs.common.protocol.events import Delivered, Send
from libs.common.protocol.frames import MessageSent, encode_frame
from libs.common.protocol.writes import InsertMessage, MarkDelivered, Write

MESSAGE, OTHER, PLACE = uuid7(), uuid7(), uuid4()


def send(try_id: UUID) -> Send:
    return Send(PLACE, uuid4(), try_id, uuid4(), "content", 1, uuid4(), "gateway")


def published(at: float, queue: str, body: bytes, tag: int = 1, channel: int = 0) -> Entry:
    return Entry(at, Act.PUBLISHED, channel, tag, body=body, queue=queue)


def settled(at: float, tag: int, *, is_multiple: bool = False, channel: int = 0) -> Entry:
    return Entry(at, Act.SETTLED, channel, tag, is_multiple, outcome="CONFIRMED")


def test_a_message_is_found_among_others_by_its_bytes() -> None:
    passages = Passages()
    passages.add(published(1, "chat.events.0", EVENTS.encode([send(OTHER)])))
    passages.add(published(2, "chat.events.1", EVENTS.encode([send(OTHER), send(MESSAGE)])))
    [found] = passages.of(MESSAGE)
    assert (found.at, found.queue, found.items, found.ended_at) == (
        2,
        "chat.events.1",
        ["Send"],
        None,
    )


def test_what_holds_a_frame_is_named_by_it() -> None:
    """In a frame the id is text."""
    frame = encode_frame(MessageSent(None, MESSAGE, PLACE, 2, "2026-11-25T00:00:00.000Z"))
    body = DELIVERIES.encode(
        [Answer(uuid4(), uuid4(), frame), ToUser(uuid4(), PLACE, 2, frame, message_id=MESSAGE)]
    )
    passages = Passages()
    passages.add(Entry(1, Act.TAKEN, 0, 1, body=body, queue="chat.deliveries.gateway-1-ab"))
    [found] = passages.of(MESSAGE)
    assert found.items == ["Answer MESSAGE_SENT", "ToUser MESSAGE_SENT"]


def test_also_what_happens_to_it_later() -> None:
    delivered = Delivered(PLACE, uuid4(), [OTHER, MESSAGE], 1)
    writes: list[Write] = [
        InsertMessage(PLACE, 2, OTHER, uuid4(), None, "x", 1),
        MarkDelivered(PLACE, 3, [MESSAGE], 1),
    ]
    passages = Passages()
    passages.add(published(1, "chat.events.0", EVENTS.encode([delivered])))
    passages.add(published(2, "chat.writes.0", WRITES.encode(writes)))
    assert [one.items for one in passages.of(MESSAGE)] == [["Delivered"], ["MarkDelivered"]]


def test_queues_of_others_and_malformed_bodies_say_nothing() -> None:
    passages = Passages()
    for queue in ("chat.dead", "chat.typing", "matches", ""):
        passages.add(published(1, queue, EVENTS.encode([send(MESSAGE)])))
    passages.add(published(1, "chat.events.0", b"\xc1" + MESSAGE.bytes))
    assert passages.of(MESSAGE) == []


def test_the_end_of_its_way_is_its_channels_and_its_own() -> None:
    passages = Passages()
    body = EVENTS.encode([send(MESSAGE)])
    passages.add(published(1, "chat.events.0", body, tag=5, channel=1))
    passages.add(settled(2, 5, channel=2))
    passages.add(settled(3, 4, channel=1, is_multiple=True))
    passages.add(settled(4, 6, channel=1))
    passages.add(Entry(5, Act.ACKNOWLEDGED, 1, 5))
    assert passages.of(MESSAGE)[0].ended_at is None
    passages.add(settled(6, 7, channel=1, is_multiple=True))
    found = passages.of(MESSAGE)[0]
    assert (found.ended_at, found.outcome) == (6, "CONFIRMED")


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    passages = Passages(3 * (ENTRY_BYTES + 100))
    for at in range(5):
        passages.add(published(at, "chat.events.0", bytes(100)))
    assert passages.since == 1
    assert len(passages.of(MESSAGE)) == 0
    passages.add(published(6, "chat.events.0", bytes(1_000)))
    assert passages.since == 6, "one that is larger than all leaves nothing"


def test_without_memory_nothing_is_kept() -> None:
    passages = Passages(0)
    passages.add(published(1, "chat.events.0", EVENTS.encode([send(MESSAGE)])))
    assert passages.of(MESSAGE) == []


async def test_every_channel_tells() -> None:
    """Publish, confirm, delivery and acknowledgement, on a stream without a broker behind it."""
    stream = ContentStream(asyncio.StreamReader())
    channel = stream.channel(7, 1_000)
    body, queue = EVENTS.encode([send(MESSAGE)]), "chat.events.3"
    channel.deliver_to(queue, lambda _: None)
    outcome = channel.publish(queue, body, lasting=True)
    stream.data_received(pamqp.frame.marshal(Basic.Ack(1), 7))
    await outcome
    stream.data_received(
        pamqp.frame.marshal(Basic.Deliver(queue, 9, False, "", queue), 7)
        + pamqp.frame.marshal(pamqp.header.ContentHeader(0, len(body)), 7)
        + pamqp.frame.marshal(pamqp.body.ContentBody(body), 7)
    )
    channel.acknowledge(9, multiple=False)
    sent, taken = PASSAGES.of(MESSAGE)
    assert (sent.act, sent.queue, sent.outcome) == (Act.PUBLISHED, queue, "CONFIRMED")
    assert (taken.act, taken.queue) == (Act.TAKEN, queue)
    assert sent.ended_at is not None
    assert taken.ended_at is not None
    assert sent.at <= sent.ended_at <= taken.at <= taken.ended_at


async def test_what_no_queue_took_is_not_called_confirmed() -> None:
    """RabbitMQ returns it, and confirms it after that."""
    stream = ContentStream(asyncio.StreamReader())
    message_id = UUID(str(uuid7()))
    body, queue = EVENTS.encode([send(message_id)]), "chat.events.9"
    outcome = stream.channel(8, 1_000).publish(queue, body, lasting=False)
    stream.data_received(
        pamqp.frame.marshal(Basic.Return(312, "NO_ROUTE", "", queue), 8)
        + pamqp.frame.marshal(
            pamqp.header.ContentHeader(0, len(body), Basic.Properties(message_id="1")), 8
        )
        + pamqp.frame.marshal(pamqp.body.ContentBody(body), 8)
        + pamqp.frame.marshal(Basic.Ack(1), 8)
    )
    assert await outcome is Outcome.RETURNED
    [found] = PASSAGES.of(message_id)
    assert found.outcome == "RETURNED"


def test_a_frame_that_cannot_be_read_has_no_type() -> None:
    """Whatever came into a gateway's queue, whoever asks where a message went gets an answer."""
    message_id, user = uuid4(), uuid4()
    body = DELIVERIES.encode([ToUser(user, uuid4(), 3, b"\xff no frame", message_id)])
    assert named_in("chat.deliveries.gateway", body, message_id) == ["ToUser ?"]
