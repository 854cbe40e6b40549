"""Which replicas of a role are alive: the list that partitions are shared out by."""

import asyncio
from secrets import token_hex
from typing import Final

import structlog

from libs.common.cache import Cache, CacheError, Lua
from libs.common.keys import MEMBERS

BEAT_S: Final = 0.5
"""Between two signs of life."""
SILENT_MS: Final = 2_000
"""Who has been silent for longer is gone: three signs may be late or lost."""
TIMEOUT_S: Final = 1.0
"""A sign that takes longer is given up: two in a row must fit into SILENT_MS."""

# Redis' own TIME, so that the clocks of the members' hosts do not matter.
_BEAT: Final = Lua("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2] - 1)
-- None of ours: it would hold its share of the partitions for ever.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGE', KEYS[1], 0, -1)
""")

log = structlog.get_logger()


class Membership:
    """This replica's place in the list of its role. One for each broker connection."""

    def __init__(self, cache: Cache, role: str, instance: str) -> None:
        self.member: Final = f"{instance}/{token_hex(3)}"
        """New for each incarnation: what one does late is never taken for the other's."""
        self.joined = False
        """Whether Redis has ever confirmed us."""
        self.answered = False
        """Whether Redis did at the last sign of life."""
        self._cache = cache
        self._key = MEMBERS(role)

    async def beat(self) -> tuple[str, ...] | None:
        """Gives a sign of life; the live members, sorted, this one among them.

        None when Redis is away or slow: nothing new is known, the last answer goes on holding.
        Before the first answer we hold ourselves to be alone, as work must go on without Redis.
        """
        batch = self._cache.batch()
        batch.script(_BEAT, self._key, self.member, SILENT_MS, MEMBERS.ttl * 1000)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                [names] = await batch.run()
        except (CacheError, OSError, TimeoutError) as error:
            log.warning("no answer about the members", member=self.member, reason=repr(error))
            self.answered = False
            return None if self.joined else (self.member,)
        self.joined = self.answered = True
        return tuple(sorted(name.decode(errors="replace") for name in names))

    async def leave(self) -> None:
        """Off the list at once. Without Redis our silence says the same in two seconds."""
        batch = self._cache.batch()
        batch.add("ZREM", self._key, self.member)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await batch.run()
        except (CacheError, OSError, TimeoutError) as error:
            log.warning("left without telling", member=self.member, reason=repr(error))
