"""Which sessions are here, and that this gateway is alive: for the routers, in Redis."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from libs.common.cache import Cache, CacheError
from libs.common.keys import GATEWAY, HOUR, SESSIONS
from libs.common.outbox import Outbox

BEAT_S: Final = 1.0
REFRESH_S: Final = 6 * HOUR
"""How often all sessions are written again, well before their keys' time to live."""
BATCH: Final = 500
"""Sessions in one round trip: a longer one would hold up the loop."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Change:
    user_id: UUID
    session_id: UUID
    is_here: bool


class Registration:
    """Writes the sessions' keys in the order in which they came and went.

    While Redis is away the sessions that are open stay, changes wait and are retried (each can
    be done twice), and new sessions wait for their turn.
    """

    def __init__(
        self,
        cache: Cache,
        gateway_id: str,
        *,
        sessions: Callable[[], list[tuple[UUID, UUID]]],
        on_registered: Callable[[UUID], None],
        on_redis: Callable[[bool], None],
    ) -> None:
        """What it asks and tells.

        `sessions`: all that should be registered, as user and session id. `on_registered` gets
        each session id once routers can find it. `on_redis`: whether Redis answers.
        """
        self._cache = cache
        self._gateway_id = gateway_id
        self._sessions = sessions
        self._on_registered = on_registered
        self._on_redis = on_redis
        self._changes: Outbox[_Change] = Outbox(self._write, pacing_s=0, stage="registration")

    @property
    def failed(self) -> "asyncio.Future[None]":
        """Holds an error that no retry helps against."""
        return self._changes.failed

    def enter(self, user_id: UUID, session_id: UUID) -> None:
        self._changes.add(_Change(user_id, session_id, True))

    def leave(self, user_id: UUID, session_id: UUID) -> None:
        self._changes.add(_Change(user_id, session_id, False))

    async def keep_alive(self) -> None:
        """Runs until cancelled: the sign of life each second, and what Redis has lost anew."""
        loop = asyncio.get_running_loop()
        was_set = False
        refreshed = loop.time()
        while True:
            try:
                was_there = await self._beat()
                emptied = was_set and not was_there
                if emptied or loop.time() - refreshed > REFRESH_S:
                    refreshed = loop.time()
                    self._register_all(emptied)
                was_set = True
                self._on_redis(True)
            except CacheError as error:
                log.warning("no sign of life", reason=repr(error))
                self._on_redis(False)
            await asyncio.sleep(BEAT_S)

    async def end(self, within_s: float) -> None:
        """Writes what waits, if Redis answers in time, and takes back the sign of life."""
        try:
            async with asyncio.timeout(within_s):
                await self._changes.drain()
                batch = self._cache.batch()
                batch.add("DEL", GATEWAY(self._gateway_id))
                await batch.run()
        except (CacheError, TimeoutError) as error:
            log.warning("sessions stay registered", reason=repr(error))
        self._changes.close()

    async def _beat(self) -> bool:
        """Whether the previous sign was still there."""
        key = GATEWAY(self._gateway_id)
        batch = self._cache.batch()
        batch.add("EXISTS", key)
        batch.add("SET", key, "1", "EX", GATEWAY.ttl)
        was_there, _ = await batch.run()
        return bool(was_there)

    def _register_all(self, emptied: bool) -> None:
        sessions = self._sessions()
        log.info("registering all sessions anew", sessions=len(sessions), emptied=emptied)
        for user_id, session_id in sessions:
            self.enter(user_id, session_id)

    async def _write(self, changes: list[_Change]) -> None:
        for start in range(0, len(changes), BATCH):
            await self._write_until_done(changes[start : start + BATCH])

    async def _write_until_done(self, changes: Sequence[_Change]) -> None:
        backoff = RETRY_FIRST_S
        while True:
            try:
                await self._write_once(changes)
                break
            except CacheError as error:
                log.warning("registration waits", reason=repr(error), sessions=len(changes))
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, RETRY_MOST_S)
        for change in changes:
            if change.is_here:
                self._on_registered(change.session_id)

    async def _write_once(self, changes: Sequence[_Change]) -> None:
        batch = self._cache.batch()
        for change in changes:
            key = SESSIONS(change.user_id)
            if change.is_here:
                batch.add("HSET", key, str(change.session_id), self._gateway_id)
                batch.add("EXPIRE", key, SESSIONS.ttl)
            else:
                batch.add("HDEL", key, str(change.session_id))
        await batch.run()
