"""Writes → rows. Pure.

A message and the statuses that reach it within one batch become one row; so do the statuses of
a message stored earlier, and all that happened to a conversation. Every value is a maximum or a
minimum of what came, or set once (a deletion, an archiving), so rows can be applied in any grouping
and any number of times: the result is that of applying the writes one by one (promises 4 and 7).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from libs.common.domain.status import Status
from libs.common.protocol.writes import (
    ArchiveConversation,
    DeleteContent,
    Entry,
    InsertConversation,
    InsertMessage,
    MarkDelivered,
    MarkRead,
)


@dataclass(slots=True)
class MessageRow:
    """A new message, with the statuses that it has already."""

    message: InsertMessage
    changed_seq: int
    status: Status = Status.SENT
    delivered_at: int | None = None
    """Stays None when it was READ without having been DELIVERED."""
    read_at: int | None = None

    @property
    def message_id(self) -> UUID:
        return self.message.message_id

    @property
    def conversation_id(self) -> UUID:
        return self.message.conversation_id


@dataclass(slots=True)
class StatusRow:
    """What became of a message that another batch has inserted."""

    conversation_id: UUID
    message_id: UUID
    changed_seq: int = 0
    status: Status = Status.SENT
    delivered_at: int | None = None
    read_at: int | None = None


@dataclass(slots=True)
class ConversationRow:
    """How far a conversation's log goes. Zeros and None where the batch says nothing."""

    conversation_id: UUID
    head: int = 0
    message_seq: int | None = None
    message_id: UUID | None = None
    first_message_seq: int | None = None
    """What a search must not hold to be indexed, see queries.sql."""
    active_at: int = 0
    read_up_to: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Rows:
    """One batch, ready to be written in the order of these fields."""

    new_conversations: dict[UUID, InsertConversation] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    statuses: dict[UUID, StatusRow] = field(default_factory=dict)
    deletions: dict[UUID, DeleteContent] = field(default_factory=dict)
    archivings: dict[UUID, ArchiveConversation] = field(default_factory=dict)
    conversations: dict[UUID, ConversationRow] = field(default_factory=dict)


def fold(entries: Iterable[Entry]) -> Rows:
    """The rows of a batch. Entries of one conversation come in the order of its queue."""
    rows = Rows()
    by_id: dict[UUID, MessageRow] = {}
    for entry in entries:
        conversation = rows.conversations.get(entry.conversation_id)
        if conversation is None:
            conversation = ConversationRow(entry.conversation_id)
            rows.conversations[entry.conversation_id] = conversation
        conversation.head = max(conversation.head, entry.seq)
        match entry:
            case InsertMessage():
                _add_message(rows, by_id, entry)
                _advance(conversation, entry)
            case MarkDelivered():
                _mark(rows, by_id, entry)
            case MarkRead():
                _mark(rows, by_id, entry)
                _raise_read_up_to(conversation, entry)
            case InsertConversation():
                rows.new_conversations.setdefault(entry.conversation_id, entry)
                conversation.active_at = max(conversation.active_at, entry.created_at)
            case DeleteContent():
                rows.deletions.setdefault(entry.message_id, entry)
            case ArchiveConversation():
                rows.archivings.setdefault(entry.conversation_id, entry)
    return rows


def _add_message(rows: Rows, by_id: dict[UUID, MessageRow], message: InsertMessage) -> None:
    known = by_id.get(message.message_id)
    if known and _place(known.message) == _place(message):
        return
    # The same id at two places is a conflict: the database decides, so both must reach it.
    row = MessageRow(message, changed_seq=message.seq)
    rows.messages.append(row)
    by_id.setdefault(message.message_id, row)
    # Both came again, the status first: still one row.
    earlier = rows.statuses.pop(message.message_id, None)
    if earlier:
        row.status = earlier.status
        row.delivered_at, row.read_at = earlier.delivered_at, earlier.read_at
        row.changed_seq = max(row.changed_seq, earlier.changed_seq)


def _place(message: InsertMessage) -> tuple[UUID, int]:
    return message.conversation_id, message.seq


def _advance(conversation: ConversationRow, message: InsertMessage) -> None:
    conversation.active_at = max(conversation.active_at, message.created_at)
    if conversation.message_seq is None or conversation.message_seq < message.seq:
        conversation.message_seq = message.seq
        conversation.message_id = message.message_id
    first = conversation.first_message_seq
    if first is None or message.seq < first:
        conversation.first_message_seq = message.seq


def _raise_read_up_to(conversation: ConversationRow, entry: MarkRead) -> None:
    user1, user2 = conversation.read_up_to
    conversation.read_up_to = max(user1, entry.read_up_to[0]), max(user2, entry.read_up_to[1])


def _mark(rows: Rows, by_id: dict[UUID, MessageRow], entry: MarkDelivered | MarkRead) -> None:
    for message_id in entry.message_ids:
        row = by_id.get(message_id) or rows.statuses.get(message_id)
        if row is None:
            row = StatusRow(entry.conversation_id, message_id)
            rows.statuses[message_id] = row
        row.changed_seq = max(row.changed_seq, entry.seq)
        if isinstance(entry, MarkRead):
            row.status = Status.READ
            row.read_at = _earlier(row.read_at, entry.read_at)
        else:
            row.status = max(row.status, Status.DELIVERED)
            row.delivered_at = _earlier(row.delivered_at, entry.delivered_at)


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
