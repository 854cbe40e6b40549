"""One partition's events, in order, from its queue to everyone who must know.

A batch's way: `_decoded` → `Waiting.admit` → `_permits` → `decide` → `_keep` (claimed in Redis,
confirmed in the persister's queue) → `_publish` (Redis' readers) → `_tell` (gateways, askers) →
acknowledged. What needs PostgreSQL first is set aside for `_load` meanwhile (`router.waiting`).
Whatever goes wrong for good on that way ends the worker; its channel is closed and the next owner
begins again with the first event that was not acknowledged.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Final, TypeVar, get_args

import stamina
import structlog

from libs.common import topology, tracing
from libs.common.broker import Channel, Overloaded, Unroutable
from libs.common.content import Incoming
from libs.common.domain.heads import is_warm
from libs.common.domain.pacing import rest_s
from libs.common.lifecycle import ended
from libs.common.limits import permits
from libs.common.metrics import (
    BATCH_SIZE,
    CACHE,
    DEAD_LETTERS,
    DECIDED,
    DUPLICATES,
    QUEUE_WAIT,
    REDELIVERED,
    REFUSED,
    RETRIES,
    STAGE,
    WAITING,
)
from libs.common.protocol.codec import EVENTS, REPLIES, WRITES, Malformed
from libs.common.protocol.events import Event, Send
from libs.common.protocol.frames import Error
from services.router import sequence
from services.router.conversation import Conversation
from services.router.deciding import Permits, decide, new_messages
from services.router.fan_out import Listeners, fan_out
from services.router.memory import Found, Memory
from services.router.rules.decisions import Decisions
from services.router.signals import Signals
from services.router.surroundings import PASSING, Station, Surroundings
from services.router.waiting import Arrival, Unacknowledged, Waiting, again, events
from services.router.warmth import keep_warm

TRIED_AGAIN: Final = tuple(error for error in PASSING if error is not Unroutable)
"""The step is repeated, with pauses up to 2 s, until the worker is ended; every step may be done
twice. A queue of ours that is gone ends the worker instead."""

REGISTERED_WITHIN_S: Final = 5.0
"""After a FLUSHALL gateways need a second or two to register their sessions anew."""

BATCH_BYTES: Final = 1 << 19
"""Of events in one batch; what they bring about may be ten times as long."""
BATCH_MESSAGES: Final = 64
"""AMQP messages that one batch merges."""

Loaded = tuple[int, Found]
"""For so many of the waiting events: what they need."""

T = TypeVar("T")

_AT_HAND: Final = CACHE.labels("conversations", "hit")
_NOT_AT_HAND: Final = CACHE.labels("conversations", "miss")
_DECIDED: Final = {
    event_type: DECIDED.labels(event_type.__struct_config__.tag) for event_type in get_args(Event)
}
_WAIT: Final = QUEUE_WAIT.labels("events")
_BURIED: Final = DEAD_LETTERS.labels("events")

log = structlog.get_logger()


class Worker:
    """Works on one partition over one channel. See `ownership.Work` for the contract."""

    def __init__(self, around: Surroundings, partition: int, channel: Channel) -> None:
        """Use `work`."""
        self._around = around
        self._partition = partition
        self._channel = channel
        self._source = topology.events(partition).name
        self._inbox: list[Incoming] = []
        self._awake = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        self._waiting = Waiting()
        self._loading: asyncio.Task[Loaded] | None = None
        self._unacknowledged = Unacknowledged()
        self._parents: dict[int, str] = {}
        """By delivery tag, the traceparent of an AMQP message whose batch was sampled."""
        self._count_waiting = WAITING.labels(str(partition)).set
        self._epoch: int | None = None
        self._warmth: bytes | None = None
        """WARM's value, as the batch before has found it."""
        self._tell_all_until = 0.0
        """By the loop's clock: see `_everywhere`."""
        self._memory = Memory(
            around.store, around.asking, partition, around.settings.router_conversations
        )
        self._signals = Signals(Station(around, partition, channel), self._memory)

    @classmethod
    async def work(
        cls, around: Surroundings, partition: int, channel: Channel, leave: asyncio.Event
    ) -> None:
        """Until `leave` is set; what is in hand is finished then."""
        worker = cls(around, partition, channel)
        # Again: a queue that somebody has deleted must not stop its partition for ever.
        for queue_of in (topology.events, topology.signals, topology.writes):
            await channel.declare(queue_of(partition))
        await channel.consume(worker._source, worker._receive)
        tasks = (
            *await worker._signals.begin(),
            asyncio.create_task(worker._run(leave)),
            asyncio.create_task(keep_warm(around.cache, around.asking, partition)),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(*tasks)

    def _receive(self, message: Incoming) -> None:
        self._inbox.append(message)
        self._awake.set()

    async def _run(self, leave: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        leaving = asyncio.create_task(leave.wait())
        leaving.add_done_callback(self._wake)
        pacing_s = self._around.settings.router_pacing_ms / 1000
        try:
            while True:
                await self._awake.wait()
                if leave.is_set():
                    break
                arrivals = self._released() if self._is_loaded() else await self._admitted()
                self._look()
                if not arrivals:
                    self._acknowledge()
                    continue
                started = loop.time()
                await (self._process if tracing.spans is None else self._traced)(arrivals)
                took = loop.time() - started
                STAGE.labels("router_batch").observe(took)
                if (rest := rest_s(len(arrivals), took, pacing_s)) > 0:
                    await asyncio.sleep(rest)
            await self._finished()
        finally:
            self._count_waiting(0)  # They are the next owner's.
            tasks = (leaving, self._finishing, self._loading)
            await ended(*(task for task in tasks if task is not None))

    def _wake(self, done: "asyncio.Task[Any]") -> None:
        if not done.cancelled():
            done.exception()  # seen: `_finished` raises it
        self._awake.set()

    def _take(self) -> list[Incoming]:
        """What has come, up to BATCH_MESSAGES and BATCH_BYTES, at least one message."""
        sizes = accumulate(len(message.body) for message in self._inbox[: BATCH_MESSAGES - 1])
        count = 1 + sum(size < BATCH_BYTES for size in sizes)
        batch, self._inbox = self._inbox[:count], self._inbox[count:]
        if not self._inbox and not self._is_loaded():
            self._awake.clear()
        return batch

    # --- what waits for PostgreSQL ---------------------------------------------------------

    async def _admitted(self) -> Sequence[Arrival]:
        """Of what has come, what can be decided at once."""
        arrivals = await self._decoded(self._take())
        ready = self._waiting.admit(arrivals, self._memory)
        _AT_HAND.inc(len(ready))
        _NOT_AT_HAND.inc(len(arrivals) - len(ready))
        return ready

    def _is_loaded(self) -> bool:
        return self._loading is not None and self._loading.done()

    def _released(self) -> Sequence[Arrival]:
        """What waited for PostgreSQL. Raises what kept it from being loaded for good."""
        assert self._loading is not None
        count, found = self._loading.result()
        self._loading = None
        self._memory.take_in(found)
        return self._waiting.release(count, self._memory)

    def _look(self) -> None:
        """Loads what the waiting events need, all of them at once, one time after the other."""
        if self._waiting and self._loading is None:
            self._loading = asyncio.create_task(self._load(self._waiting.snapshot()))
            self._loading.add_done_callback(self._wake)
        self._count_waiting(len(self._waiting))

    async def _load(self, arrivals: Sequence[Arrival]) -> Loaded:
        happened, repeated = events(arrivals), again(arrivals)
        return len(arrivals), await self._insist(lambda: self._memory.load(happened, repeated))

    # --- a batch's way ---------------------------------------------------------------------

    async def _traced(self, arrivals: Sequence[Arrival]) -> None:
        """`_process`, with a span of each message that is sampled."""
        assert tracing.spans is not None
        came_by = {self._parents.pop(arrival.tag, None) for arrival in arrivals}
        with tracing.spans.batch("route", events(arrivals), came_by):
            await self._process(arrivals)

    async def _process(self, arrivals: Sequence[Arrival]) -> None:
        if self._epoch is None:
            self._epoch = await self._insist(
                lambda: sequence.next_epoch(self._around.cache, self._partition)
            )
            log.info("partition active", partition=self._partition, epoch=self._epoch)
        happened = events(arrivals)
        BATCH_SIZE.labels("router").observe(len(happened))
        permits = await self._insist(lambda: self._permits(happened))
        decided, poisonous = decide(happened, self._memory, permits)
        count_decided(happened, decided)
        await self._keep(decided, self._epoch)
        listeners = await self._publish(decided)
        # The last steps overlap with the next batch's first ones, but never with its last ones.
        await self._finished()
        self._finishing = asyncio.create_task(self._finish(arrivals, decided, listeners, poisonous))
        self._finishing.add_done_callback(self._wake)
        self._memory.trim(decided.changed.values(), self._waiting.places)

    async def _finished(self) -> None:
        """Returns when the batch before is acknowledged. Raises what went wrong with it."""
        if self._finishing is not None:
            await self._finishing

    async def _finish(
        self,
        arrivals: Sequence[Arrival],
        decided: Decisions,
        listeners: Listeners,
        poisonous: list[Malformed],
    ) -> None:
        await self._tell(decided, listeners)
        self._signals.follow(decided)
        await self._bury(poisonous)
        self._unacknowledged.decided(arrivals)
        self._acknowledge()

    def _acknowledge(self) -> None:
        """AMQP messages of which nothing is left to decide."""
        up_to, scattered = self._unacknowledged.take_finished()
        if up_to is not None:
            self._channel.acknowledge(up_to, multiple=True)
        for tag in scattered:
            self._channel.acknowledge(tag)

    async def _decoded(self, batch: list[Incoming]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        now = time.time()
        for message in batch:
            items, malformed = EVENTS.decode(message.body)
            measure_wait(items, now)
            tag, is_again = message.delivery_tag, message.redelivered
            arrivals += [Arrival(item, tag, is_again) for item in items]
            if is_again:
                REDELIVERED.inc()
            await self._bury(malformed)
            self._unacknowledged.came(tag, len(items))
            if message.traceparent is not None and tracing.spans is not None and items:
                self._parents[tag] = message.traceparent
        return arrivals

    async def _keep(self, decided: Decisions, epoch: int) -> None:
        """Afterwards nothing that was decided can be lost (promise 1)."""
        if not decided.writes:
            return
        changed = decided.changed.values()
        with STAGE.labels("router_claim").time():
            await self._insist(lambda: self._claim(epoch, changed))
        queue = topology.writes(self._partition).name
        with STAGE.labels("router_write").time():
            for body in WRITES.encode_parts(decided.writes):
                await self._insist(partial(self._channel.publish, queue, body, lasting=True))

    async def _claim(self, epoch: int, changed: Collection[Conversation]) -> None:
        try:
            await sequence.claim(self._around.cache, epoch, changed)
        except sequence.Superseded as superseded:
            # Should we become the owner again, our epoch must be the greatest.
            await sequence.next_epoch(self._around.cache, self._partition, superseded.epoch)
            raise

    async def _permits(self, happened: Sequence[Event]) -> Permits:
        """Asks for what would be new messages, once for all tries of one. Raises CacheError."""
        tries = new_messages(happened, self._memory)
        batch = self._around.cache.batch()
        for sender_id, sends in tries.items():
            names = [event.try_id.bytes for event in sends.values()]
            batch.script(*self._around.limit.command(sender_id, names))
        answers = await batch.run()
        return {
            (sender_id, *message): permit
            for (sender_id, sends), answer in zip(tries.items(), answers, strict=True)
            for message, permit in zip(sends, permits(answer), strict=True)
        }

    async def _publish(self, decided: Decisions) -> Listeners:
        """From here on readers know of it (promise 2: it can't be lost any more).

        Also of what is announced again: whoever wrote it may have died before this step.
        """
        entries = decided.announcements
        ids = {entry.conversation_id for entry in entries}
        told = [known for known in map(self._memory.conversation, ids) if known is not None]
        users = list({entry.user_id for entry in entries})
        news = sequence.News(self._partition, told, decided.recounted, decided.deleted, users)
        with STAGE.labels("router_heads").time():
            listeners, warmth = await self._insist(
                lambda: sequence.publish(self._around.cache, news)
            )
        # It is warm again long before all gateways have registered their sessions anew.
        was_emptied = self._warmth is not None and warmth != self._warmth
        if was_emptied or not is_warm(warmth):
            self._tell_all_until = asyncio.get_running_loop().time() + REGISTERED_WITHIN_S
        self._warmth = warmth
        return listeners

    def _everywhere(self) -> Collection[str]:
        """While Redis may not know who is where, the gateways are asked: each gets all."""
        is_known = asyncio.get_running_loop().time() > self._tell_all_until
        return () if is_known else self._around.gateways.known

    async def _tell(self, decided: Decisions, listeners: Listeners) -> None:
        for answer in decided.answers:
            if isinstance(answer.frame, Error):
                REFUSED.labels(answer.frame.error).inc()
        batches = fan_out(decided.notices, listeners, self._everywhere())
        with STAGE.labels("router_deliver").time():
            await self._around.gateways.deliver(self._channel, batches)
        for queue, reply in decided.replies:
            try:
                await self._channel.publish(queue, REPLIES.encode([reply]), lasting=False)
            except (Unroutable, Overloaded):
                log.info("asker gone", queue=queue)

    async def _bury(self, parts: Sequence[Malformed]) -> None:
        for part in parts:
            _BURIED.inc()
            log.error("event buried", partition=self._partition, reason=part.reason)
            bury = partial(self._channel.bury, part.body, source=self._source, reason=part.reason)
            await self._insist(bury)

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        try:
            return await step()  # as a rule: entering stamina's loop would cost 30 µs each time
        except TRIED_AGAIN as error:
            RETRIES.labels(type(error).__name__).inc()
            log.warning("trouble", partition=self._partition, reason=repr(error))
        async for attempt in stamina.retry_context(
            on=TRIED_AGAIN, attempts=None, timeout=None, wait_initial=0.05, wait_max=2.0
        ):
            with attempt:
                return await step()
        raise AssertionError("retry_context without a bound ends by success or cancellation")


def measure_wait(items: Sequence[Event], now: float) -> None:
    """The age of the newest message, which was the last to come before the gateway published.

    Receipts don't count: they may wait for company at the gateway.
    """
    for event in reversed(items):
        if isinstance(event, Send):
            _WAIT.observe(max(0.0, now - event.accepted_at / 1000))
            return


def count_decided(happened: Sequence[Event], decided: Decisions) -> None:
    """A batch at once."""
    for event_type, number in Counter(map(type, happened)).items():
        _DECIDED[event_type].inc(number)
    DUPLICATES.inc(decided.duplicates)
