"""Partitions are shared evenly over the live replicas of a role, and move (DESIGN.md, section 6).

Every replica subscribes to its fair share of the role's queues. Who really works on a partition
is decided by the single active consumer of its queue alone: a replica that subscribes to too
much only stands by, so two that disagree for a moment do no harm.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from libs.common.broker import Broker, BrokerLost, Channel
from libs.common.domain.partition import fair_share
from libs.common.lifecycle import Life, ended
from libs.common.membership import BEAT_S, Membership
from libs.common.metrics import PARTITION_OWNED, PARTITIONS, PARTITIONS_OF_ALL

RELEASE_S: Final = 4.0
"""How long a worker may take to finish what it holds. Then its channel is closed all the same,
and what it had not acknowledged goes, in order, to the next owner."""
REOPEN_FIRST_S: Final = 1.0
"""Pause before a partition whose channel or worker died alone is opened again."""
REOPEN_MOST_S: Final = 30.0
"""The pause doubles up to this while it dies soon: each time counts against the delivery limit of
what it held (`topology.REDELIVERY_LIMIT`), also of what is not to blame."""

Work = Callable[[int, Channel, asyncio.Event], Coroutine[Any, Any, None]]
"""`work(partition, channel, leave)` is one replica's work on one partition.

It declares and consumes what it needs on `channel`, which is its own, and goes on until `leave`
is set; then it takes nothing more, finishes and acknowledges what it holds, and returns. The
channel is closed after it, which hands the rest over in order; a cancelled consumer would not
(DESIGN.md, section 9). When the channel is lost the work is cancelled: it must then publish
nothing more. What it raises is logged, and the partition is opened anew after a pause.
"""

log = structlog.get_logger()


class Share:
    """Which partitions to subscribe to, by what was seen of the members. Pure."""

    def __init__(self, member: str, partitions: int) -> None:
        self.wanted: frozenset[int] = frozenset()
        self._member = member
        self._partitions = partitions
        self._last: tuple[str, ...] = ()

    def saw(self, members: tuple[str, ...]) -> frozenset[int]:
        """What to subscribe to now. More at once; less only when two answers running agree.

        So a list that was short for one beat (Redis was emptied or stood still) makes us stand
        by on more queues and never leaves one without a consumer.
        """
        share = fair_share(self._member, members, self._partitions)
        self.wanted = share if members == self._last else self.wanted | share
        self._last = members
        return self.wanted


@dataclass(slots=True)
class _Subscription:
    task: asyncio.Task[None] | None = None
    leave: asyncio.Event = field(default_factory=asyncio.Event)


class Partitions:
    """Keeps a worker on each partition of this replica's fair share, on one broker connection."""

    def __init__(
        self,
        broker: Broker,
        membership: Membership,
        *,
        partitions: int,
        prefetch: int,
        work: Work,
    ) -> None:
        """`prefetch`: AMQP messages that each partition's channel may hold unacknowledged."""
        self._broker = broker
        self._membership = membership
        self._prefetch = prefetch
        self._work = work
        self._share = Share(membership.member, partitions)
        self._subscriptions: dict[int, _Subscription] = {}
        PARTITIONS_OF_ALL.set(partitions)

    async def run(self, life: Life, *needed: "asyncio.Future[Any]") -> None:
        """Joins and works until told to stop; then leaves, finishes and closes every partition.

        Raises BrokerLost when the connection is gone or one of `needed` is done, or what that
        one raised; all workers have ended by then.
        """
        keeping = asyncio.create_task(self._follow_members())
        try:
            await life.until_stopped_or_lost(self._broker.lost, keeping, *needed)
        finally:
            await ended(keeping)
            # Off the list first: the others stand by already when our channels close.
            await self._membership.leave()
            await self._release_all()

    async def _follow_members(self) -> None:
        while True:
            members = await self._membership.beat()
            if members is not None:
                self._subscribe_to(self._share.saw(members))
            await asyncio.sleep(BEAT_S)

    def _subscribe_to(self, wanted: frozenset[int]) -> None:
        held = self._subscriptions
        for partition in wanted - held.keys():
            held[partition] = subscription = _Subscription()
            subscription.task = asyncio.create_task(self._keep(partition, subscription))
            log.info("partition taken", partition=partition)
        for partition in held.keys() - wanted:
            held[partition].leave.set()
        PARTITIONS.set(sum(not subscription.leave.is_set() for subscription in held.values()))

    async def _release_all(self) -> None:
        self._subscribe_to(frozenset())
        tasks = {held.task for held in self._subscriptions.values() if held.task}
        if self._broker.lost.done():
            await ended(*tasks)
        elif tasks:
            await asyncio.wait(tasks)

    async def _keep(self, partition: int, subscription: _Subscription) -> None:
        """Works on one partition until it is left, on one channel after the other."""
        try:
            pause = REOPEN_FIRST_S
            while not (subscription.leave.is_set() or self._broker.lost.done()):
                began = asyncio.get_running_loop().time()
                try:
                    await self._open(partition, subscription.leave)
                except BrokerLost as error:
                    log.warning("channel lost", partition=partition, reason=str(error))
                except Exception:
                    log.exception("worker failed", partition=partition)
                if asyncio.get_running_loop().time() - began > REOPEN_MOST_S:
                    pause = REOPEN_FIRST_S
                await _pause(subscription.leave, pause)
                pause = min(pause * 2, REOPEN_MOST_S)
        finally:
            del self._subscriptions[partition]
            log.info("partition left", partition=partition)

    async def _open(self, partition: int, leave: asyncio.Event) -> None:
        """One channel's life. Raises what the worker raised, and BrokerLost."""
        channel = await self._broker.channel(self._prefetch)
        working = asyncio.create_task(self._work(partition, channel, leave))
        leaving = asyncio.create_task(leave.wait())
        owned = PARTITION_OWNED.labels(str(partition))
        owned.set(1)
        try:
            await _any_of(working, leaving, channel.lost)
            if leave.is_set():
                await _any_of(working, channel.lost, within_s=RELEASE_S)
        finally:
            await ended(leaving, working)
            owned.set(0)
            await channel.close()
        if not working.cancelled():
            working.result()
        elif not leave.is_set():
            raise BrokerLost("the broker closed the channel or took the queue away")


async def _any_of(*futures: "asyncio.Future[Any]", within_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)


async def _pause(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
