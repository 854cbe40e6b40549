"""What the REST API answers and takes: one type a JSON object (DESIGN.md, section 5).

Fields are camelCase on the wire. Times are RFC 3339 UTC strings with milliseconds.
"""

from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from libs.common.protocol.messages import Message
from libs.common.protocol.units import Timestamp

Item = TypeVar("Item")


class Conversation(Struct, frozen=True, rename="camel"):
    """A conversation as one of its two users sees it."""

    conversation_id: UUID
    match_id: UUID
    user_ids: tuple[UUID, UUID]
    other_user_id: UUID
    created_at: Timestamp
    archived_at: Timestamp | None
    last_message: Message | None
    last_activity_at: Timestamp
    unread_count: int
    """The other user's messages that are neither READ nor deleted."""
    head: int
    other_user_online: bool
    """Whether the other user has a session; never in an archived conversation."""


class ConversationBirth(Struct, frozen=True, rename="camel"):
    """A conversation as its match service sees it: without what the two users write."""

    conversation_id: UUID
    match_id: UUID
    user_ids: tuple[UUID, UUID]
    created_at: Timestamp
    archived_at: Timestamp | None
    head: int


class CreateConversation(Struct, frozen=True, rename="camel"):
    """The body of POST /conversations."""

    match_id: UUID
    user1_id: UUID
    user2_id: UUID


class Page(Struct, Generic[Item], frozen=True, rename="camel"):
    """A part of a list."""

    items: list[Item]
    next_cursor: str | None
    """Where the next page starts; null when there is none."""


class SyncPage(Struct, frozen=True, rename="camel"):
    """What SYNC_RESULT has: every message created or changed after the asked `seq`."""

    conversation_id: UUID
    messages: list[Message]
    head: int
    complete: bool


class Span(Struct, frozen=True, rename="camel"):
    """A part of a text, in Unicode code points, `end` excluded."""

    start: int
    end: int


class SearchHit(Message, frozen=True, rename="camel", kw_only=True):
    """A message that was found."""

    highlight: list[Span]
    """Where the words and phrases asked for stand in `content`, in order, none touching another.
    Empty where they are not there as they were written."""


class Unread(Struct, frozen=True, rename="camel"):
    """How many messages the caller has not read, in conversations that are not archived."""

    total: int
    conversations: dict[UUID, int]
    """Of those that have any."""


class ProblemDetails(Struct, frozen=True):
    """RFC 9457. `title` is the status' own phrase, so `type` is about:blank (its section 4.2.1)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """A constant of `libs.common.protocol.errors`, the same as in the WebSocket's ERROR."""
