"""The conversations of one partition that a router has at hand, and how it gets them."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from libs.common.asking import Asking
from libs.common.domain import permission
from libs.common.domain.permission import Act
from libs.common.protocol.events import (
    CreateConversation,
    DeleteMessage,
    Delivered,
    Event,
    MarkRead,
    RemoveMatch,
    Send,
)
from services.router.conversation import Conversation, Message
from services.router.store import Store


class Found(NamedTuple):
    """What some events need and memory lacked."""

    conversations: list[Conversation]
    messages: list[tuple[UUID, Message]]
    """Older ones, each with its conversation's id."""


class Memory:
    """A bounded memory of what PostgreSQL says, kept true by the partition's only writer.

    When the partition was taken over a barrier has made PostgreSQL complete. From then on all
    that changes passes here, so what is in memory needs no second look, and what isn't was
    last changed before the takeover or has been forgotten since: then another barrier first, unless
    one has passed since it changed. What is forgotten was mostly idle for long, so few are needed.
    """

    def __init__(self, store: Store, asking: Asking, partition: int, capacity: int) -> None:
        self._store = store
        self._asking = asking
        self._partition = partition
        self._capacity = capacity
        self._conversations: OrderedDict[UUID, Conversation] = OrderedDict()
        self._by_match: dict[UUID, Conversation] = {}
        self._barriers = 0
        """How many were asked for."""
        self._passed = 0
        """The number of the newest that has passed."""
        self._needed = 1
        """Behind this one PostgreSQL has all that isn't in memory: see `Conversation.stored_by`."""
        self._grown: dict[UUID, Conversation] = {}
        """What may have more messages at hand than it should."""

    def conversation(self, conversation_id: UUID) -> Conversation | None:
        """None: there is none, if what `lacks` said was taken in."""
        return self._conversations.get(conversation_id)

    def of_match(self, match_id: UUID) -> Conversation | None:
        return self._by_match.get(match_id)

    def place(self, event: Event) -> UUID:
        """Equal for two events of which the second must not be decided before the first."""
        if not isinstance(event, CreateConversation | RemoveMatch):
            return event.conversation_id
        known = self._by_match.get(event.match_id)
        return event.match_id if known is None else known.conversation_id

    def keep(self, conversation: Conversation) -> None:
        self._conversations[conversation.conversation_id] = conversation
        self._by_match[conversation.match_id] = conversation

    def lacks(self, events: Iterable[Event], again: Collection[Event] = ()) -> bool:
        """Whether they can't be decided before PostgreSQL was asked. For `again` see `load`."""
        wanted = _Wanted()
        for event in events:
            conversation = self._at_hand(event)
            if conversation is None:
                return True
            wanted.add(event, conversation)
        wanted.add_read(again)
        return bool(wanted)

    async def load(self, events: Sequence[Event], again: Collection[Event] = ()) -> Found:
        """What these events need, for `take_in`; until then nothing may be decided of them.

        `again` are those that another router may have decided before it died. Raises StoreError
        and what a barrier raises.
        """
        known = {id(one): one for one in map(self._at_hand, events) if one is not None}
        found = {one.conversation_id: one for one in known.values()}
        by_match = {one.match_id: one for one in known.values()}
        ids, matches = _unknown(events, found, by_match)
        if ids or matches:
            found |= await self._load_conversations(list(ids), list(matches))
        wanted = _Wanted()
        for event in events:
            if not isinstance(event, CreateConversation | RemoveMatch):
                conversation = found.get(event.conversation_id)
                if conversation is not None:
                    wanted.add(event, conversation)
        wanted.add_read(again)
        messages = await self._load_messages(wanted) if wanted else []
        # With those that were at hand: the batches in between may have pushed them out.
        return Found(list(found.values()), messages)

    def take_in(self, found: Found) -> None:
        """What was loaded. The events are decided before the next `trim`."""
        for conversation in found.conversations:
            if conversation.conversation_id not in self._conversations:
                self.keep(conversation)
        for conversation_id, message in found.messages:
            known = self._conversations.get(conversation_id)
            if known is not None and not known.message(message.message_id):
                known.look_up(message)
                self._grown[conversation_id] = known

    def trim(self, changed: Iterable[Conversation], waiting: Collection[UUID] = ()) -> None:
        """Forgets what was used least lately. Between batches only, with `changed` published.

        Of the `waiting` conversations no message is forgotten: what was at hand when their events
        were set aside is not being loaded.
        """
        for one in changed:
            one.stored_by = self._barriers + 1
            self._grown[one.conversation_id] = one
        for conversation_id in self._grown.keys() - waiting:
            self._grown.pop(conversation_id).forget_oldest()
        while len(self._conversations) > self._capacity:
            _, forgotten = self._conversations.popitem(last=False)
            del self._by_match[forgotten.match_id]
            self._needed = max(self._needed, forgotten.stored_by)

    def _at_hand(self, event: Event) -> Conversation | None:
        """The event's conversation; it has been used."""
        if isinstance(event, CreateConversation | RemoveMatch):
            return self._by_match.get(event.match_id)
        conversation = self._conversations.get(event.conversation_id)
        if conversation is not None:
            self._conversations.move_to_end(event.conversation_id)
        return conversation

    async def _load_conversations(
        self, ids: list[UUID], match_ids: list[UUID]
    ) -> dict[UUID, Conversation]:
        if self._passed < self._needed:
            await self._pass_barrier()
        found: dict[UUID, Conversation] = {}
        if ids:
            found |= await self._store.conversations(ids)
        if match_ids:
            found |= await self._store.of_matches(match_ids)
        return found

    async def _pass_barrier(self) -> None:
        self._barriers += 1
        number = self._barriers
        await self._asking.ask_barrier(self._partition)
        self._passed = max(self._passed, number)

    async def _load_messages(self, wanted: "_Wanted") -> list[tuple[UUID, Message]]:
        # They may have been decided here, forgotten, and not yet be stored.
        await self._pass_barrier()
        found = await self._store.messages(list(wanted.ids), list(wanted.identities))
        found += await self._store.unread_messages(wanted.unread)
        found += await self._store.read_messages(list(wanted.read))
        return found


