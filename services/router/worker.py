"""One partition's events, in order, from its queue to everyone who must know.

A batch's way: `_decoded` → `Waiting.admit` → `Steps.permits` → `decide` → `Steps.keep` →
`Steps.publish` → `Steps.tell` → acknowledged. What needs PostgreSQL first is set aside for `_load`
meanwhile (`router.waiting`). Whatever goes wrong for good on that way ends the worker; its channel
is closed and the next owner begins again with the first event that was not acknowledged.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, get_args

import structlog

from libs.common import topology, tracing
from libs.common.broker import Channel
from libs.common.content import Incoming
from libs.common.domain.pacing import rest_s
from libs.common.lifecycle import ended
from libs.common.metrics import (
    BATCH_SIZE,
    CACHE,
    DECIDED,
    DUPLICATES,
    QUEUE_WAIT,
    REDELIVERED,
    STAGE,
    WAITING,
)
from libs.common.protocol.codec import EVENTS, Malformed
from libs.common.protocol.events import Event, Send
from services.router.deciding import decide
from services.router.fan_out import Listeners
from services.router.memory import Found, Memory
from services.router.rules.decisions import Decisions
from services.router.signals import Signals
from services.router.steps import Steps
from services.router.surroundings import Station, Surroundings
from services.router.waiting import Arrival, Unacknowledged, Waiting, again, events
from services.router.warmth import keep_warm

BATCH_BYTES: Final = 1 << 19
"""Of events in one batch; what they bring about may be ten times as long."""
BATCH_MESSAGES: Final = 64
"""AMQP messages that one batch merges."""

Loaded = tuple[int, Found]
"""For so many of the waiting events: what they need."""

_AT_HAND: Final = CACHE.labels("conversations", "hit")
_NOT_AT_HAND: Final = CACHE.labels("conversations", "miss")
_DECIDED: Final = {
    event_type: DECIDED.labels(event_type.__struct_config__.tag) for event_type in get_args(Event)
}
_WAIT: Final = QUEUE_WAIT.labels("events")

log = structlog.get_logger()


class Worker:
    """Works on one partition over one channel. See `ownership.Work` for the contract."""

    def __init__(self, around: Surroundings, partition: int, channel: Channel) -> None:
        """Use `work`."""
        self._around = around
        self._partition = partition
        self._channel = channel
        self._inbox: list[Incoming] = []
        self._awake = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        self._waiting = Waiting()
        self._loading: asyncio.Task[Loaded] | None = None
        self._unacknowledged = Unacknowledged()
        self._parents: dict[int, str] = {}
        """By delivery tag, the traceparent of an AMQP message whose batch was sampled."""
        self._count_waiting = WAITING.labels(str(partition)).set
        self._memory = Memory(
            around.store, around.asking, partition, around.settings.router_conversations
        )
        station = Station(around, partition, channel)
        self._signals = Signals(station, self._memory)
        self._steps = Steps(station, self._memory)

    @classmethod
    async def work(
        cls, around: Surroundings, partition: int, channel: Channel, leave: asyncio.Event
    ) -> None:
        """Until `leave` is set; what is in hand is finished then."""
        worker = cls(around, partition, channel)
        # Again: a queue that somebody has deleted must not stop its partition for ever.
        for queue_of in (topology.events, topology.signals, topology.writes):
            await channel.declare(queue_of(partition))
        await channel.declare(topology.dead())
        await worker._steps.look()
        await channel.consume(topology.events(partition).name, worker._receive)
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
                self._load_what_waits()
                if not arrivals:
                    if self._finishing is not None and self._finishing.done():
                        self._finishing.result()  # What went wrong ends us now, not at the next.
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

    def _load_what_waits(self) -> None:
        """Begins to load what the waiting events need, all of them at once, unless it is on."""
        if self._waiting and self._loading is None:
            self._loading = asyncio.create_task(self._load(self._waiting.snapshot()))
            self._loading.add_done_callback(self._wake)
        self._count_waiting(len(self._waiting))

    async def _load(self, arrivals: Sequence[Arrival]) -> Loaded:
        happened, repeated = events(arrivals), again(arrivals)
        found = await self._steps.insist(lambda: self._memory.load(happened, repeated))
        return len(arrivals), found

    # --- a batch's way ---------------------------------------------------------------------

    async def _traced(self, arrivals: Sequence[Arrival]) -> None:
        """`_process`, with a span of each message that is sampled."""
        assert tracing.spans is not None
        came_by = {self._parents.pop(arrival.tag, None) for arrival in arrivals}
        with tracing.spans.batch("route", events(arrivals), came_by):
            await self._process(arrivals)

    async def _process(self, arrivals: Sequence[Arrival]) -> None:
        happened = events(arrivals)
        BATCH_SIZE.labels("router").observe(len(happened))
        await self._steps.own()
        permits = await self._steps.permits(happened)
        decided, poisonous = decide(happened, self._memory, permits)
        count_decided(happened, decided)
        await self._steps.keep(decided)
        listeners = await self._steps.publish(decided)
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
        await self._steps.tell(decided, listeners)
        self._signals.follow(decided)
        await self._steps.bury(poisonous)
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
            await self._steps.bury(malformed)
            self._unacknowledged.came(tag, len(items))
            if message.traceparent is not None and tracing.spans is not None and items:
                self._parents[tag] = message.traceparent
        return arrivals


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
