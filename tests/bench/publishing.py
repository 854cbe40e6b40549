"""Straight into RabbitMQ's queues, as a router would publish."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika

Publish = Callable[[str, bytes], Awaitable[None]]


@asynccontextmanager
async def publishing(amqp_url: str) -> AsyncIterator[Publish]:
    """`publish(queue, body)` returns when it is confirmed."""
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel(on_return_raises=True) as channel:

        async def publish(queue: str, body: bytes) -> None:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=queue)

        yield publish
