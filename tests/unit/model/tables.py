"""What PostgreSQL makes of the router's writes, and what the router reads of it, in a few lines.

The real statements are tested with PostgreSQL; this model follows them, so that the rules can be
tried with many thousand histories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from libs.common.domain.status import Status
from libs.common.protocol import writes
from services.router.conversation import Conversation, Message
from services.router.known_ids import KnownIds

LOADED: Final = 4
"""Newest messages that are read with a conversation; as few as shows what happens with more."""


@dataclass
class ConversationRow:
    born: writes.InsertConversation
    head: int = 1
    archived_at: int | None = None
    archived_seq: int | None = None
    marks: tuple[int, int] = (0, 0)

    @property
    def users(self) -> tuple[UUID, UUID]:
        return self.born.user1_id, self.born.user2_id


@dataclass
class MessageRow:
    conversation_id: UUID
    content: str
    state: Message


@dataclass
class Seen:
    """A message as either user sees it; None as status once it is deleted."""

    sender_id: UUID
    seq: int
    status: Status | None


@dataclass
class View:
    """A conversation as either user sees it."""

    head: int = 0
    is_archived: bool = False
    messages: dict[UUID, Seen] = field(default_factory=dict)

    def unread_by(self, user_id: UUID) -> int:
        return sum(
            message.sender_id != user_id and message.status in (Status.SENT, Status.DELIVERED)
            for message in self.messages.values()
        )


class Tables:
    def __init__(self) -> None:
        self.conversations: dict[UUID, ConversationRow] = {}
        self.messages: dict[UUID, MessageRow] = {}
        self.entries: dict[tuple[UUID, int], writes.Entry] = {}

    def apply(self, write: writes.Entry) -> None:
        self.entries[write.conversation_id, write.seq] = write
        if isinstance(write, writes.InsertConversation):
            self.conversations[write.conversation_id] = ConversationRow(write)
            return
        row = self.conversations[write.conversation_id]
        row.head = max(row.head, write.seq)
        match write:
            case writes.InsertMessage():
                self._insert(write)
            case writes.MarkDelivered():
                self._deliver(write)
            case writes.MarkRead():
                self._read(write, row)
            case writes.DeleteContent():
                message = self.messages[write.message_id].state
                message.deleted_at, message.changed_seq = write.deleted_at, write.seq
            case writes.ArchiveConversation():
                row.archived_at, row.archived_seq = write.archived_at, write.seq

    def _insert(self, write: writes.InsertMessage) -> None:
        state = Message(
            write.message_id,
            write.sender_id,
            write.client_message_id,
            write.seq,
            write.created_at,
            changed_seq=write.seq,
        )
        self.messages[write.message_id] = MessageRow(write.conversation_id, write.content, state)

    def _deliver(self, write: writes.MarkDelivered) -> None:
        for message_id in write.message_ids:
            message = self.messages[message_id].state
            message.status = max(message.status, Status.DELIVERED)
            message.delivered_at, message.changed_seq = write.delivered_at, write.seq

    def _read(self, write: writes.MarkRead, row: ConversationRow) -> None:
        for message_id in write.message_ids:
            message = self.messages[message_id].state
            message.status, message.read_at = Status.READ, write.read_at
            message.changed_seq = write.seq
        first, second = zip(row.marks, write.read_up_to, strict=True)
        row.marks = (max(first), max(second))

    def of(self, conversation_id: UUID) -> list[Message]:
        """A conversation's messages, in order."""
        rows = self.messages.values()
        return [row.state for row in rows if row.conversation_id == conversation_id]

    def unread(self, conversation_id: UUID, user_id: UUID) -> list[Message]:
        """Those that the function `unread_count` (migration 0002) counts."""
        row = self.conversations[conversation_id]
        mark = row.marks[row.users.index(user_id)]
        return [
            message
            for message in self.of(conversation_id)
            if message.seq > mark and message.sender_id != user_id and message.is_unread
        ]

    def view(self, conversation_id: UUID) -> View:
        """What a SYNC from 0 gives."""
        row = self.conversations[conversation_id]
        messages = {
            message.message_id: Seen(
                message.sender_id,
                message.seq,
                message.status if message.deleted_at is None else None,
            )
            for message in self.of(conversation_id)
        }
        return View(row.head, row.archived_at is not None, messages)


class ModelStore:
    """`router.store.Store` over the tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def conversations(self, ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        known = self._tables.conversations
        return {key: self._conversation(known[key]) for key in ids if key in known}

    async def of_matches(self, match_ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        known = self._tables.conversations.items()
        return {
            key: self._conversation(row) for key, row in known if row.born.match_id in match_ids
        }

    async def messages(
        self, ids: Sequence[UUID], identities: Sequence[tuple[UUID, UUID]]
    ) -> list[tuple[UUID, Message]]:
        return [
            (row.conversation_id, replace(row.state))
            for row in self._tables.messages.values()
            if row.state.message_id in ids
            or (row.state.sender_id, row.state.identity) in identities
        ]

    async def unread_messages(
        self, wanted: Mapping[tuple[UUID, UUID], int]
    ) -> list[tuple[UUID, Message]]:
        return [
            (conversation_id, replace(message))
            for (conversation_id, user_id), up_to in wanted.items()
            for message in self._tables.unread(conversation_id, user_id)
            if message.seq <= up_to
        ]

    async def read_messages(
        self, wanted: Sequence[tuple[UUID, UUID, int]]
    ) -> list[tuple[UUID, Message]]:
        return [
            (conversation_id, replace(message))
            for conversation_id, user_id, read_at in wanted
            for message in self._tables.of(conversation_id)
            if message.sender_id != user_id and message.read_at == read_at
        ]

    def _conversation(self, row: ConversationRow) -> Conversation:
        born = row.born
        found = Conversation(
            born.conversation_id,
            born.match_id,
            born.user1_id,
            born.user2_id,
            born.created_at,
            archived_at=row.archived_at,
            archived_seq=row.archived_seq or 0,
            head=row.head,
            claimed=row.head,
            read_up_to=row.marks,
            unread=[len(self._tables.unread(born.conversation_id, user)) for user in row.users],
        )
        messages = self._tables.of(born.conversation_id)
        for message in messages[:-LOADED]:
            found.older_ids = found.older_ids or KnownIds()
            found.older_ids.add(message.sender_id, message.identity)
        for message in messages[-LOADED:]:
            found.remember(replace(message))
        return found
