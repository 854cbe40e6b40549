"""Members of Redis' sorted sets that have waited for so long, some at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from libs.common.cache import Cache, Lua

AT_ONCE: Final = 200
"""Members, users or conversations in one round trip: a longer one would hold up everybody else."""

_OVERDUE: Final = Lua("""
-- Members whose score is ARGV[1] ms old at least, with their scores, oldest first.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = string.format('%.0f', now - ARGV[1])
return redis.call('ZRANGE', KEYS[1], '-inf', due, 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
""")


async def overdue(cache: Cache, key: str, at_least_ms: int) -> list[tuple[bytes, bytes]]:
    """Up to AT_ONCE of this age, with their scores (ms since 1970). Raises CacheError."""
    batch = cache.batch()
    batch.script(_OVERDUE, key, at_least_ms, AT_ONCE)
    [flat] = await batch.run()
    return list(zip(flat[::2], flat[1::2], strict=True))


def parts(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    """AT_ONCE each."""
    remaining = iter(ids)
    while some := list(islice(remaining, AT_ONCE)):
        yield some
