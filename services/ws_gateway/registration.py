"""Keeps Redis knowing which sessions are here, and that this gateway is alive."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import structlog

from libs.common.cache import CacheError
from libs.common.keys import HOUR
from libs.common.outbox import Outbox
from services.ws_gateway.pulse import Pulse
from services.ws_gateway.session_keys import Change, Entered, Left, Renewed, SessionKeys, TooMany

BEAT_S: Final = 1.0
RENEW_S: Final = 6 * HOUR
"""How often each session is written again, well before its keys' time to live."""
SHARES: Final = 360
"""Shares of the users that are renewed one after the other: all at once would be a burst."""
BATCH: Final = 200
"""Changes in one round trip: a longer one would hold up the loop."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 2.0

log = structlog.get_logger()


class Registration:
    """Writes the sessions' keys in the order in which they came and went.

    While Redis is away the sessions that are open stay, changes wait and are retried (each can
    be done twice), and new sessions wait for their turn.
    """

    def __init__(
        self,
        keys: SessionKeys,
        *,
        users: Callable[[], list[tuple[UUID, list[UUID]]]],
        on_written: Callable[[Change, TooMany | None], None],
        on_redis: Callable[[bool], None],
    ) -> None:
        """What it asks and tells.

        `users`: all that should be registered, each with their sessions' ids. `on_written`:
        routers know of this change; or the session that entered is one too many and must leave.
        `on_redis`: whether Redis answers.
        """
        self._keys = keys
        self._users = users
        self._on_written = on_written
        self._on_redis = on_redis
        self._pulse = Pulse()
        self._changes: Outbox[Change] = Outbox(self._write, pacing_s=0, stage="registration")

    @property
    def failed(self) -> "asyncio.Future[None]":
        """Holds an error that no retry helps against."""
        return self._changes.failed

    def enter(self, user_id: UUID, session_id: UUID) -> None:
        self._changes.add(Entered(user_id, session_id))

    def leave(self, user_id: UUID, session_id: UUID, *, is_last: bool) -> None:
        """`is_last`: the user has no other session here."""
        self._changes.add(Left(user_id, session_id, is_last))

    async def keep_alive(self) -> None:
        """Runs until cancelled: the sign of life each second, and anew what Redis has lost."""
        loop = asyncio.get_running_loop()
        share, renewed_at = 0, loop.time()
        while True:
            await self._beat()
            if loop.time() - renewed_at > RENEW_S / SHARES:
                share, renewed_at = (share + 1) % SHARES, loop.time()
                self._renew([user for user in self._users() if user[0].int % SHARES == share])
            await asyncio.sleep(BEAT_S)

    async def end(self, within_s: float) -> None:
        """Writes what waits, if Redis answers in time, and takes back the sign of life.

        Otherwise the routers take our sessions out, once we have been silent for long.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._changes.drain()
                await self._keys.sign_off()
        except (CacheError, TimeoutError) as error:
            log.warning("sessions stay registered", reason=repr(error))
        self._changes.close()

    async def _beat(self) -> None:
        try:
            is_lost = self._pulse.felt(await self._keys.beat())
        except CacheError as error:
            self._pulse.missed()
            log.warning("no sign of life", reason=repr(error))
            self._on_redis(False)
            return
        if is_lost:
            users = self._users()
            log.info("registering all sessions anew", users=len(users))
            self._renew(users)
        self._on_redis(True)

    def _renew(self, users: Sequence[tuple[UUID, list[UUID]]]) -> None:
        for user_id, session_ids in users:
            self._changes.add(Renewed(user_id, session_ids))

    async def _write(self, changes: list[Change]) -> None:
        for start in range(0, len(changes), BATCH):
            await self._write_until_done(changes[start : start + BATCH])

    async def _write_until_done(self, changes: Sequence[Change]) -> None:
        backoff = RETRY_FIRST_S
        while True:
            try:
                too_many = await self._keys.write(changes)
                break
            except CacheError as error:
                log.warning("registration waits", reason=repr(error), changes=len(changes))
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, RETRY_MOST_S)
        for change in changes:
            refused = too_many.get(change.session_id) if isinstance(change, Entered) else None
            self._on_written(change, refused)
