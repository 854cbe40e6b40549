"""What a batch of one partition brings about, step by step (the worker says in which order).

Every step is repeated until it is done or the worker is ended, and may be done twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar

import stamina
import structlog

from libs.common import limits, topology
from libs.common.broker import Overloaded, Unroutable
from libs.common.domain.heads import is_warm
from libs.common.metrics import DEAD_LETTERS, REFUSED, RETRIES, STAGE
from libs.common.protocol.codec import REPLIES, WRITES, Malformed
from libs.common.protocol.events import Event
from libs.common.protocol.frames import Error
from services.router import sequence
from services.router.conversation import Conversation
from services.router.deciding import Permits, new_messages
from services.router.fan_out import Listeners, fan_out
from services.router.memory import Memory
from services.router.rules.decisions import Decisions
from services.router.surroundings import PASSING, Station

TRIED_AGAIN: Final = tuple(error for error in PASSING if error is not Unroutable)
"""The step is repeated, with pauses up to 2 s. A queue of ours that is gone ends the worker."""

REGISTERED_WITHIN_S: Final = 5.0
"""After a FLUSHALL gateways need a second or two to register their sessions anew."""

T = TypeVar("T")

_BURIED: Final = DEAD_LETTERS.labels("events")

log = structlog.get_logger()


class Steps:
    """Each raises BrokerLost, Unroutable; `keep` also `sequence.Superseded`."""

    def __init__(self, station: Station, memory: Memory) -> None:
        self._around = station.around
        self._partition = station.partition
        self._channel = station.channel
        self._memory = memory
        self._epoch: int | None = None
        """Ours as an owner of the partition: see `sequence`."""
        self._warmth: bytes | None = None
        """WARM's value, as the batch before, or `look`, has found it."""
        self._tell_all_until = 0.0
        """By the loop's clock: see `_everywhere`."""

    async def look(self) -> None:
        """Before anything comes: when Redis is emptied from now on, the first batch sees it."""
        self._warmth = await self.insist(
            lambda: sequence.warmth(self._around.cache, self._partition)
        )

    async def own(self) -> None:
        """Before anything is decided: from now on earlier owners of the partition are refused."""
        if self._epoch is None:
            self._epoch = await self.insist(
                lambda: sequence.next_epoch(self._around.cache, self._partition)
            )
            log.info("partition active", partition=self._partition, epoch=self._epoch)

    async def permits(self, happened: Sequence[Event]) -> Permits:
        """Asks for what would be new messages, once for all tries of one."""
        tries = new_messages(happened, self._memory)
        batch = self._around.cache.batch()
        for sender_id, sends in tries.items():
            names = [event.try_id.bytes for event in sends.values()]
            batch.script(*self._around.limit.command(sender_id, names))
        answers = await self.insist(batch.run)
        return {
            (sender_id, *message): permit
            for (sender_id, sends), answer in zip(tries.items(), answers, strict=True)
            for message, permit in zip(sends, limits.permits(answer), strict=True)
        }

    async def keep(self, decided: Decisions) -> None:
        """Afterwards nothing that was decided can be lost (promise 1)."""
        if not decided.writes:
            return
        with STAGE.labels("router_claim").time():
            await self.insist(lambda: self._claim(decided.changed.values()))
        queue = topology.writes(self._partition).name
        with STAGE.labels("router_write").time():
            for body in WRITES.encode_parts(decided.writes):
                await self.insist(partial(self._channel.publish, queue, body, lasting=True))

    async def _claim(self, changed: Collection[Conversation]) -> None:
        assert self._epoch is not None
        try:
            await sequence.claim(self._around.cache, self._epoch, changed)
        except sequence.Superseded as superseded:
            # Should we become the owner again, our epoch must be the greatest.
            await sequence.next_epoch(self._around.cache, self._partition, superseded.epoch)
            raise

    async def publish(self, decided: Decisions) -> Listeners:
        """From here on readers know of it (promise 2: it can't be lost any more).

        Also of what is announced again: whoever wrote it may have died before this step.
        """
        entries = decided.announcements
        ids = {entry.conversation_id for entry in entries}
        told = [known for known in map(self._memory.conversation, ids) if known is not None]
        users = list({entry.user_id for entry in entries})
        news = sequence.News(self._partition, told, decided.recounted, decided.deleted, users)
        with STAGE.labels("router_heads").time():
            listeners, warmth = await self.insist(
                lambda: sequence.publish(self._around.cache, news)
            )
        # It is warm again long before all gateways have registered their sessions anew.
        if warmth != self._warmth or not is_warm(warmth):
            self._tell_all_until = asyncio.get_running_loop().time() + REGISTERED_WITHIN_S
        self._warmth = warmth
        return listeners

    def _everywhere(self) -> Collection[str]:
        """While Redis may not know who is where, the gateways are asked: each gets all."""
        is_known = asyncio.get_running_loop().time() > self._tell_all_until
        return () if is_known else self._around.gateways.known

    async def tell(self, decided: Decisions, listeners: Listeners) -> None:
        """The users, and who waits for a command's reply. Who is gone by now gets nothing."""
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

    async def bury(self, parts: Sequence[Malformed]) -> None:
        """Into `chat.dead` (promise 9)."""
        source = topology.events(self._partition).name
        for part in parts:
            _BURIED.inc()
            log.error("event buried", partition=self._partition, reason=part.reason)
            bury = partial(self._channel.bury, part.body, source=source, reason=part.reason)
            await self.insist(bury)

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Until the step is done, through all that passes."""
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
