"""From the write queues into PostgreSQL: gather, store, bury, acknowledge, answer barriers."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from libs.common import topology, tracing
from libs.common.broker import BrokerLost, Channel, Overloaded, Unroutable
from libs.common.content import Incoming
from libs.common.domain.moment import stamped_at
from libs.common.metrics import (
    BATCH_SIZE,
    DEAD_LETTERS,
    PERSIST_LAG,
    QUEUE_WAIT,
    REDELIVERED,
    STAGE,
    STORED,
)
from libs.common.outbox import Outbox
from libs.common.protocol.codec import REPLIES, WRITES, Malformed
from libs.common.protocol.replies import BarrierPassed
from libs.common.protocol.writes import Barrier, Entry, Index, InsertMessage
from services.persister import failures
from services.persister.batch import Pending
from services.persister.failures import Dead, ids_of
from services.persister.indexing import Indexer
from services.persister.store import Store

URGENT_S: Final = 0.005
"""Between two flushes that barriers ask for: after a FLUSHALL every conversation sends one."""
IDLE_S: Final = 2.0
"""With nothing to store we look this often whether PostgreSQL is there."""
SOURCE: Final = "writes"

_WAIT: Final = QUEUE_WAIT.labels("writes")
_BURIED: Final = DEAD_LETTERS.labels(SOURCE)

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Stream:
    """One partition's queue, on the channel that gives and acknowledges its messages."""

    partition: int
    channel: Channel
    taking: bool = True
    held: int = 0
    """AMQP messages that were taken and are not acknowledged."""
    empty: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Parcel:
    """One AMQP message, unpacked."""

    stream: Stream
    delivery_tag: int
    entries: list[Entry]
    barriers: list[Barrier]
    searched: list[UUID]
    """Conversations to index."""
    malformed: list[Malformed]
    traceparent: str | None
    since: float
    """In seconds since 1970: when its first message was accepted; of other writes, when it came."""


