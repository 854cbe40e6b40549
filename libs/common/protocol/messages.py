"""A message as clients see it, by REST and in SYNC_RESULT (DESIGN.md, section 5).

Fields are camelCase on the wire. Times are RFC 3339 UTC strings with milliseconds.
"""

from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from libs.common.protocol.units import Timestamp


class Message(Struct, frozen=True, rename="camel"):
    """A message as one of the conversation's two users sees it."""

    message_id: UUID
    conversation_id: UUID
    sender_id: UUID
    content: str | None
    """Null once deleted: the tombstone stays."""
    status: Literal["SENT", "DELIVERED", "READ"]
    timestamp: Timestamp
    delivered_at: Timestamp | None
    read_at: Timestamp | None
    deleted_at: Timestamp | None
    seq: int
    changed_seq: int
    """The entry that changed it last; `seq` while none has."""
    client_message_id: UUID | UnsetType | None = UNSET
    """Only in answers to its sender."""
