"""Writes: what the router tells the persister to store. Each is an entry of a log.

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


class Barrier(_Write, tag="barrier", frozen=True):
    """Not stored: answered when everything before it in its queue is in PostgreSQL."""

    queue: str
    correlation_id: str


Entry = InsertConversation | InsertMessage | MarkDelivered
Write = Entry | Barrier