class Flusher:
    """Gathers the writes of all partitions of this replica into one batch after the other.

    What arrived is acknowledged when it is committed in PostgreSQL or confirmed in `chat.dead`,
    never earlier (promise 1). A batch is in flight while the next one gathers.
    """

    def __init__(
        self, outgoing: Channel, store: Store, indexer: Indexer, flush_ms: int, flush_items: int
    ) -> None:
        """`outgoing` carries dead letters and the answers to barriers.

        Its connection must not be that of the partitions: in an alarm RabbitMQ stops reading from
        a connection that publishes. Acknowledgements, which end the alarm, must get through.
        """
        self._outgoing = outgoing
        self._store = store
        self._indexer = indexer
        self._answers: Outbox[Barrier] = Outbox(self._answer, pacing_s=0, stage="barriers")
        """Beside the flushes: in an alarm RabbitMQ takes no answer, and storing must go on."""
        self._pending: Pending[Parcel] = Pending(
            flush_s=flush_ms / 1000, flush_size=flush_items, urgent_s=URGENT_S
        )
        self._storing: Sequence[Parcel] = ()
        self._changed = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    @property
    def failed(self) -> "asyncio.Future[None]":
        """Holds why no barrier is answered any more."""
        return self._answers.failed

    async def work(self, partition: int, channel: Channel, leave: asyncio.Event) -> None:
        """One partition's work, see `ownership.Work`."""
        queue = topology.writes(partition)
        stream = Stream(partition, channel)
        await channel.declare(queue)
        await channel.consume(queue.name, partial(self._receive, stream))
        try:
            await leave.wait()
            await self._finish(stream)
        finally:
            # Whoever gets these messages next stores them; storing them here too does no harm.
            stream.taking = False
            self._pending.drop(lambda parcel: parcel.stream is stream)

    async def run(self) -> None:
        """Flushes until cancelled. Raises BrokerLost."""
        try:
            while True:
                if await self._is_due():
                    await self._flush(self._pending.take(self._now()))
                else:
                    await self._store.ping()
        finally:
            self._answers.close()

    def _receive(self, stream: Stream, incoming: Incoming) -> None:
        if not stream.taking:
            return
        if incoming.redelivered:
            REDELIVERED.inc()
        writes, malformed = WRITES.decode(incoming.body)
        entries = [write for write in writes if not isinstance(write, Barrier | Index)]
        barriers = [write for write in writes if isinstance(write, Barrier)]
        searched = [write.conversation_id for write in writes if isinstance(write, Index)]
        since = measure_wait(entries, time.time())
        parcel = Parcel(
            stream,
            incoming.delivery_tag,
            entries,
            barriers,
            searched,
            malformed,
            incoming.traceparent,
            since,
        )
        stream.held += 1
        stream.empty.clear()
        due = self._pending.due()
        self._pending.add(parcel, len(writes), self._now(), urgent=bool(barriers))
        if self._pending.due() != due:
            self._changed.set()

    async def _finish(self, stream: Stream) -> None:
        stream.taking = False
        self._pending.hurry()
        self._changed.set()
        if stream.held:
            await stream.empty.wait()

    async def _is_due(self) -> bool:
        """Waits for the next flush; False when there was nothing to flush for a while."""
        while True:
            due = self._pending.due()
            wait = IDLE_S if due is None else due - self._now()
            if wait <= 0:
                return True
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                return due is not None

    async def _flush(self, parcels: Sequence[Parcel]) -> None:
        entries = [entry for parcel in parcels for entry in parcel.entries]
        BATCH_SIZE.labels("store").observe(len(entries))
        self._storing = parcels
        try:
            with STAGE.labels("store").time():
                dead = await self._stored(entries, parcels)
        finally:
            self._storing = ()
        measure_stored(entries, time.time())
        await self._bury(dead, [bad for parcel in parcels for bad in parcel.malformed])
        await self._acknowledge(parcels)
        for parcel in parcels:
            for barrier in parcel.barriers:
                self._answers.add(barrier)
        self._indexer.request(searched for parcel in parcels for searched in parcel.searched)

    async def _stored(self, entries: Sequence[Entry], parcels: Sequence[Parcel]) -> list[Dead]:
        """Those that PostgreSQL refuses."""
        if tracing.spans is None:
            return await failures.store(entries, self._store.write)
        with tracing.spans.batch("store", entries, {one.traceparent for one in parcels}):
            return await failures.store(entries, self._store.write)

    def measure_lag(self) -> None:
        """How far PostgreSQL is behind what this persister holds: call it every now and then."""
        oldest = self._storing[0] if self._storing else self._pending.first()
        PERSIST_LAG.set(0 if oldest is None else max(0.0, time.time() - oldest.since))

    async def _answer(self, barriers: Iterable[Barrier]) -> None:
        passed: dict[str, list[BarrierPassed]] = defaultdict(list)
        for barrier in barriers:
            passed[barrier.queue].append(BarrierPassed(barrier.correlation_id))
        for queue, replies in passed.items():
            try:
                await self._outgoing.publish(queue, REPLIES.encode(replies), lasting=False)
            except (Unroutable, Overloaded) as error:
                log.info("nobody takes the answer to a barrier", queue=queue, reason=repr(error))

    async def _bury(self, dead: list[Dead], malformed: list[Malformed]) -> None:
        for entry, reason in dead:
            log.error("write buried", reason=reason, **ids_of(entry))
            await self._bury_one(WRITES.encode([entry]), reason)
        for bad in malformed:
            log.error("malformed write buried", reason=bad.reason, size=len(bad.body))
            await self._bury_one(bad.body, f"MALFORMED: {bad.reason}")

    async def _bury_one(self, body: bytes, reason: str) -> None:
        try:
            await self._outgoing.bury(body, source=SOURCE, reason=reason)
        except (Unroutable, Overloaded) as error:
            # Not acknowledged, so nothing is lost: all of it comes again on the next connection.
            raise BrokerLost(f"{topology.DEAD} refuses: {error!r}") from error
        _BURIED.inc()

    async def _acknowledge(self, parcels: Iterable[Parcel]) -> None:
        newest = {parcel.stream: parcel.delivery_tag for parcel in parcels}
        for stream, delivery_tag in newest.items():
            try:
                stream.channel.acknowledge(delivery_tag, multiple=True)
            except BrokerLost as error:
                # Its writes are stored and will come again, to whoever owns the partition next.
                log.info("not acknowledged", partition=stream.partition, reason=str(error))
        for parcel in parcels:
            parcel.stream.held -= 1
            if not parcel.stream.held:
                parcel.stream.empty.set()


def measure_wait(entries: Sequence[Entry], now: float) -> float:
    """Counts how long the newest message waited for us; when the first was accepted, or `now`."""
    messages = [entry for entry in entries if isinstance(entry, InsertMessage)]
    if not messages:
        return now
    _WAIT.observe(max(0.0, now - messages[-1].created_at / 1000))
    return stamped_at(messages[0].message_id) / 1000


def measure_stored(entries: Sequence[Entry], now: float) -> None:
    """Also of what was stored before and came again, and of what was buried."""
    STORED.observe_all(
        now - stamped_at(entry.message_id) / 1000
        for entry in entries
        if isinstance(entry, InsertMessage)
    )
