"""RabbitMQ. Besides `content` the only importer of aio-pika and what is under it.

Connections do not heal themselves here, on purpose. A lost connection ends everything that was
built on it (`lifecycle.serve_while_connected` starts anew): work begun on the old one must never
be published on a new one, when its partition may already have another owner.

What is published and consumed goes past its queues and tasks: see `content`.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.channel import Channel as UnderlayChannel
from aiormq.exceptions import AMQPError
from yarl import URL

from libs.common import tracing
from libs.common.content import ContentChannel, ContentStreams, Incoming, Outcome
from libs.common.metrics import CONFIRM
from libs.common.topology import DEAD, Queue, kind_of

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


class Channel:
    """A channel in confirm mode. Closing it gives back, in order, what was not acknowledged."""

    def __init__(
        self, channel: AbstractChannel, underlay: UnderlayChannel, content: ContentChannel
    ) -> None:
        """Use `Broker.channel`."""
        self._channel = channel
        self._underlay = underlay
        self._content = content
        self._now = asyncio.get_running_loop().time
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
                    queue.exchange, queue.exchange_type, durable=True
                )
                for key in queue.routing_keys:
                    await declared.bind(exchange, key)

    async def find(self, queue: Queue) -> None:
        """Looks whether it has been declared, which needs no privilege. Raises BrokerLost.

        Then the channel is gone; whoever comes back finds it once a router has started.
        """
        with _lost_while(f"looking for {queue.name}, which a router declares"):
            await self._channel.declare_queue(queue.name, passive=True)
            if queue.exchange:
                await self._channel.get_exchange(queue.exchange, ensure=True)

    async def publish(self, queue: str, body: bytes, *, lasting: bool) -> None:
        """Returns when the broker has confirmed; `lasting`, when it is on disk (promise 1).

        Raises Unroutable, Overloaded, BrokerLost. Two publishes that were started in an order
        arrive in that order, whether or not the first was awaited.
        """
        headers = None if tracing.spans is None else tracing.spans.headers()
        started = self._now()
        outcome = await self._content.publish(queue, body, lasting=lasting, headers=headers)
        self._check(queue, outcome)
        CONFIRM.labels(kind_of(queue)).observe(self._now() - started)

    async def bury(self, body: bytes, *, source: str, reason: str) -> None:
        """Puts what could not be processed into `chat.dead`, with where from and why."""
        headers = {"x-source": source, "x-reason": reason[:1000]}
        self._check(DEAD, await self._content.publish(DEAD, body, lasting=True, headers=headers))

    def _check(self, queue: str, outcome: Outcome) -> None:
        match outcome:
            case Outcome.RETURNED:
                raise Unroutable(queue)
            case Outcome.REFUSED:
                raise Overloaded(queue)
            case Outcome.LOST:
                raise BrokerLost(f"publishing to {queue}: the channel is gone")

    async def consume(
        self, queue: str, receive: Callable[[Incoming], None], *, acknowledged: bool = True
    ) -> None:
        """Calls `receive` for each message, in the queue's order. Raises BrokerLost.

        Without `acknowledged` the broker forgets a message once it is sent: for a queue that
        goes with this connection anyway, where an acknowledgement would only cost a round.
        """
        self._content.deliver_to(queue, receive)
        with _lost_while(f"consuming {queue}"):
            await self._underlay.basic_consume(
                queue, _unused, no_ack=not acknowledged, consumer_tag=queue
            )

    def acknowledge(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """With `multiple`, all up to this one. Raises BrokerLost."""
        if not self._content.acknowledge(delivery_tag, multiple=multiple):
            raise BrokerLost("acknowledging: the channel is gone")

    async def close(self) -> None:
        """Also when it is gone already. Whoever still publishes gets BrokerLost."""
        self._content.lose()
        with suppress(BrokerLost), _lost_while("closing a channel"):
            await self._channel.close()

    def _on_closed(self, closing: "asyncio.Future[Any]") -> None:
        self._content.lose()
        if not closing.cancelled():
            closing.exception()  # seen: whoever uses the channel meets BrokerLost
        if not self.lost.done():
            self.lost.set_result(None)

    def _on_cancelled(self, _: object) -> None:
        """The broker took the queue away: a consumer that gets nothing must not look alive."""
        if not self.lost.done():
            self.lost.set_result(None)


async def _unused(_: object) -> None:
    """Content doesn't come to aiormq."""


class Broker:
    """One connection."""

    def __init__(self, connection: aio_pika.Connection, streams: ContentStreams) -> None:
        """Use `connect`."""
        self._connection = connection
        self._streams = streams
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed, by whomever."""
        connection.close_callbacks.add(self._on_closed)

    @classmethod
    async def connect(cls, url: str, name: str) -> "Broker":
        """Raises BrokerLost when there is no broker. `name` is shown in RabbitMQ's listings."""
        connection = aio_pika.Connection(
            URL(url).update_query(heartbeat=HEARTBEAT_S, name=name),
            client_properties={"connection_name": name},
        )
        streams = connection.kwargs["transport_factory"] = ContentStreams()
        with _lost_while("connecting to RabbitMQ"):
            await connection.connect(timeout=CONNECT_TIMEOUT_S)
        return cls(connection, streams)

    async def channel(self, prefetch: int = 0) -> Channel:
        """`prefetch`: how many unacknowledged messages it may hold; 0 for no bound."""
        with _lost_while("opening a channel"):
            channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            await channel.set_qos(prefetch_count=prefetch)
            underlay = cast(UnderlayChannel, await channel.get_underlay_channel())
            content = self._streams.stream.channel(underlay.number, underlay.max_content_size)
            return Channel(channel, underlay, content)

    async def close(self) -> None:
        """Also when it is gone already."""
        with suppress(BrokerLost), _lost_while("closing a connection"):
            await self._connection.close()

    def _on_closed(self, *_: object) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
