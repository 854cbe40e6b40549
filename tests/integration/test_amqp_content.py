"""Our way for content (libs/common/content.py) against RabbitMQ itself."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from libs.common import topology
from libs.common.broker import Broker, BrokerLost, Channel, Overloaded, Unroutable
from libs.common.content import Incoming
from libs.common.topology import Queue
from tests.chaos.proxy import Link

URL = os.environ["CHAT_AMQP_URL"]
FRAME = 131_072
"""The most that RabbitMQ takes in one frame, by default."""
SIZES = [0, 1, FRAME - 8, FRAME - 7, 3 * FRAME, 3 << 20]


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = await Broker.connect(URL, "test-content")
    yield broker
    await broker.close()


def own_queue() -> Queue:
    return topology.replies(uuid4().hex)


async def consumed(channel: Channel, queue: Queue) -> "asyncio.Queue[Incoming]":
    came: asyncio.Queue[Incoming] = asyncio.Queue()
    await channel.consume(queue.name, came.put_nowait)
    return came


async def taken(came: "asyncio.Queue[Incoming]", count: int) -> list[Incoming]:
    async with asyncio.timeout(10):
        return [await came.get() for _ in range(count)]


async def test_bodies_of_any_size_arrive_whole_and_in_order(broker: Broker) -> None:
    queue = own_queue()
    channel = await broker.channel()
    await channel.declare(queue)
    came = await consumed(await broker.channel(), queue)
    bodies = [bytes([number % 251]) * size for number in range(20) for size in SIZES]
    await asyncio.gather(
        *(
            channel.publish(queue.name, body, lasting=number % 2 == 0)
            for number, body in enumerate(bodies)
        )
    )
    assert [message.body for message in await taken(came, len(bodies))] == bodies


async def test_each_publish_learns_what_became_of_it(broker: Broker) -> None:
    """Confirmed, returned and refused in turn, all in flight at once."""
    free, full = own_queue(), replace(own_queue(), arguments=topology.signals(0).arguments)
    full = replace(full, arguments=full.arguments | {"x-max-length": 1})
    channel = await broker.channel()
    for queue in (free, full):
        await channel.declare(queue)
    await channel.publish(full.name, b"", lasting=False)
    outcomes = await asyncio.gather(
        *(
            channel.publish(name, b"x" * number, lasting=False)
            for number in range(300)
            for name in (free.name, f"nobody's {number}", full.name)
        ),
        return_exceptions=True,
    )
    assert outcomes[0::3] == [None] * 300
    assert all(isinstance(outcome, Unroutable) for outcome in outcomes[1::3])
    assert all(isinstance(outcome, Overloaded) for outcome in outcomes[2::3])


async def test_who_gives_up_leaves_others_their_confirms(broker: Broker) -> None:
    queue = own_queue()
    channel = await broker.channel()
    await channel.declare(queue)
    publishes = [
        asyncio.create_task(channel.publish(queue.name, b"x", lasting=False)) for _ in range(40)
    ]
    await asyncio.sleep(0)  # They are written.
    for given_up in publishes[::2]:
        given_up.cancel()
    assert await asyncio.gather(*publishes[1::2]) == [None] * 20


async def test_what_was_not_acknowledged_comes_again_in_order(broker: Broker) -> None:
    queue = replace(own_queue(), auto_delete=False)
    publisher = await broker.channel()
    await publisher.declare(queue)
    for number in range(6):
        await publisher.publish(queue.name, b"%d" % number, lasting=False)
    first = await broker.channel()
    seen = await taken(await consumed(first, queue), 6)
    assert not any(message.redelivered for message in seen)
    first.acknowledge(seen[2].delivery_tag, multiple=True)
    first.acknowledge(seen[4].delivery_tag)
    await first.close()
    again = await taken(await consumed(await broker.channel(), queue), 2)
    assert [(message.body, message.redelivered) for message in again] == [
        (b"3", True),
        (b"5", True),
    ]


async def test_a_channel_that_rabbitmq_closes_takes_no_other_with_it(broker: Broker) -> None:
    queue = own_queue()
    spoiled, sound = await broker.channel(), await broker.channel()
    await sound.declare(queue)
    spoiled.acknowledge(4_711)  # There is no such delivery.
    async with asyncio.timeout(5):
        await spoiled.lost
    with pytest.raises(BrokerLost):
        await spoiled.publish(queue.name, b"", lasting=False)
    with pytest.raises(BrokerLost):
        spoiled.acknowledge(1)
    await sound.publish(queue.name, b"", lasting=False)
    # Its number is given to the next one, which starts anew.
    await (await broker.channel()).publish(queue.name, b"", lasting=False)


@pytest.mark.parametrize("closed_by", ["us", "RabbitMQ"])
async def test_who_goes_on_publishing_on_a_closing_channel_costs_nobody_else(
    broker: Broker, closed_by: str
) -> None:
    """To RabbitMQ a frame for a channel that is closed is an error of the whole connection."""
    queue = own_queue()
    closing, sound = await broker.channel(), await broker.channel()
    await sound.declare(queue)

    publishing: list[asyncio.Task[None]] = []

    async def go_on() -> None:
        while not closing.lost.done():
            publish = closing.publish(queue.name, b"", lasting=False)
            publishing.append(asyncio.create_task(publish))
            await asyncio.sleep(0)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(go_on())
        await sound.publish(queue.name, b"", lasting=False)
        if closed_by == "us":
            await closing.close()
        else:
            closing.acknowledge(4_711)
    ends = await asyncio.gather(*publishing, return_exceptions=True)
    assert isinstance(ends[-1], BrokerLost)
    assert all(end is None or isinstance(end, BrokerLost) for end in ends)
    with pytest.raises(BrokerLost):
        closing.acknowledge(1)
    await sound.publish(queue.name, b"", lasting=False)
    assert not broker.lost.done()


async def test_a_cut_connection_ends_what_is_in_flight() -> None:
    async with cuttable() as (link, broker):
        queue = own_queue()
        channel = await broker.channel()
        await channel.declare(queue)
        link.do("blackhole")
        in_flight = asyncio.create_task(channel.publish(queue.name, b"x", lasting=False))
        await asyncio.sleep(0)  # It is written.
        link.do("cut")
        async with asyncio.timeout(5):
            with pytest.raises(BrokerLost):
                await in_flight
            await asyncio.gather(channel.lost, broker.lost)


@asynccontextmanager
async def cuttable() -> AsyncIterator[tuple[Link, Broker]]:
    url = urlsplit(URL)
    link = Link(url.port or 5672)
    port = await link.listen()
    user = url.netloc.rpartition("@")[0]
    broker = await Broker.connect(
        url._replace(netloc=f"{user}@127.0.0.1:{port}").geturl(), "test-content"
    )
    try:
        yield link, broker
    finally:
        link.close()
        await broker.close()
