"""The revocation list as Redis has it: one sorted set, which all processes fill and compare."""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from libs.common.cache import Cache, Lua
from libs.common.domain.revocation import MOST, Subject, name_of, subject_of
from libs.common.keys import REVOCATIONS

CHUNK: Final = 1_000
"""Entries in one round trip: a longer one would hold up the loop."""

_COUNT: Final = Lua("""
-- Takes out what is older than ARGV[1] (s), and the oldest beyond ARGV[2]; the time (s) and how
-- many are left.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', now - ARGV[1]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[2] - 1)
return {now, redis.call('ZCARD', KEYS[1])}
""")

log = structlog.get_logger()


class RevocationKeys:
    """Raises CacheError."""

    def __init__(self, cache: Cache, keep_s: int) -> None:
        """`keep_s`: what is older can't concern any token."""
        self._cache = cache
        self._keep_s = keep_s

    async def count(self) -> tuple[int, int]:
        """The time, in seconds since 1970, before which nothing counts, and how many there are."""
        batch = self._cache.batch()
        batch.script(_COUNT, REVOCATIONS(), self._keep_s, MOST)
        [(now, count)] = await batch.run()
        return now - self._keep_s, count

    async def read(self) -> dict[Subject, int]:
        """All of them. What a foreign hand wrote is taken out."""
        found: dict[Subject, int] = {}
        foreign: list[bytes] = []
        for start in range(0, MOST, CHUNK):
            batch = self._cache.batch()
            batch.add("ZRANGE", REVOCATIONS(), start, start + CHUNK - 1, "WITHSCORES")
            [pairs] = await batch.run()
            for name, score in pairs:
                try:
                    found[subject_of(name)] = int(score)
                except (ValueError, OverflowError):
                    foreign.append(name)
            if len(pairs) < CHUNK:
                break
        await self._remove(foreign)
        return found

    async def write(self, entries: Iterable[tuple[Subject, int]]) -> None:
        """A newer time of the same one stays."""
        every = list(entries)
        for start in range(0, len(every), CHUNK):
            batch = self._cache.batch()
            chunk = every[start : start + CHUNK]
            pairs = [part for subject, at in chunk for part in (at, name_of(subject))]
            batch.add("ZADD", REVOCATIONS(), "GT", *pairs)
            batch.add("EXPIRE", REVOCATIONS(), REVOCATIONS.ttl)
            await batch.run()

    async def _remove(self, names: Sequence[bytes]) -> None:
        if not names:
            return
        log.error("foreign revocations taken out of Redis", entries=len(names))
        batch = self._cache.batch()
        batch.add("ZREM", REVOCATIONS(), *names)
        await batch.run()
