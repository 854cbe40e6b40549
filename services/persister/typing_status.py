"""Who types, from `chat.typing` into the table `typing_status`, beside the flushes.

Worth nothing later: consumed without acknowledgement, held for a second, dropped at any trouble.
Two persisters share the queue, so a stop may be stored before its start; such a row goes by age.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from libs.common import topology
from libs.common.broker import Broker, BrokerLost
from libs.common.content import Incoming
from libs.common.protocol.codec import TYPING
from services.persister.connection import AWAY, SQL, Link

STORE_S: Final = 1.0
"""The least time between two transactions."""
LASTS_S: Final = 5.0
"""`end_typing` removes rows of this age."""
HELD_MOST: Final = 10_000
REOPEN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 5.0

log = structlog.get_logger()

Place = tuple[UUID, UUID]
"""User and conversation."""


class TypingStatus:
    """Coalesces what is said of one user in one conversation: the last word counts."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, answer_within_s=ANSWER_WITHIN_S)
        self._held: dict[Place, int | None] = {}
        self._came = asyncio.Event()
        self._failing = False

    async def consume(self, broker: Broker) -> None:
        """Until cancelled. Raises nothing: without the queue the table is merely empty."""
        queue = topology.typing()
        while True:
            try:
                channel = await broker.channel()
                await channel.declare(queue)
                await channel.consume(queue.name, self._receive, acknowledged=False)
                await channel.lost
                await channel.close()
            except BrokerLost as error:
                log.warning("no typing", reason=str(error))
            await asyncio.sleep(REOPEN_S)

    async def store(self) -> None:
        """Until cancelled."""
        try:
            any_left = False
            while True:
                await self._something_to_do(LASTS_S + STORE_S if any_left else None)
                held, self._held = self._held, {}
                any_left = await self._store(held)
                await asyncio.sleep(STORE_S)
        finally:
            self._link.drop()

    def _receive(self, incoming: Incoming) -> None:
        items, _ = TYPING.decode(incoming.body)
        for item in items:
            place = item.user_id, item.conversation_id
            if place in self._held or len(self._held) < HELD_MOST:
                self._held[place] = item.started_at
        self._came.set()

    async def _something_to_do(self, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._came.wait()
        except TimeoutError:
            pass
        self._came.clear()

    async def _store(self, held: dict[Place, int | None]) -> bool:
        """Whether rows of these may be left that age must remove."""
        # In order: two persisters that write the same rows do not deadlock.
        started = sorted((*place, at) for place, at in held.items() if at is not None)
        ended = [place for place, at in held.items() if at is None]
        users, conversations = zip(*ended, strict=True) if ended else ((), ())
        try:
            connection = await self._link.connected()
            async with connection.transaction():
                if started:
                    columns = zip(*started, strict=True)
                    await connection.execute(SQL["write_typing"], *columns)
                await connection.execute(SQL["end_typing"], users, conversations)
        except AWAY as error:
            if not self._failing:
                log.warning("typing not stored", reason=repr(error))
            self._failing = True
            self._link.drop()
            return False
        self._failing = False
        return bool(started)
