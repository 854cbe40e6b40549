"""The router's commands that take content away, many under way at a time.

They go the way of everybody's: the router gives each its number, tells who is online, and the
persister stores and audits it. So nothing here knows a cache, an index or a table's column.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import stamina

from libs.common import topology
from libs.common.asking import Asking
from libs.common.broker import Broker, Overloaded, Unroutable
from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import EVENTS
from libs.common.protocol.events import ArchiveConversation, DeleteMessage, Event, ReplyTo
from libs.common.protocol.replies import Refused
from privacy.settings import PrivacySettings

AT_ONCE: Final = 50
"""Commands without an answer. The queues hold no more of ours, whatever the routers have to do."""
ANSWER_S: Final = 30.0
TRIES: Final = 5


class CommandRefused(Exception):
    """By the router's rules; the reason is a constant of `protocol.errors`."""


class NotStored(Exception):
    """Says what to look at."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """A message whose content shall go."""

    conversation_id: UUID
    message_id: UUID
    sender_id: UUID


class Commands:
    """Use `open_commands`. Each is safe to repeat and raises CommandRefused, BrokerLost.

    What is answered is queued, not yet stored: see `stored`.
    """

    def __init__(self, asking: Asking, partitions: int) -> None:
        self._asking: Final = asking
        self._partitions: Final = partitions

    async def archive(self, conversation_id: UUID, user_id: UUID) -> None:
        """For both users."""
        now = _now_ms()
        await self._ask(
            conversation_id, lambda to: ArchiveConversation(conversation_id, user_id, now, to)
        )

    async def delete(self, doomed: Doomed, because: str) -> None:
        """The tombstone stays. `because` is audited."""
        place, now = doomed.conversation_id, _now_ms()
        await self._ask(
            place,
            lambda to: DeleteMessage(
                place, doomed.sender_id, doomed.message_id, now, to, because=because
            ),
        )

    async def delete_all(
        self, doomed: AsyncIterator[Doomed], because: str, done: Callable[[], None]
    ) -> None:
        """`done` is called for each. Raises ExceptionGroup; what was done stays done."""
        room = asyncio.Semaphore(AT_ONCE)

        async def delete(one: Doomed) -> None:
            try:
                await self.delete(one, because)
                done()
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            async for one in doomed:
                await room.acquire()
                group.create_task(delete(one))

    async def stored(self) -> None:
        """Returns when PostgreSQL has all that routers had decided at the call, of everybody.

        Raises NotStored, BrokerLost.
        """
        try:
            await asyncio.gather(*map(self._asking.ask_barrier, range(self._partitions)))
        except (TimeoutError, Overloaded, Unroutable) as error:
            raise NotStored(
                f"What was said lately was not stored within {ANSWER_S:.0f} s. Is a persister "
                "running, or behind (queues chat.writes)?"
            ) from error

    async def _ask(self, conversation_id: UUID, event: Callable[[ReplyTo], Event]) -> None:
        queue = topology.events(partition_of(conversation_id, self._partitions)).name
        async for attempt in stamina.retry_context(
            on=(TimeoutError, Overloaded, Unroutable), attempts=TRIES, timeout=None
        ):
            with attempt:
                reply = await self._asking.ask(queue, lambda to: EVENTS.encode([event(to)]))
                if isinstance(reply, Refused):
                    raise CommandRefused(f"{reply.error} ({conversation_id})")


@asynccontextmanager
async def open_commands(settings: PrivacySettings) -> AsyncIterator[Commands]:
    """Raises BrokerLost, also where no router has ever run."""
    name = f"privacy-{settings.instance}"
    broker = await Broker.connect(settings.amqp_url, name)
    try:
        channel = await broker.channel()
        for partition in range(settings.partitions):
            await channel.find(topology.events(partition))
        await channel.close()
        yield Commands(await Asking.open(broker, name, ANSWER_S), settings.partitions)
    finally:
        await broker.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
