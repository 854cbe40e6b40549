"""What no role may do with the queues, tried with its own login (decision 0038)."""

import os
from collections.abc import Awaitable, Callable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from libs.common.domain.role import (
    GATEWAY,
    MATCH_SERVICE,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
    login_of,
)
from libs.common.topology import (
    DEAD,
    MATCH_CREATED,
    MATCHES_EXCHANGE,
    deliveries,
    events,
    exchange_of,
    writes,
)
from local import environment
from local.layout import Layout

LAYOUT = Layout(os.environ["CHAT_STACK"])


TO_WRITES = exchange_of(writes(0).name)
Deed = Callable[[AbstractChannel], Awaitable[object]]


def consumes(queue: str) -> Deed:
    async def deed(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(no_ack=True, fail=False)

    return deed


def publishes(queue: str, exchange: str = "") -> Deed:
    async def deed(channel: AbstractChannel) -> None:
        message = aio_pika.Message(b"")
        if exchange:
            way = await channel.get_exchange(exchange, ensure=False)
            await way.publish(message, routing_key=queue)
        else:
            await channel.default_exchange.publish(message, routing_key=queue)

    return deed


def declares(queue: str) -> Deed:
    return lambda channel: channel.declare_queue(queue, durable=True)


def deletes(queue: str) -> Deed:
    return lambda channel: channel.queue_delete(queue)


REFUSED: dict[str, tuple[Deed, ...]] = {
    GATEWAY: (
        consumes(writes(0).name),
        consumes(events(0).name),
        consumes(DEAD),
        publishes(writes(0).name),
        publishes(writes(0).name, TO_WRITES),
        publishes(deliveries("another").name),
        publishes(MATCH_CREATED, MATCHES_EXCHANGE),
        declares("chat.events.900"),
        deletes(events(0).name),
    ),
    REST: (
        consumes(writes(0).name),
        consumes(events(0).name),
        publishes(deliveries("gateway").name),
        publishes("chat.replies.another"),
        consumes(DEAD),
        deletes(writes(0).name),
        declares("mine"),
    ),
    PERSISTER: (consumes(events(0).name), consumes(DEAD), deletes(events(0).name)),
    ROUTER: (consumes(DEAD), consumes("chat.deliveries.another"), declares("mine")),
    PRIVACY: (
        consumes(events(0).name),
        consumes(writes(0).name),
        publishes("chat.replies.another"),
        consumes(DEAD),
    ),
    MATCH_SERVICE: (
        consumes("chat.matches"),
        publishes(events(0).name),
        publishes(events(0).name, exchange_of(events(0).name)),
        declares("mine"),
    ),
}


@pytest.mark.parametrize("role", REFUSED)
async def test_what_is_not_a_roles_to_do_with_the_queues(role: str) -> None:
    url = environment.of_role(LAYOUT, role)["CHAT_AMQP_URL"]
    assert f"//{login_of(role)}:" in url
    async with await aio_pika.connect(url) as connection:
        done = [number for number, deed in enumerate(REFUSED[role]) if await does(connection, deed)]
    assert done == [], "numbers of what was not refused"


async def does(connection: AbstractConnection, deed: Deed) -> bool:
    channel = await connection.channel()
    try:
        await deed(channel)
    except ChannelAccessRefused:
        return False
    return True


async def test_the_match_service_may_announce_a_match() -> None:
    url = environment.of_role(LAYOUT, MATCH_SERVICE)["CHAT_AMQP_URL"]
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            MATCHES_EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
        )
        # Of a kind that no queue is bound to: nothing comes of it.
        await exchange.publish(aio_pika.Message(b""), routing_key="match.test", mandatory=False)


@pytest.mark.parametrize("login", ["guest:guest", "chat_gateway:guest"])
async def test_nobody_gets_into_rabbitmq_by_a_known_password(login: str) -> None:
    _, _, place = os.environ["CHAT_AMQP_URL"].rpartition("@")
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://{login}@{place}")
