"""The router's Redis keys: who may give out sequence numbers, and how far the logs have come."""

from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from libs.common.cache import Batch, Cache, Lua
from libs.common.keys import EPOCH, HEADS, SEQ, SESSIONS
from services.router.conversation import Conversation

_CLAIM: Final = Lua("""
-- Claims the numbers up to ARGV[3] for the owner with epoch ARGV[1], who last saw ARGV[2].
local stored = redis.call('GET', KEYS[1])
if stored then
    local epoch, head = string.match(stored, '^(%d+):(%d+)$')
    if tonumber(epoch) > tonumber(ARGV[1]) then return epoch end
    if epoch == ARGV[1] and head ~= ARGV[2] and head ~= ARGV[3] then return epoch end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[3], 'EX', ARGV[4])
return '0'
""")

_NEXT_EPOCH: Final = Lua("""
-- Greater than the stored one, than ARGV[1] and, if Redis' clock allows, than all before (in µs).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
local epoch = string.format('%.0f', math.max(now, stored + 1, tonumber(ARGV[1]) + 1))
redis.call('SET', KEYS[1], epoch, 'EX', ARGV[2])
return epoch
""")

_RAISE: Final = Lua("""
-- Raises fields to given heads: TTL, then field and head in turn.
for i = 2, #ARGV, 2 do
    local known = redis.call('HGET', KEYS[1], ARGV[i])
    if not known or tonumber(known) < tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
""")


class Superseded(Exception):
    """Another router owns the partition: nothing decided here may be published."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"by the owner with epoch {epoch}")
        self.epoch = epoch


async def next_epoch(cache: Cache, partition: int, above: int = 0) -> int:
    """A new owner's epoch, greater than `above` and than every earlier owner's.

    Raises CacheError.
    """
    batch = cache.batch()
    batch.script(_NEXT_EPOCH, EPOCH(partition), above, EPOCH.ttl)
    [epoch] = await batch.run()
    return int(epoch)


async def claim(cache: Cache, owner: int, changed: Collection[Conversation]) -> None:
    """Claims in Redis, atomically, the numbers that the rules have given out.

    Redis is the arbiter between a router that was stopped and woke and its successor: the one
    with the lower epoch is refused, and so is one whose view of the head is not the last it
    wrote. An absent key (first use, FLUSHALL) refuses nobody: then the single active consumer
    and the database's unique (conversation, seq) stand alone.

    Safe to repeat. Raises Superseded, CacheError.
    """
    batch = cache.batch()
    for known in changed:
        key = SEQ(known.conversation_id)
        batch.script(_CLAIM, key, owner, known.claimed, known.head, SEQ.ttl)
    if (newest := max(map(int, await batch.run()), default=0)) > 0:
        raise Superseded(newest)
    for known in changed:
        known.claimed = known.head


async def publish_heads(
    cache: Cache, changed: Collection[Conversation], listeners: Iterable[UUID]
) -> dict[UUID, dict[UUID, str]]:
    """Makes confirmed entries known to readers; then tells who listens, by user.

    In this order: a session that registers in between finds the new heads in its snapshot
    or is found here, so no entry falls between. Returns user → {session: gateway}.
    """
    batch = cache.batch()
    raised: dict[UUID, list[str | int]] = {}
    for conversation in changed:
        for user_id in (conversation.user1_id, conversation.user2_id):
            pairs = raised.setdefault(user_id, [])
            pairs += (str(conversation.conversation_id), conversation.head)
    for user_id, pairs in raised.items():
        raise_heads(batch, user_id, pairs)
    users = list(listeners)
    for user_id in users:
        batch.add("HGETALL", SESSIONS(user_id))
    answers = await batch.run()
    return {
        user_id: _sessions(answer)
        for user_id, answer in zip(users, answers[len(raised) :], strict=True)
    }


def raise_heads(batch: Batch, user_id: UUID, pairs: list[str | int]) -> None:
    """Adds to `batch`: the user's heads become at least these (field, head, field, head, …)."""
    batch.script(_RAISE, HEADS(user_id), HEADS.ttl, *pairs)


def _sessions(answer: dict[bytes, bytes] | list[bytes]) -> dict[UUID, str]:
    pairs = (
        answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    )
    return {UUID(session.decode()): gateway.decode() for session, gateway in pairs}
