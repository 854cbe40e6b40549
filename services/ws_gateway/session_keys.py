"""What this gateway writes to Redis for the routers: whose sessions it has, and that it lives.

Every step may be done twice. No script has two keys, and nothing here two users in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from libs.common.cache import Batch, Cache, Lua
from libs.common.domain.partition import partition_of
from libs.common.keys import GATEWAY_USERS, GATEWAYS, HOUR, LEAVING, SESSIONS
from libs.common.limits import Limit, permits

_FORGET_MS: Final = HOUR * 1000
"""A gateway that has been silent for so long is off the list; routers buried it long ago."""

_BEAT: Final = Lua("""
-- Scores gateway ARGV[1] by now (ms); how old its previous sign is, false without one.
-- ARGV: gateway, after how long silence (ms) others are forgotten, time to live (s).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local previous = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return previous and now - previous
""")

_LEAVE: Final = Lua("""
-- A session of user ARGV[1] has ended now (ms). ARGV[2]: time to live (s).
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
""")


@dataclass(frozen=True, slots=True)
class Entered:
    """A new session; there may be too many."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Renewed:
    """All sessions that a user has here, written once more: never too many."""

    user_id: UUID
    session_ids: list[UUID]


@dataclass(frozen=True, slots=True)
class Left:
    """A session that has ended."""

    user_id: UUID
    session_id: UUID
    is_last: bool
    """The user has none here any more."""


Change = Entered | Renewed | Left


@dataclass(frozen=True, slots=True)
class TooMany:
    """Why a session that entered must go again; `error` is a constant of `protocol.errors`."""

    error: str
    retry_after_ms: int | None = None


class SessionKeys:
    """Each method is one round trip and raises CacheError."""

    def __init__(
        self, cache: Cache, gateway_id: str, partitions: int, connects: Limit, sessions_most: int
    ) -> None:
        """`connects` and `sessions_most` are a user's, over all gateways."""
        self._cache = cache
        self._gateway_id = gateway_id
        self._partitions = partitions
        self._connects = connects
        self._sessions_most = sessions_most

    async def write(self, changes: Sequence[Change]) -> dict[UUID, TooMany]:
        """Writes them in order; which of the sessions that entered are too many, and why."""
        batch = self._cache.batch()
        entered: dict[UUID, int] = {}
        for change in changes:
            match change:
                case Entered(user_id, session_id):
                    entered[session_id] = len(batch)
                    batch.script(*self._connects.command(user_id, [session_id.bytes]))
                    self._add(batch, user_id, [session_id])
                case Renewed(user_id, session_ids):
                    self._add(batch, user_id, session_ids)
                case Left():
                    self._remove(batch, change)
        answers = await batch.run()
        verdicts = {
            session_id: self._verdict(answers[first : first + 3])
            for session_id, first in entered.items()
        }
        return {session_id: verdict for session_id, verdict in verdicts.items() if verdict}

    async def beat(self) -> int | None:
        """Gives a sign of life; how old the previous one is (ms), None when there is none."""
        batch = self._cache.batch()
        batch.script(_BEAT, GATEWAYS(), self._gateway_id, _FORGET_MS, GATEWAYS.ttl)
        [previous_ms] = await batch.run()
        return None if previous_ms is None else int(previous_ms)

    async def sign_off(self) -> None:
        """This gateway is no more, and has taken its sessions out."""
        batch = self._cache.batch()
        batch.add("ZREM", GATEWAYS(), self._gateway_id)
        await batch.run()

    def _add(self, batch: Batch, user_id: UUID, session_ids: Sequence[UUID]) -> None:
        sessions, users = SESSIONS(user_id), self._users(user_id)
        pairs = [part for session_id in session_ids for part in (str(session_id), self._gateway_id)]
        batch.add("HSET", sessions, *pairs)
        batch.add("HLEN", sessions)
        batch.add("EXPIRE", sessions, SESSIONS.ttl)
        batch.add("SADD", users, str(user_id))
        batch.add("EXPIRE", users, GATEWAY_USERS.ttl)

    def _remove(self, batch: Batch, left: Left) -> None:
        batch.add("HDEL", SESSIONS(left.user_id), str(left.session_id))
        if left.is_last:
            batch.add("SREM", self._users(left.user_id), str(left.user_id))
            leaving = LEAVING(partition_of(left.user_id, self._partitions))
            batch.script(_LEAVE, leaving, str(left.user_id), LEAVING.ttl)

    def _verdict(self, answers: Sequence[Any]) -> TooMany | None:
        """By what the limit, HSET and HLEN have answered."""
        permit_answer, _, sessions = answers
        [permit] = permits(permit_answer)
        if permit.granted_at is None:
            return TooMany("RATE_LIMITED", permit.retry_after_ms)
        return TooMany("TOO_MANY_CONNECTIONS") if sessions > self._sessions_most else None

    def _users(self, user_id: UUID) -> str:
        return GATEWAY_USERS(self._gateway_id, partition_of(user_id, self._partitions))
