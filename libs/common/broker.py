"""RabbitMQ. The only importer of aio-pika.

Connections do not heal themselves here, on purpose. A lost connection ends everything that was
built on it (`lifecycle.serve_while_connected` starts anew): work begun on the old one must never
be published on a new one, when its partition may already have another owner.

Publishing and consuming use aio-pika's underlay, aiormq: the hot path needs no more than a body
and a routing key.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as UnderlayChannel
from aiormq.exceptions import AMQPError, DeliveryError, PublishError
from pamqp.commands import Basic
from pamqp.common import FieldTable

from libs.common.topology import DEAD, Queue

HEARTBEAT_S: Final = 5
"""aiormq gives a silent broker up after three of these and the graces, 18 s as measured; with its
default of 60 s after three minutes. RabbitMQ gives us up after two."""
CONNECT_TIMEOUT_S: Final = 5.0


class BrokerLost(Exception):
    """The connection or channel is gone. What was published may or may not have arrived."""


class Unroutable(Exception):
    """There is no such queue: its owner is gone."""


class Overloaded(Exception):
    """The queue is full and refused the message."""


_LOST: Final = (AMQPError, ConnectionError, RuntimeError, asyncio.TimeoutError, OSError)


@contextmanager
def _lost_while(doing: str) -> Iterator[None]:
    """Whatever says that the connection is gone, as BrokerLost."""
    try:
        yield
    except _LOST as error:
        raise BrokerLost(f"{doing}: {error}") from error
    except asyncio.CancelledError as error:
        # aiormq ends what is in flight with a bare cancellation when it finds the broker stuck.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerLost(f"{doing}: the connection was given up") from error


@dataclass(frozen=True, slots=True)
class Incoming:
    """One AMQP message as it came."""

    body: bytes
    delivery_tag: int
    redelivered: bool
    routing_key: str


class Channel:
    """A channel in confirm mode. Closing it gives back, in order, what was not acknowledged."""

    def __init__(self, channel: AbstractChannel, underlay: UnderlayChannel) -> None:
        self._channel = channel
        self._underlay = underlay
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the channel is closed, by whomever."""
        underlay.closing.add_done_callback(self._on_closed)
        underlay.on_consumer_cancel_callbacks.add(self._on_cancelled)

    async def declare(self, queue: Queue) -> None:
        """Raises BrokerLost, also when the queue exists with other arguments."""
        with _lost_while(f"declaring {queue.name}"):
            declared = await self._channel.declare_queue(
                queue.name,
                durable=queue.durable,
                exclusive=queue.exclusive,
                auto_delete=queue.auto_delete,
                arguments=dict(queue.arguments),
            )
            if queue.exchange:
                exchange = await self._channel.declare_exchange(
                    queue.exchange, aio_pika.ExchangeType.TOPIC, durable=True
                )
                for key in queue.routing_keys:
                    await declared.bind(exchange, key)

    async def publish(self, queue: str, body: bytes, *, lasting: bool) -> None:
        """Returns when the broker has confirmed; `lasting`, when it is on disk (promise 1).

        Raises Unroutable, Overloaded, BrokerLost. Two publishes that were started in an order
        arrive in that order, whether or not the first was awaited.
        """
        await self._publish(queue, body, Basic.Properties(delivery_mode=2 if lasting else 1))

    async def bury(self, body: bytes, *, source: str, reason: str) -> None:
        """Puts what could not be processed into `chat.dead`, with where from and why."""
        headers: FieldTable = {"x-source": source, "x-reason": reason[:1000]}
        await self._publish(DEAD, body, Basic.Properties(delivery_mode=2, headers=headers))

    async def _publish(self, queue: str, body: bytes, properties: Basic.Properties) -> None:
        with _lost_while(f"publishing to {queue}"):
            try:
                await self._underlay.basic_publish(
                    body, routing_key=queue, properties=properties, mandatory=True, wait=False
                )
            except PublishError as error:
                raise Unroutable(queue) from error
            except DeliveryError as error:
                raise Overloaded(queue) from error

    async def consume(
        self, queue: str, receive: Callable[[Incoming], None], *, acknowledged: bool = True
    ) -> None:
        """Calls `receive` for each message, in the queue's order. Raises BrokerLost.

        Without `acknowledged` the broker forgets a message once it is sent: for a queue that
        goes with this connection anyway, where an acknowledgement would only cost a round.
        """

        async def on_message(message: DeliveredMessage) -> None:
            receive(
                Incoming(
                    message.body,
                    message.delivery_tag or 0,
                    bool(message.redelivered),
                    message.routing_key or "",
                )
            )

        with _lost_while(f"consuming {queue}"):
            await self._underlay.basic_consume(queue, on_message, no_ack=not acknowledged)

    async def acknowledge(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """With `multiple`, all up to this one. Raises BrokerLost."""
        with _lost_while("acknowledging"):
            await self._underlay.basic_ack(delivery_tag, multiple=multiple, wait=False)

    async def close(self) -> None:
        """Also when it is gone already."""
        with suppress(BrokerLost), _lost_while("closing a channel"):
            await self._channel.close()

    def _on_closed(self, closing: "asyncio.Future[Any]") -> None:
        if not closing.cancelled():
            closing.exception()  # seen: whoever uses the channel meets BrokerLost
        if not self.lost.done():
            self.lost.set_result(None)

    def _on_cancelled(self, _: object) -> None:
        """The broker took the queue away: a consumer that gets nothing must not look alive."""
        if not self.lost.done():
            self.lost.set_result(None)


class Broker:
    """One connection."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed, by whomever."""
        connection.close_callbacks.add(self._on_closed)

    @classmethod
    async def connect(cls, url: str, name: str) -> "Broker":
        """Raises BrokerLost when there is no broker. `name` is shown in RabbitMQ's listings."""
        separator = "&" if "?" in url else "?"
        with _lost_while("connecting to RabbitMQ"):
            connection = await aio_pika.connect(
                f"{url}{separator}heartbeat={HEARTBEAT_S}&name={name}",
                timeout=CONNECT_TIMEOUT_S,
                client_properties={"connection_name": name},
            )
        return cls(connection)

    async def channel(self, prefetch: int = 0) -> Channel:
        """`prefetch`: how many unacknowledged messages it may hold; 0 for no bound."""
        with _lost_while("opening a channel"):
            channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            await channel.set_qos(prefetch_count=prefetch)
            underlay = cast(UnderlayChannel, await channel.get_underlay_channel())
            return Channel(channel, underlay)

    async def close(self) -> None:
        """Also when it is gone already."""
        with suppress(BrokerLost), _lost_while("closing a connection"):
            await self._connection.close()

    def _on_closed(self, *_: object) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
