"""The router's Redis keys: who may give out sequence numbers, and how far the logs have come."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from libs.common.cache import Cache, Lua
from libs.common.keys import EPOCH, HEADS, RECENT, SEQ, SESSIONS, UNREAD, WARM
from services.router.conversation import Conversation

_CLAIM: Final = Lua("""
-- Claims the numbers up to ARGV[3] for the owner with epoch ARGV[1], who last saw ARGV[2].
local stored = redis.call('GET', KEYS[1])
if stored then
    local epoch, head = string.match(stored, '^(%d+):(%d+)$')
    if epoch and tonumber(epoch) < 2^53 then
        if tonumber(epoch) > tonumber(ARGV[1]) then return epoch end
        if epoch == ARGV[1] and head ~= ARGV[2] and head ~= ARGV[3] then return epoch end
    end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[3], 'EX', ARGV[4])
return '0'
""")

_NEXT_EPOCH: Final = Lua("""
-- Greater than the stored one, than ARGV[1] and, if Redis' clock allows, than all before (in µs).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
if not stored or not (stored < 2^53) then stored = 0 end
local epoch = string.format('%.0f', math.max(now, stored + 1, tonumber(ARGV[1]) + 1))
redis.call('SET', KEYS[1], epoch, 'EX', ARGV[2])
return epoch
""")

RAISE: Final = Lua("""
-- Raises fields to given heads: TTL, then field and head in turn. A head may end in `!`.
for i = 2, #ARGV, 2 do
    local known = redis.call('HGET', KEYS[1], ARGV[i])
    local head = tonumber(string.match(ARGV[i + 1], '%d+'))
    if not known or tonumber(string.match(known, '%d+')) < head then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
""")

COUNT: Final = Lua("""
-- Sets counts of unread messages: TTL, then field, head at which it was counted, count in turn.
-- A count that was taken at a later head stays: a router that slept writes nothing stale.
for i = 2, #ARGV, 3 do
    local at = '@' .. ARGV[i]
    local known = redis.call('HGET', KEYS[1], at)
    if not known or tonumber(known) <= tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], at, ARGV[i + 1])
        if ARGV[i + 2] == '0' then
            redis.call('HDEL', KEYS[1], ARGV[i])
        else
            redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
        end
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
""")

_PURGE: Final = Lua("""
-- What was cached before head ARGV[1] holds a content that is deleted; nor may a reader who has
-- read it before put it there now.
local head = redis.call('HGET', KEYS[1], 'head')
if head and tonumber(head) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'head', ARGV[1])
redis.call('HDEL', KEYS[1], 'items')
redis.call('EXPIRE', KEYS[1], ARGV[2])
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


@dataclass(frozen=True, slots=True)
class News:
    """What a batch has changed of what readers see."""

    partition: int
    changed: Collection[Conversation]
    recounted: Mapping[tuple[UUID, UUID], Conversation]
    """By user and conversation."""
    deleted: Mapping[UUID, int]
    """Conversation → the entry that took a content away."""
    listeners: Collection[UUID]
    """Users that are to be told."""

    def heads(self) -> dict[UUID, list[str]]:
        """By user: conversation and head in turn."""
        raised: dict[UUID, list[str]] = {}
        for known in self.changed:
            head = str(known.head) if known.archived_at is None else f"{known.head}!"
            for user_id in (known.user1_id, known.user2_id):
                raised.setdefault(user_id, []).extend((str(known.conversation_id), head))
        return raised

    def counts(self) -> dict[UUID, list[str]]:
        """By user: conversation, head and count in turn. An archived one has none."""
        counts: dict[UUID, list[str]] = {}
        for (user_id, conversation_id), known in self.recounted.items():
            unread = 0 if known.archived_at is not None else known.unread[known.place(user_id)]
            pair = (str(conversation_id), str(known.head), str(unread))
            counts.setdefault(user_id, []).extend(pair)
        return counts


async def publish(cache: Cache, news: News) -> tuple[dict[UUID, dict[UUID, str]], bytes | None]:
    """Makes confirmed entries known to readers; then tells who listens, by user.

    In this order: a session that registers in between finds the new heads in its snapshot
    or is found here, so no entry falls between. And what was deleted, or counted, is so before
    the head says it. Returns user → {session: gateway}, and WARM's value, read after all of these.
    Safe to repeat. Raises CacheError.
    """
    batch = cache.batch()
    for conversation_id, seq in news.deleted.items():
        batch.script(_PURGE, RECENT(conversation_id), seq, RECENT.ttl)
    for user_id, counts in news.counts().items():
        batch.script(COUNT, UNREAD(user_id), UNREAD.ttl, *counts)
    for user_id, heads in news.heads().items():
        batch.script(RAISE, HEADS(user_id), HEADS.ttl, *heads)
    written = len(batch)
    for user_id in news.listeners:
        batch.add("HGETALL", SESSIONS(user_id))
    batch.add("GET", WARM(news.partition))
    *answers, warm = await batch.run()
    listeners = {
        user_id: _sessions(answer)
        for user_id, answer in zip(news.listeners, answers[written:], strict=True)
    }
    return listeners, warm


async def warmth(cache: Cache, partition: int) -> bytes | None:
    """WARM's value: another one after Redis was emptied. Raises CacheError."""
    batch = cache.batch()
    batch.add("GET", WARM(partition))
    [value] = await batch.run()
    return cast("bytes | None", value)


async def sessions(cache: Cache, users: Collection[UUID]) -> dict[UUID, dict[UUID, str]]:
    """Who listens: user → {session: gateway}. Raises CacheError."""
    batch = cache.batch()
    for user_id in users:
        batch.add("HGETALL", SESSIONS(user_id))
    answers = map(_sessions, await batch.run())
    return dict(zip(users, answers, strict=True))


def _sessions(answer: dict[bytes, bytes] | list[bytes]) -> dict[UUID, str]:
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    try:
        return {UUID(session.decode()): gateway.decode() for session, gateway in answer.items()}
    except ValueError:  # something among them isn't ours: nobody listens there
        sessions = ((id_in(session), gateway) for session, gateway in answer.items())
        return {one: gateway.decode(errors="replace") for one, gateway in sessions if one}


def id_in(value: bytes) -> UUID | None:
    """None for what isn't ours."""
    try:
        return UUID(value.decode())
    except ValueError:
        return None


def ids_in(values: Iterable[bytes]) -> list[UUID]:
    """Of a set, without what isn't ours."""
    return [one for value in values if (one := id_in(value))]
