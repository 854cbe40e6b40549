"""What a new session needs to know: the user's conversations and where each log stands."""

import asyncio
from collections.abc import Iterable, Sequence
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

import structlog

from libs.common.cache import Lua
from libs.common.domain.heads import LOADING, NOTHING_TOLD, Told, told_in
from libs.common.keys import HEADS, UNREAD, Key
from libs.common.protocol.deliveries import Delivery, Opened
from libs.common.protocol.events import Here, Open, Recall
from services.router import sequence
from services.router.inbox import Inbox
from services.router.presence import Arrived, Presence
from services.router.surroundings import PASSING, Station
from services.router.warmth import cold_partitions

_COMPLETE: Final = Lua("""
-- Ends the load with token ARGV[1]; the whole hash.
-- Emptied since the load began: what was raised in between may be missing, so not complete.
if redis.call('HGET', KEYS[1], '?') == ARGV[1] then
    redis.call('HDEL', KEYS[1], '?')
    redis.call('HSET', KEYS[1], '*', 1)
end
return redis.call('HGETALL', KEYS[1])
""")

log = structlog.get_logger()

Asked = Open | Here | Recall
Hashes = dict[UUID, Told]
"""By user, the fields of one of their hashes in Redis."""


class Opening:
    """Answers the `Open` signals of one partition's users, many at a time.

    It needs no order and may fail: a gateway that gets no answer asks again. Users whom Redis
    doesn't know wait for PostgreSQL in a task of their own, nobody else waits with them.
    """

    def __init__(self, station: Station, presence: Presence) -> None:
        self.asked: Inbox[Asked] = Inbox()
        self._unknown: Inbox[Asked] = Inbox()
        self._station = station
        self._around = station.around
        self._presence = presence

    async def run(self) -> None:
        """Until cancelled. Raises BrokerLost."""
        while True:
            asked = await self.asked.take()
            try:
                hashes = await self._hashes(asked)
                known: list[Open | Here] = []
                for event in asked:
                    if isinstance(event, Recall) or not hashes[event.user_id].is_complete:
                        self._unknown.put([event])
                    else:
                        known.append(event)
                await self._answer(known, hashes)
            except PASSING as error:
                log.warning("sessions not opened", sessions=len(asked), reason=repr(error))

    async def load(self) -> None:
        """Those of whom Redis lacks something. Until cancelled. Raises BrokerLost."""
        while True:
            asked = await self._unknown.take()
            try:
                hashes = await self._hashes(asked)
                unknown = [user for user, told in hashes.items() if not told.is_complete]
                if unknown:
                    hashes |= await self._load_heads(unknown)
                await self._answer([one for one in asked if not isinstance(one, Recall)], hashes)
                recalled = {event.user_id for event in asked if isinstance(event, Recall)}
                if recalled:
                    await self._load_unread(list(recalled))
            except PASSING as error:
                log.warning("sessions not loaded", sessions=len(asked), reason=repr(error))

    async def _answer(self, asked: Sequence[Open | Here], hashes: Hashes) -> None:
        batches: dict[str, list[Delivery]] = {}
        for event in asked:
            if isinstance(event, Open):
                opened = Opened(event.session_id, hashes[event.user_id].active)
                batches.setdefault(event.gateway_id, []).append(opened)
        await self._around.gateways.deliver(self._station.channel, batches)
        # Afterwards: nobody's CONNECT_SUCCESS waits for whom it concerns that they are there.
        self._presence.changes.put(
            Arrived(
                event.user_id,
                tuple(hashes[event.user_id].active),
                is_news=isinstance(event, Open),
            )
            for event in asked
        )

    async def _hashes(self, asked: Sequence[Asked]) -> Hashes:
        """HEADS of those who ask."""
        users = list({event.user_id for event in asked})
        batch = self._around.cache.batch()
        for user_id in users:
            batch.add("HGETALL", HEADS(user_id))
            # Gateways renew their sessions: so it outlives them, and says whom a leaving concerns.
            batch.add("EXPIRE", HEADS(user_id), HEADS.ttl)
        answers = (await batch.run())[::2]
        hashes = _read(users, answers)
        if spoiled := set(users) - hashes.keys():
            await self._around.cache.forget([HEADS(user_id) for user_id in spoiled])
        return dict.fromkeys(users, NOTHING_TOLD) | hashes

    async def _load_heads(self, users: list[UUID]) -> Hashes:
        """Fills the users' hashes from PostgreSQL; from then on `sequence.publish` keeps them."""
        token = await self._begin(HEADS, users)
        stored = await self._around.store.heads(users)
        items = {
            user_id: [str(part) for pair in heads.items() for part in pair]
            for user_id, heads in stored.items()
        }
        return await self._complete(HEADS, sequence.RAISE, token, items)

    async def _load_unread(self, users: list[UUID]) -> None:
        """The same for the counts of unread messages."""
        token = await self._begin(UNREAD, users)
        stored = await self._around.store.unread(users)
        items = {
            user_id: [str(part) for unread in counts for part in unread]
            for user_id, counts in stored.items()
        }
        await self._complete(UNREAD, sequence.COUNT, token, items)

    async def _begin(self, key: Key, users: list[UUID]) -> str:
        """Marks the hashes as being loaded; then PostgreSQL has all that Redis may have lost."""
        token = token_hex(8)
        batch = self._around.cache.batch()
        for user_id in users:
            batch.add("HSET", key(user_id), LOADING, token)
            batch.add("EXPIRE", key(user_id), key.ttl)
        await batch.run()
        cold = await cold_partitions(self._around.cache, self._around.settings.partitions)
        await asyncio.gather(*map(self._around.asking.ask_barrier, cold))
        return token

    async def _complete(
        self, key: Key, merge: Lua, token: str, items: dict[UUID, list[str]]
    ) -> Hashes:
        """What is newer in Redis stays; the hash is marked complete if it wasn't emptied since."""
        batch = self._around.cache.batch()
        for user_id, arguments in items.items():
            batch.script(merge, key(user_id), key.ttl, *arguments)
            batch.script(_COMPLETE, key(user_id), token)
        answers = (await batch.run())[1::2]
        return dict.fromkeys(items, NOTHING_TOLD) | _read(items, answers)


def _read(users: Iterable[UUID], answers: Iterable[Any]) -> Hashes:
    """Of those that can be read."""
    told = zip(users, (told_in(_fields(answer)) for answer in answers), strict=True)
    return {user_id: known for user_id, known in told if known is not None}


def _fields(answer: Any) -> dict[bytes, bytes]:  # noqa: ANN401 - redis-py's answers
    """A hash as RESP3, or a script, returns it."""
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))
