"""The conversations of one partition that a router has at hand, and how it gets them."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from libs.common.asking import Asking
from libs.common.protocol.events import (
    CreateConversation,
    DeleteMessage,
    Delivered,
    Event,
    MarkRead,
    RemoveMatch,
    Send,
)
from services.router.conversation import Conversation
from services.router.store import Store


class Memory:
    """A bounded memory of what PostgreSQL says, kept true by the partition's only writer.

    When the partition was taken over a barrier has made PostgreSQL complete. From then on all
    that changes passes here, so what is in memory needs no second look, and what isn't was
    last changed before the takeover or has been forgotten since: then another barrier first.
    """

    def __init__(self, store: Store, asking: Asking, partition: int, capacity: int) -> None:
        self._store = store
        self._asking = asking
        self._partition = partition
        self._capacity = capacity
        self._conversations: OrderedDict[UUID, Conversation] = OrderedDict()
        self._by_match: dict[UUID, Conversation] = {}
        self._behind = True
        """Whether PostgreSQL may lack something that isn't in memory either."""
        self._looked_into: dict[UUID, Conversation] = {}
        """What this batch has brought older messages of."""

    def conversation(self, conversation_id: UUID) -> Conversation | None:
        """None: there is none, once `bring` has looked."""
        return self._conversations.get(conversation_id)

    def of_match(self, match_id: UUID) -> Conversation | None:
        return self._by_match.get(match_id)

    def keep(self, conversation: Conversation) -> None:
        self._conversations[conversation.conversation_id] = conversation
        self._by_match[conversation.match_id] = conversation

    async def bring(self, events: Sequence[Event], again: Collection[Event] = ()) -> None:
        """Loads whatever these events need. Raises StoreError and what a barrier raises.

        `again` are those that another router may have decided before it died.
        """
        await self._bring_conversations(events)
        await self._bring_older_messages(events, again)

    def trim(self, changed: Iterable[Conversation]) -> None:
        """Forgets what was used least lately. Between batches only."""
        for conversation in (*changed, *self._looked_into.values()):
            conversation.forget_oldest()
        self._looked_into.clear()
        while len(self._conversations) > self._capacity:
            _, forgotten = self._conversations.popitem(last=False)
            del self._by_match[forgotten.match_id]
            self._behind = True

    async def _bring_conversations(self, events: Sequence[Event]) -> None:
        wanted: set[UUID] = set()
        matches: set[UUID] = set()
        for event in events:
            if isinstance(event, CreateConversation | RemoveMatch):
                if event.match_id not in self._by_match:
                    matches.add(event.match_id)
            elif event.conversation_id in self._conversations:
                self._conversations.move_to_end(event.conversation_id)
            else:
                wanted.add(event.conversation_id)
        if wanted or matches:
            await self._load_conversations(list(wanted), list(matches))

    async def _load_conversations(self, ids: list[UUID], match_ids: list[UUID]) -> None:
        if self._behind:
            await self._asking.ask_barrier(self._partition)
            self._behind = False
        found: dict[UUID, Conversation] = {}
        if ids:
            found |= await self._store.conversations(ids)
        if match_ids:
            found |= await self._store.of_matches(match_ids)
        for conversation_id, conversation in found.items():
            if conversation_id not in self._conversations:
                self.keep(conversation)

    async def _bring_older_messages(
        self, events: Sequence[Event], again: Collection[Event]
    ) -> None:
        wanted = _Wanted()
        for event in events:
            if isinstance(event, CreateConversation | RemoveMatch):
                continue
            conversation = self._conversations.get(event.conversation_id)
            if conversation is not None:
                wanted.add(event, conversation)
        wanted.add_read(again)
        if wanted.ids or wanted.identities or wanted.unread or wanted.read:
            await self._load_messages(wanted)

    async def _load_messages(self, wanted: "_Wanted") -> None:
        # They may have been decided here, forgotten, and not yet be stored.
        await self._asking.ask_barrier(self._partition)
        found = await self._store.messages(list(wanted.ids), list(wanted.identities))
        found += await self._store.unread_messages(list(wanted.unread))
        found += await self._store.read_messages(list(wanted.read))
        for conversation_id, message in found:
            conversation = self._conversations.get(conversation_id)
            if conversation is not None and not conversation.message(message.message_id):
                conversation.look_up(message)
                self._looked_into[conversation_id] = conversation


class _Wanted:
    """Older messages that a batch needs."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()
        self.identities: set[tuple[UUID, UUID]] = set()
        """Sender and `Message.identity`."""
        self.unread: set[tuple[UUID, UUID]] = set()
        """Conversation, and the user who has not read them: all of those."""
        self.read: set[tuple[UUID, UUID, int]] = set()
        """Conversation, and the user who has read them at this moment."""

    def add(self, event: Event, conversation: Conversation) -> None:
        if isinstance(event, Send):
            if conversation.perhaps_older(event.sender_id, event.identity):
                self.identities.add((event.sender_id, event.identity))
        elif isinstance(event, Delivered | MarkRead):
            self.ids |= {i for i in event.message_ids if not conversation.message(i)}
            if isinstance(event, MarkRead) and _is_up_to(event, conversation):
                self.unread.add((conversation.conversation_id, event.user_id))
        elif isinstance(event, DeleteMessage) and not conversation.message(event.message_id):
            self.ids.add(event.message_id)

    def add_read(self, again: Collection[Event]) -> None:
        """A reading up to a number doesn't say what it has read, but must tell it again."""
        for event in again:
            if isinstance(event, MarkRead) and event.up_to_seq is not None:
                self.read.add((event.conversation_id, event.user_id, event.read_at))


def _is_up_to(event: MarkRead, conversation: Conversation) -> bool:
    """Whether it is about messages that it doesn't name and that aren't all at hand."""
    return (
        event.up_to_seq is not None
        and conversation.has(event.user_id)
        and conversation.has_older_unread(event.user_id)
    )
