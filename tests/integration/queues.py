"""What a fault, or a foreign hand, does to the queues: straight into RabbitMQ, past every role."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika

from libs.common.topology import DEAD
from tests.integration.watching import until


@dataclass(frozen=True)
class Dead:
    """One message of `chat.dead`."""

    body: bytes
    source: str
    reason: str


class Queues:
    """Use `open_queues`."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel

    async def put(self, queue: str, body: bytes, **properties: Any) -> None:
        """Returns when it is confirmed."""
        message = aio_pika.Message(
            body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties
        )
        await self._channel.default_exchange.publish(message, routing_key=queue)

    async def delete(self, queue: str) -> None:
        await self._channel.queue_delete(queue)

    async def announce(self, routing_key: str, body: bytes) -> None:
        """As the match service does."""
        exchange = await self._channel.get_exchange("matches", ensure=False)
        await exchange.publish(aio_pika.Message(body), routing_key=routing_key)

    async def take_dead(self) -> list[Dead]:
        """What lies in `chat.dead`; afterwards it is empty."""
        queue = await self._channel.get_queue(DEAD, ensure=False)
        dead: list[Dead] = []
        while message := await queue.get(fail=False):
            headers = message.headers
            # Without, where RabbitMQ has put it there.
            source, reason = (str(headers.get(name)) for name in ("x-source", "x-reason"))
            dead.append(Dead(message.body, source, reason))
            await message.ack()
        return dead

    async def dead_within(self, within_s: float, count: int) -> list[Dead]:
        """Waits for so many; there may be more."""
        found: list[Dead] = []

        async def came() -> bool:
            found.extend(await self.take_dead())
            return len(found) >= count

        await until(came, within_s, lambda: f"{count} dead letters; there are {found}")
        return found


@asynccontextmanager
async def open_queues(variables: Mapping[str, str] = os.environ) -> AsyncIterator[Queues]:
    """Of the stack under test, or of another by its variables."""
    connection = await aio_pika.connect(variables["CHAT_AMQP_URL"])
    try:
        yield Queues(await connection.channel(on_return_raises=True))
    finally:
        await connection.close()
