"""What this gateway tells the router: events that last, signals, and what could not be read."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from libs.common import tracing
from libs.common.broker import Channel, Overloaded, Unroutable
from libs.common.domain.partition import partition_of
from libs.common.metrics import DEAD_LETTERS
from libs.common.outbox import Outbox
from libs.common.protocol.codec import EVENTS, SIGNALS, Malformed
from libs.common.protocol.events import Delivered, Event, MarkRead, Send, Signal, Sync, Typing
from libs.common.topology import events, signals

MAX_WAITING_BYTES: Final = 4 << 20
"""Beyond it no socket is read until half is confirmed."""
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MOST_S: Final = 1.0
_EVENT_BYTES: Final = 150
"""Ids and envelope of one event, about."""
_MESSAGE_ID_BYTES: Final = 18

_BURIED: Final = DEAD_LETTERS.labels("deliveries")

log = structlog.get_logger()


class Publishing:
    """One outbox for each partition's events and one for its signals.

    What `event` has taken is retried, in order, while its queue refuses it, or is not there: its
    router declares a deleted one again. A lost connection ends it (`failures`), and the clients,
    who got no answer, send again.
    """

    def __init__(
        self,
        channel: Channel,
        partitions: int,
        *,
        pacing_s: float,
        receipt_patience_s: float,
        on_congestion: Callable[[bool], None],
    ) -> None:
        """A receipt may wait `receipt_patience_s` to travel with others or with a message.

        `on_congestion` is told when to stop (True) and when to go on reading from clients.
        """
        self._channel = channel
        self._partitions = partitions
        self._receipt_patience_s = receipt_patience_s
        self._on_congestion = on_congestion
        self._congested = False
        self._waiting_bytes = 0
        self._events = [
            Outbox(partial(self._publish_events, p), pacing_s=pacing_s, stage="events")
            for p in range(partitions)
        ]
        self._signals = [
            Outbox(partial(self._publish_signals, p), pacing_s=pacing_s, stage="signals")
            for p in range(partitions)
        ]
        self._buried = Outbox(self._bury, pacing_s=pacing_s, stage="dead")

    def event(self, event: Send | Delivered | MarkRead) -> None:
        patience_s = self._receipt_patience_s if isinstance(event, Delivered) else 0.0
        outbox = self._events[partition_of(event.conversation_id, self._partitions)]
        outbox.add(event, patience_s=patience_s)
        self._wait(_size(event))

    def signal(self, signal: Signal) -> None:
        """What concerns a conversation goes to its partition, the rest to the user's."""
        place = signal.conversation_id if isinstance(signal, Typing | Sync) else signal.user_id
        self._signals[partition_of(place, self._partitions)].add(signal)
        self._wait(_EVENT_BYTES)

    def bury(self, malformed: Malformed) -> None:
        """Into `chat.dead` (promise 9)."""
        self._buried.add(malformed)

    @property
    def waiting_bytes(self) -> int:
        """Taken and not yet confirmed, about."""
        return self._waiting_bytes

    def failures(self) -> list["asyncio.Future[None]"]:
        """One of them holds BrokerLost when publishing has failed for good."""
        return [outbox.failed for outbox in self._events + self._signals] + [self._buried.failed]

    async def drain(self) -> None:
        """Returns when all is confirmed. Raises BrokerLost."""
        await asyncio.gather(*(outbox.drain() for outbox in self._events))

    def close(self) -> None:
        for outbox in self._events:
            outbox.close()
        for outbox in self._signals:
            outbox.close()
        self._buried.close()

    def _wait(self, size: int) -> None:
        self._waiting_bytes += size
        if self._waiting_bytes > MAX_WAITING_BYTES and not self._congested:
            self._congested = True
            self._on_congestion(True)

    def _gone(self, size: int) -> None:
        self._waiting_bytes -= size
        if self._congested and self._waiting_bytes < MAX_WAITING_BYTES // 2:
            self._congested = False
            self._on_congestion(False)

    async def _publish_events(self, partition: int, batch: list[Event]) -> None:
        if tracing.spans is None:
            await self._publish_batch(partition, batch)
        else:
            with tracing.spans.batch("publish", batch):
                await self._publish_batch(partition, batch)
        self._gone(sum(map(_size, batch)))

    async def _publish_batch(self, partition: int, batch: list[Event]) -> None:
        for body in EVENTS.encode_parts(batch):
            await self._publish_until_taken(events(partition).name, body)

    async def _publish_until_taken(self, queue: str, body: bytes) -> None:
        backoff = BACKOFF_FIRST_S
        while True:
            try:
                await self._channel.publish(queue, body, lasting=True)
                break
            except (Overloaded, Unroutable) as error:
                log.warning("queue refuses", queue=queue, reason=repr(error), retry_s=backoff)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, BACKOFF_MOST_S)

    async def _publish_signals(self, partition: int, batch: list[Signal]) -> None:
        """A signal that is refused is dropped: the clock repeats an Open, users type on."""
        queue = signals(partition).name
        try:
            await self._channel.publish(queue, SIGNALS.encode(batch), lasting=False)
        except (Overloaded, Unroutable) as error:
            log.warning("signals dropped", queue=queue, items=len(batch), reason=repr(error))
        self._gone(_EVENT_BYTES * len(batch))

    async def _bury(self, batch: list[Malformed]) -> None:
        for malformed in batch:
            try:
                await self._channel.bury(
                    malformed.body, source="deliveries", reason=malformed.reason
                )
                _BURIED.inc()
            except (Overloaded, Unroutable) as error:
                log.error("could not bury a delivery", reason=repr(error))


def _size(event: Event) -> int:
    """Bytes, about."""
    if isinstance(event, Send):
        return _EVENT_BYTES + len(event.content.encode())
    if isinstance(event, Delivered | MarkRead):
        return _EVENT_BYTES + _MESSAGE_ID_BYTES * len(event.message_ids)
    return _EVENT_BYTES
