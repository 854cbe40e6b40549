"""The newest messages of a conversation from Redis, for as long as nothing has happened in it.

RECENT holds what PostgreSQL had at one moment and the log's head at that moment. The reader asks,
in the same round trip, for the head that it was told (HEADS). The two are equal: nothing that it
was told is missing, so no barrier and no PostgreSQL. That it was told a head at all says that the
conversation is the reader's. Any entry, also a status, raises the head and so ends the copy's use;
nobody has to delete anything, but for a message's deletion, whose content has to go at once: the
router overwrites the copy with a bare higher head, and `_FILL` never replaces a higher one, so a
reader that was slow can't bring the content back.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from libs.common.cache import Lua
from libs.common.domain.heads import ARCHIVED, COMPLETE
from libs.common.keys import HEADS, RECENT, RECENT_MOST
from libs.common.metrics import CACHE
from libs.common.protocol.codec import UNREADABLE
from libs.common.protocol.messages import Message
from services.rest_api.hints import Hints
from services.rest_api.reading import Reading
from services.rest_api.soft_cache import SoftCache
from services.rest_api.store import Store

_FILL: Final = Lua("""
-- What was read at head ARGV[1]: items and whether there are older ones. ARGV[4]: TTL.
local head = redis.call('HGET', KEYS[1], 'head')
if head and tonumber(head) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'head', ARGV[1], 'items', ARGV[2], 'older', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
""")

_ITEMS: Final = msgspec.json.Decoder(list[Message])


@dataclass(frozen=True, slots=True)
class Newest:
    """Up to RECENT_MOST messages, newest first, and whether there are older ones."""

    messages: list[Message]
    has_older: bool


class Recent:
    """For any thread. Raises what `Reading` raises."""

    def __init__(self, cache: SoftCache, reading: Reading, store: Store, hints: Hints) -> None:
        self._cache = cache
        self._reading = reading
        self._store = store
        self._hints = hints

    def newest(self, conversation_id: UUID, user_id: UUID) -> Newest:
        """With all that this user was told. Raises Problem as `Reading.own_log`."""
        found = self._cached(conversation_id, user_id)
        CACHE.labels("messages", "miss" if found is None else "hit").inc()
        if found is None:
            self._reading.own_log(conversation_id, user_id)
            found = self._read(conversation_id)
        return Newest([_as_seen(one, user_id) for one in found.messages], found.has_older)

    def _cached(self, conversation_id: UUID, user_id: UUID) -> Newest | None:
        answers = self._cache.run(
            ("HMGET", HEADS(user_id), str(conversation_id), COMPLETE),
            ("HMGET", RECENT(conversation_id), "head", "items", "older"),
        )
        if answers is None:
            return None
        (told, complete), (head, items, older) = answers
        if told is None:
            if complete is None:
                self._hints.recall(user_id)
            return None
        if items is None or not _is_of(head, told):
            return None
        try:
            return Newest(_ITEMS.decode(items), older == b"1")
        except UNREADABLE:
            self._cache.forget(RECENT(conversation_id))
            return None

    def _read(self, conversation_id: UUID) -> Newest:
        """Leaves it in the cache, too."""
        head, messages = self._store.newest_messages(conversation_id, RECENT_MOST + 1)
        newest = Newest(messages[:RECENT_MOST], len(messages) > RECENT_MOST)
        fill: tuple[Any, ...] = (
            *(_FILL, RECENT(conversation_id), head, msgspec.json.encode(newest.messages)),
            *(int(newest.has_older), RECENT.ttl),
        )
        self._cache.run(fill)
        return newest


def _is_of(head: bytes, told: bytes) -> bool:
    """Whether what was read at that head has all that the user was told."""
    return head == told.rstrip(ARCHIVED)


def _as_seen(message: Message, reader_id: UUID) -> Message:
    """The copy is one for both; a `clientMessageId` is its sender's alone."""
    if message.sender_id == reader_id or message.client_message_id is UNSET:
        return message
    return msgspec.structs.replace(message, client_message_id=UNSET)
