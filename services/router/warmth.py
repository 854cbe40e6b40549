"""Whether Redis can be trusted about writes that are still queued (promise 8).

A key that Redis should have raised for a queued write is missing after a FLUSHALL, and a missing
key proves nothing. WARM(partition) goes with the same FLUSHALL, and is set again only behind a
barrier: once all that was published before is in PostgreSQL, and all after it is in Redis.
"""

import asyncio
from secrets import token_hex
from typing import Final

import structlog

from libs.common.asking import Asking
from libs.common.broker import Overloaded, Unroutable
from libs.common.cache import Cache, CacheError, Lua
from libs.common.domain.heads import WARM_MARK, is_warm
from libs.common.keys import WARM

CHECK_S: Final = 1.0
"""For so long after a FLUSHALL each reader asks for a barrier of its own."""

_CONFIRM: Final = Lua("""
-- Emptied again since the barrier was asked for: then it proves nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'EX', ARGV[3])
return 1
""")

log = structlog.get_logger()


async def keep_warm(cache: Cache, asking: Asking, partition: int) -> None:
    """Until cancelled. Any router may do it, the active one or one that stands by."""
    while True:
        try:
            if await _missing(cache, partition):
                await _warm(cache, asking, partition)
        except (CacheError, OSError, TimeoutError, Unroutable, Overloaded) as error:
            log.warning("partition stays cold", partition=partition, reason=repr(error))
        await asyncio.sleep(CHECK_S)


async def cold_partitions(cache: Cache, partitions: int) -> list[int]:
    """Those whose readers must ask for a barrier. Raises CacheError."""
    batch = cache.batch()
    batch.add("MGET", *(WARM(partition) for partition in range(partitions)))
    [values] = await batch.run()
    return [partition for partition, value in enumerate(values) if not is_warm(value)]


async def _missing(cache: Cache, partition: int) -> bool:
    batch = cache.batch()
    batch.add("GETEX", WARM(partition), "EX", WARM.ttl)
    [value] = await batch.run()
    return not is_warm(value)


async def _warm(cache: Cache, asking: Asking, partition: int) -> None:
    token = token_hex(8)
    batch = cache.batch()
    batch.add("SET", WARM(partition), token, "EX", WARM.ttl)
    await batch.run()
    await asking.ask_barrier(partition)
    batch = cache.batch()
    batch.script(_CONFIRM, WARM(partition), token, WARM_MARK, WARM.ttl)
    [confirmed] = await batch.run()
    if confirmed:
        log.info("partition warm", partition=partition)
