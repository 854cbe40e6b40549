"""Writes: what the router tells the persister to store. Most are entries of a log.

Every write can be applied any number of times: queues deliver at least once.
"""

from uuid import UUID

from msgspec import Struct


class _Write(Struct, frozen=True, array_like=True):
    pass


class InsertConversation(_Write, tag="conversation", frozen=True):
    conversation_id: UUID
    seq: int
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: int


class InsertMessage(_Write, tag="message", frozen=True):
    conversation_id: UUID
    seq: int
    message_id: UUID
    sender_id: UUID
    client_message_id: UUID | None
    content: str
    created_at: int


class MarkDelivered(_Write, tag="delivered", frozen=True):
    conversation_id: UUID
    seq: int
    message_ids: list[UUID]
    delivered_at: int


class MarkRead(_Write, tag="read", frozen=True):
    conversation_id: UUID
    seq: int
    message_ids: list[UUID]
    read_at: int
    read_up_to: tuple[int, int]
    """For each user, in the order of the conversation's, up to where all of the other's is READ
    or deleted: what is unread lies beyond. Only rises."""


class DeleteContent(_Write, tag="delete", frozen=True):
    """The message becomes a tombstone; audited in the same transaction."""

    conversation_id: UUID
    seq: int
    message_id: UUID
    actor_id: UUID
    deleted_at: int
    because: str | None = None
    """As in the event. With RETENTION nobody is its actor."""


class ArchiveConversation(_Write, tag="archive", frozen=True):
    """Audited in the same transaction."""

    conversation_id: UUID
    seq: int
    actor_id: UUID | None
    """None: the match service, as the match was removed."""
    archived_at: int


class Index(_Write, tag="index", frozen=True):
    """Not an entry: the messages of this conversation shall be found by the search indexes."""

    conversation_id: UUID


class Barrier(_Write, tag="barrier", frozen=True):
    """Not stored: answered when everything before it in its queue is in PostgreSQL."""

    queue: str
    correlation_id: str


Entry = (
    InsertConversation
    | InsertMessage
    | MarkDelivered
    | MarkRead
    | DeleteContent
    | ArchiveConversation
)
Write = Entry | Barrier | Index


class Typing(_Write, tag="typing", frozen=True):
    """For `typing_status`, by `chat.typing`: may be lost, and is no entry of a log."""

    conversation_id: UUID
    user_id: UUID
    started_at: int | None
    """None when it has ended."""
