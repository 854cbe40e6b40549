"""What a new session needs to know: the user's conversations and where each log stands."""

import asyncio
from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

import structlog

from libs.common.asking import Asking
from libs.common.broker import Channel, Incoming, Overloaded, Unroutable
from libs.common.cache import Cache, CacheError, Lua
from libs.common.domain.heads import COMPLETE, LOADING, heads_in
from libs.common.keys import HEADS
from libs.common.protocol.codec import SIGNALS
from libs.common.protocol.deliveries import Delivery, Opened
from libs.common.protocol.events import Open
from libs.common.topology import signals
from services.router.gateways import Gateways
from services.router.store import Store, StoreError
from services.router.warmth import cold_partitions

_COMPLETE: Final = Lua("""
-- Ends the load with token ARGV[1] (TTL ARGV[2], then field and head in turn); the whole hash.
for i = 3, #ARGV, 2 do
    local known = redis.call('HGET', KEYS[1], ARGV[i])
    if not known or tonumber(known) < tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
-- Emptied since the load began: what was raised in between may be missing, so not complete.
if redis.call('HGET', KEYS[1], '?') == ARGV[1] then
    redis.call('HDEL', KEYS[1], '?')
    redis.call('HSET', KEYS[1], '*', 1)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGETALL', KEYS[1])
""")

log = structlog.get_logger()


class Opening:
    """Answers the `Open` signals of one partition's users, many at a time.

    It needs no order and may fail: a gateway that gets no answer asks again.
    """

    def __init__(
        self, cache: Cache, store: Store, asking: Asking, gateways: Gateways, channel: Channel
    ) -> None:
        self._cache = cache
        self._store = store
        self._asking = asking
        self._gateways = gateways
        self._channel = channel
        self._inbox: list[Open] = []
        self._arrived = asyncio.Event()

    async def run(self, partition: int, partitions: int) -> None:
        """Until cancelled."""
        await self._channel.consume(signals(partition).name, self._receive, acknowledged=False)
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            opens, self._inbox = self._inbox, []
            try:
                await self._answer(opens, partitions)
            except (CacheError, *StoreError, TimeoutError, Unroutable, Overloaded) as error:
                log.warning("sessions not opened", sessions=len(opens), reason=repr(error))

    def _receive(self, message: Incoming) -> None:
        items, malformed = SIGNALS.decode(message.body)
        for part in malformed:
            log.error("malformed signal", reason=part.reason)
        self._inbox += items
        if items:
            self._arrived.set()

    async def _answer(self, opens: Sequence[Open], partitions: int) -> None:
        heads = await self._heads(list({event.user_id for event in opens}), partitions)
        batches: dict[str, list[Delivery]] = {}
        for event in opens:
            opened = Opened(event.session_id, heads[event.user_id])
            batches.setdefault(event.gateway_id, []).append(opened)
        await self._gateways.deliver(self._channel, batches)

    async def _heads(self, users: list[UUID], partitions: int) -> dict[UUID, dict[UUID, int]]:
        batch = self._cache.batch()
        for user_id in users:
            batch.add("HGETALL", HEADS(user_id))
        hashes = dict(zip(users, map(_fields, await batch.run()), strict=True))
        unknown = [user_id for user_id, fields in hashes.items() if COMPLETE not in fields]
        if unknown:
            hashes |= await self._load(unknown, partitions)
        return {user_id: heads_in(fields) for user_id, fields in hashes.items()}

    async def _load(self, users: list[UUID], partitions: int) -> dict[UUID, dict[bytes, bytes]]:
        """Fills the users' hashes from PostgreSQL; from then on `publish_heads` keeps them."""
        token = token_hex(8)
        batch = self._cache.batch()
        for user_id in users:
            batch.add("HSET", HEADS(user_id), LOADING, token)
            batch.add("EXPIRE", HEADS(user_id), HEADS.ttl)
        await batch.run()
        for partition in await cold_partitions(self._cache, partitions):
            await self._asking.ask_barrier(partition)
        stored = await self._store.heads(users)
        batch = self._cache.batch()
        for user_id in users:
            pairs = [str(part) for pair in stored[user_id].items() for part in pair]
            batch.script(_COMPLETE, HEADS(user_id), token, HEADS.ttl, *pairs)
        return dict(zip(users, map(_fields, await batch.run()), strict=True))


def _fields(answer: Any) -> dict[bytes, bytes]:  # noqa: ANN401 - redis-py's answers
    """A hash as RESP3, or a script, returns it."""
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))