def _unknown(
    events: Iterable[Event], known: Collection[UUID], of_matches: Collection[UUID]
) -> tuple[set[UUID], set[UUID]]:
    """Ids of conversations, and of matches, that these events are about besides the known."""
    ids: set[UUID] = set()
    matches: set[UUID] = set()
    for event in events:
        if isinstance(event, CreateConversation | RemoveMatch):
            if event.match_id not in of_matches:
                matches.add(event.match_id)
        elif event.conversation_id not in known:
            ids.add(event.conversation_id)
    return ids, matches


class _Wanted:
    """Older messages that events need."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()
        self.identities: set[tuple[UUID, UUID]] = set()
        """Sender and `Message.identity`."""
        self.unread: dict[tuple[UUID, UUID], int] = {}
        """By conversation, and the user who has not read them: up to which number."""
        self.read: set[tuple[UUID, UUID, int]] = set()
        """Conversation, and the user who has read them at this moment."""

    def __bool__(self) -> bool:
        return bool(self.ids or self.identities or self.unread or self.read)

    def add(self, event: Event, conversation: Conversation) -> None:
        """Nothing for a stranger: the time that a look-up takes would tell what is known there."""
        if isinstance(event, CreateConversation | RemoveMatch):
            return
        asker = event.sender_id if isinstance(event, Send) else event.user_id
        if permission.refusal(Act.READ, asker, conversation):
            return
        if isinstance(event, Send):
            if conversation.perhaps_older(event.sender_id, event.identity):
                self.identities.add((event.sender_id, event.identity))
        elif isinstance(event, Delivered | MarkRead):
            self.ids |= {i for i in event.message_ids if not conversation.message(i)}
            if isinstance(event, MarkRead) and event.up_to_seq is not None:
                self._add_unread(event.user_id, event.up_to_seq, conversation)
        elif isinstance(event, DeleteMessage) and not conversation.message(event.message_id):
            self.ids.add(event.message_id)

    def _add_unread(self, user_id: UUID, up_to: int, conversation: Conversation) -> None:
        """Messages up to a number that aren't all at hand: those, not all that is unread."""
        mark = conversation.read_up_to[conversation.place(user_id)]
        if up_to > mark and conversation.has_older_unread(user_id):
            key = (conversation.conversation_id, user_id)
            self.unread[key] = max(up_to, self.unread.get(key, 0))

    def add_read(self, again: Collection[Event]) -> None:
        """A reading up to a number doesn't say what it has read, but must tell it again."""
        for event in again:
            if isinstance(event, MarkRead) and event.up_to_seq is not None:
                self.read.add((event.conversation_id, event.user_id, event.read_at))
