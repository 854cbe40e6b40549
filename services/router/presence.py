"""Who is there (DESIGN.md, section 4): ONLINE at the first session, OFFLINE 5 s after the last.

One task of each partition's owner, so that a user's coming and going are told in order. Only
those are told who are online and have a conversation with the user; for anybody else presence
costs no message and no timer. A device that reconnects within 5 s is no news.

What it goes by is in Redis, so that a successor goes on: SESSIONS, LEAVING and GATEWAYS, which
the gateways write; STATUS and USERS, which it writes itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from libs.common.cache import Lua
from libs.common.domain.heads import NOTHING_TOLD, told_in
from libs.common.domain.moment import rfc3339
from libs.common.keys import (
    HEADS,
    LEAVING,
    SESSIONS,
    STATUS,
    USERS,
    Key,
)
from libs.common.protocol.frames import ServerFrame, UserOffline, UserOnline
from services.router import sequence
from services.router.dead_gateways import DeadGateways
from services.router.fan_out import notes
from services.router.inbox import Inbox
from services.router.overdue import overdue, parts
from services.router.surroundings import PASSING, Station

LOOK_S: Final = 0.5
GRACE_MS: Final = 5_000
ONLINE: Final = "ONLINE"

_ENTER: Final = Lua("""
-- Adds user ARGV[1] to a conversation's users; the others who are online.
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
local others = {}
for _, user in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if user ~= ARGV[1] then others[#others + 1] = user end
end
return others
""")

_LEAVE: Final = Lua("""
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('SMEMBERS', KEYS[1])
""")

_TAKE_OUT: Final = Lua("""
-- Takes out member ARGV[1], unless its score has changed from ARGV[2].
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then
    return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
""")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrived:
    """A user has a session, with these conversations that aren't archived."""

    user_id: UUID
    conversation_ids: tuple[UUID, ...]
    is_news: bool
    """False when only Redis has forgotten."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A conversation was created."""

    conversation_id: UUID
    user1_id: UUID
    user2_id: UUID


@dataclass(frozen=True, slots=True)
class Ended:
    """A conversation was archived: its users no longer see each other."""

    conversation_id: UUID


_Told = tuple[UUID, ServerFrame]
"""A frame for one user."""


class Presence:
    """One partition's: of its users, and of its new conversations."""

    def __init__(self, station: Station) -> None:
        self.changes: Inbox[Arrived | Begun | Ended] = Inbox()
        self._station = station
        self._cache = station.around.cache
        self._dead_gateways = DeadGateways(station)

    async def run(self) -> None:
        """Until cancelled. Raises BrokerLost."""
        changes: list[Arrived | Begun | Ended] = []
        while True:
            changes += await self.changes.take(LOOK_S)
            try:
                await self._follow(changes)
                changes.clear()  # not before: nobody says again that a user has come
                await self._dead_gateways.look()
                await self._look_for_leaving()
            except PASSING as error:
                log.warning("presence waits", partition=self._station.partition, reason=repr(error))

    # --- coming ----------------------------------------------------------------------------

    async def _follow(self, changes: Sequence[Arrived | Begun | Ended]) -> None:
        arrived = [change.user_id for change in changes if isinstance(change, Arrived)]
        online = await self._with(STATUS, arrived)
        for change in changes:
            match change:
                case Arrived():
                    if change.user_id not in online or not change.is_news:
                        await self._arrive(change)
                        online.add(change.user_id)
                case Begun():
                    await self._begin(change)
                case Ended():
                    await self._end(change)

    async def _arrive(self, arrived: Arrived) -> None:
        """STATUS comes last: if we die before, the next signal begins again."""
        for some in parts(arrived.conversation_ids):
            others = await self._enter(arrived.user_id, some)
            if arrived.is_news:
                await self._tell(
                    (other, UserOnline(conversation_id, arrived.user_id))
                    for conversation_id, users in others
                    for other in users
                )
        batch = self._cache.batch()
        batch.add("SET", STATUS(arrived.user_id), ONLINE, "EX", STATUS.ttl)
        await batch.run()

    async def _begin(self, begun: Begun) -> None:
        """Who is online at a conversation's birth is so in it, and the other is told.

        Or is about to be: who has a session may have got its conversations before this one.
        """
        pair = (begun.user1_id, begun.user2_id)
        online = await self._with(STATUS, pair) | await self._with(SESSIONS, pair)
        present = [user_id for user_id in pair if user_id in online]
        for user_id in present:
            await self._enter(user_id, (begun.conversation_id,))
        if len(present) == len(pair):
            first, second = pair
            await self._tell(
                (
                    (first, UserOnline(begun.conversation_id, second)),
                    (second, UserOnline(begun.conversation_id, first)),
                )
            )

    async def _end(self, ended: Ended) -> None:
        batch = self._cache.batch()
        batch.add("DEL", USERS(ended.conversation_id))
        await batch.run()

    async def _enter(
        self, user_id: UUID, conversation_ids: Sequence[UUID]
    ) -> list[tuple[UUID, list[UUID]]]:
        """By conversation, the others who are online."""
        batch = self._cache.batch()
        for conversation_id in conversation_ids:
            batch.script(_ENTER, USERS(conversation_id), str(user_id), USERS.ttl)
        return list(zip(conversation_ids, map(sequence.ids_in, await batch.run()), strict=True))

    # --- going -----------------------------------------------------------------------------

    async def _look_for_leaving(self) -> None:
        """Users who had a session end 5 s ago: OFFLINE if they have none now."""
        leaving = LEAVING(self._station.partition)
        while due := await overdue(self._cache, leaving, GRACE_MS):
            await self._let_go(leaving, due)

    async def _let_go(self, leaving: str, due: Sequence[tuple[bytes, bytes]]) -> None:
        # What isn't ours among them is only taken out.
        leaving_users = [(one, since) for user, since in due if (one := sequence.id_in(user))]
        here = await self._with(SESSIONS, [user_id for user_id, _ in leaving_users])
        for user_id, since in leaving_users:
            if user_id not in here:
                await self._leave(user_id, _moment(since))
        batch = self._cache.batch()
        for user, since in due:
            batch.script(_TAKE_OUT, leaving, user, since)
        await batch.run()

    async def _leave(self, user_id: UUID, since_ms: int) -> None:
        batch = self._cache.batch()
        batch.add("DEL", STATUS(user_id))
        batch.add("HLEN", SESSIONS(user_id))
        batch.add("HGETALL", HEADS(user_id))
        _, sessions, heads = await batch.run()
        told = told_in(heads)
        if told is None:
            await self._cache.forget([HEADS(user_id)])
        active = (told or NOTHING_TOLD).active
        if sessions:
            # One has come in between; its `Open` may have found the STATUS that we took.
            self.changes.put([Arrived(user_id, tuple(active), is_news=False)])
            return
        last_seen_at = rfc3339(since_ms)
        for some in parts(active):
            batch = self._cache.batch()
            for conversation_id in some:
                batch.script(_LEAVE, USERS(conversation_id), str(user_id))
            others = zip(some, map(sequence.ids_in, await batch.run()), strict=True)
            await self._tell(
                (other, UserOffline(conversation_id, user_id, last_seen_at))
                for conversation_id, users in others
                for other in users
            )

    # --- both ------------------------------------------------------------------------------

    async def _with(self, key: Key, users: Sequence[UUID]) -> set[UUID]:
        """Those of the users who have this key."""
        batch = self._cache.batch()
        for user_id in users:
            batch.add("EXISTS", key(user_id))
        answers = await batch.run()
        return {user_id for user_id, exists in zip(users, answers, strict=True) if exists}

    async def _tell(self, told: Iterable[_Told]) -> None:
        """Whoever listens; nobody, mostly."""
        frames = list(told)
        if not frames:
            return
        listeners = await sequence.sessions(self._cache, list({user_id for user_id, _ in frames}))
        batches = notes(frames, listeners)
        await self._station.around.gateways.deliver(self._station.channel, batches)


def _moment(score: bytes) -> int:
    """Milliseconds since 1970; what no gateway has written is long ago."""
    return int(max(0.0, float(score)))
